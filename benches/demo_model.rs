//! The demo's model: a training step with LoRA, and greedy generation.
//!
//! Command: `cargo bench -p coin-benches --bench demo_model`

#![allow(missing_docs)]

use burn::tensor::Device;
use coin::data::tokenize::TokenRow;
use coin::loss::{CoinLossConfig, Pooling};
use coin::model::generate::{GenerateOptions, generate};
use coin::model::{Llama, LlamaConfig, LoraConfig};
use coin::train::config::{Objective, Preset};
use coin::train::objective::{PairRow, StepObjective};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LENGTH: usize = 64;

fn config() -> LlamaConfig {
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/coin/assets/demo-base");
    LlamaConfig::read(base.as_ref()).expect("the demo base ships with the repository")
}

fn ids(row: usize, length: usize, vocabulary: usize) -> Vec<u32> {
    (0..length).map(|at| ((row * 31 + at * 17 + 3) % vocabulary) as u32).collect()
}

fn training_step(criterion: &mut Criterion) {
    let config = config();
    let model = Llama::new(&config, 1, &Device::flex().autodiff())
        .and_then(|model| model.with_lora(&LoraConfig::default(), 1))
        .expect("the configuration is valid");
    let row = |row| TokenRow { ids: ids(row, LENGTH, config.vocab_size), prompt: LENGTH - 2, shortened: 0, cut: 0 };
    let pairs: Vec<PairRow> = (0..16)
        .map(|pair| PairRow {
            original: row(2 * pair),
            paraphrase: row(2 * pair + 1),
            task: None,
            target: pair.to_string(),
        })
        .collect();
    let loss = CoinLossConfig::new().init().expect("the defaults are valid");
    let mut group = criterion.benchmark_group("training_step_16_pairs");
    group.sample_size(10);
    group.throughput(Throughput::Elements((2 * pairs.len() * LENGTH) as u64));
    for (name, kind, micro) in
        [("cit", Objective::Cit, 16), ("coin", Objective::Coin, 16), ("coin_cached", Objective::Coin, 4)]
    {
        let objective = StepObjective {
            kind,
            preset: Preset::Strict,
            loss,
            contrastive_batch: 16,
            pooling: Pooling::Last,
            seed: 1,
            checkpointing: false,
            loss_scale: 1.0,
        };
        group.bench_function(name, |bench| {
            bench.iter(|| objective.step(&model, &pairs.iter().collect::<Vec<_>>(), micro, 0).map(|(_, values)| values))
        });
    }
    group.finish();
}

fn generation(criterion: &mut Criterion) {
    let config = config();
    let model = Llama::new(&config, 1, &Device::flex()).expect("the configuration is valid");
    let options = GenerateOptions {
        max_new_tokens: 7,
        batch_size: 64,
        threads: 1,
        eos: Vec::new(),
        hidden: false,
        memory: None,
        sampling: None,
    };
    let mut group = criterion.benchmark_group("greedy_7_tokens");
    group.sample_size(10);
    for count in [1, 64] {
        let prompts: Vec<Vec<u32>> = (0..count).map(|row| ids(row, LENGTH, config.vocab_size)).collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count}_prompts"), |bench| {
            bench.iter(|| generate(&model, &prompts, &options, |_, _| false))
        });
    }
    group.finish();
}

criterion_group!(benches, training_step, generation);
criterion_main!(benches);

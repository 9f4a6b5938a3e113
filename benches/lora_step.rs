//! Time and peak memory of one LoRA training step of a random LLaMA, for comparison with burn's LoRA and with PyTorch.
//!
//! Command: `cargo bench -p coin-benches --bench lora_step -- --adapter ours` (or `burn`), optionally with
//! `--quantize int8|int4`, `--gradient-checkpointing`, and flags for the shapes, which `benches/pytorch/lora_step.py` has too.
//! Output: one line of JSON. Seconds are the wall time of a step: forward pass, cross entropy of the next token at every
//! position, backward pass, AdamW on the adapters. `peak_mb` is the peak resident memory of the whole process in units
//! of 10^6 bytes, read from /proc (0 on systems without it).

#![allow(missing_docs)]

use std::time::Instant;

use burn::module::{Lora, Module, ParamGroup};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use coin::allocator::{MiMalloc, keep_freed_memory};
use coin::model::Weight;
use coin::model::{DropoutKey, Llama, LlamaConfig, LoraConfig, Quantization, TokenBatch, WeightFormat, adapter};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Options {
    width: usize,
    layers: usize,
    heads: usize,
    ff: usize,
    vocab: usize,
    batch: usize,
    seq: usize,
    rank: usize,
    steps: usize,
    warm_up: usize,
    adapter: String,
    quantize: Option<Quantization>,
    gradient_checkpointing: bool,
}

fn options() -> Options {
    let mut options = Options {
        width: 288,
        layers: 6,
        heads: 6,
        ff: 768,
        vocab: 32000,
        batch: 8,
        seq: 128,
        rank: 16,
        steps: 12,
        warm_up: 2,
        adapter: "ours".to_owned(),
        quantize: None,
        gradient_checkpointing: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{name} needs a value"));
        let mut number = || value().parse().unwrap_or_else(|_| panic!("{name} needs a number"));
        match name.as_str() {
            "--width" => options.width = number(),
            "--layers" => options.layers = number(),
            "--heads" => options.heads = number(),
            "--ff" => options.ff = number(),
            "--vocab" => options.vocab = number(),
            "--batch" => options.batch = number(),
            "--seq" => options.seq = number(),
            "--rank" => options.rank = number(),
            "--steps" => options.steps = number(),
            "--warm-up" => options.warm_up = number(),
            "--adapter" => options.adapter = value(),
            "--quantize" => {
                options.quantize = Some(match value().as_str() {
                    "int8" => Quantization::Int8,
                    "int4" => Quantization::Int4,
                    other => panic!("--quantize {other}: expected int8 or int4"),
                });
            }
            "--gradient-checkpointing" => options.gradient_checkpointing = true,
            // Added by cargo.
            "--bench" => {}
            _ => panic!("unknown option {name}"),
        }
    }
    options
}

fn config(options: &Options) -> LlamaConfig {
    let text = serde_json::json!({
        "model_type": "llama", "vocab_size": options.vocab, "hidden_size": options.width,
        "intermediate_size": options.ff, "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads, "max_position_embeddings": options.seq.max(2048),
    });
    LlamaConfig::from_json("flags".as_ref(), &text.to_string()).expect("the flags describe a valid model")
}

fn model(options: &Options, device: &Device) -> Llama {
    let format = WeightFormat { quantization: options.quantize, ..WeightFormat::default() };
    let model =
        Llama::with_format(&config(options), format, 1, device).expect("the configuration was checked").no_grad();
    match options.adapter.as_str() {
        "ours" => {
            let lora = LoraConfig { rank: options.rank, alpha: 2.0 * options.rank as f64, ..LoraConfig::default() };
            model.with_lora(&lora, 1).expect("the defaults are valid")
        }
        "burn" => {
            let attention = model.layers.iter().map(|layer| &layer.attention);
            let targets = attention.flat_map(|a| [&a.q_proj, &a.k_proj, &a.v_proj, &a.o_proj]).map(|linear| {
                match &linear.weight {
                    Weight::Dense(weight) => weight.id,
                    Weight::Packed(_) => panic!("burn's LoRA does not support quantized weights"),
                }
            });
            let group = ParamGroup::from_ids(targets.collect::<Vec<_>>());
            model.apply_lora(Lora::new(options.rank, 2.0 * options.rank as f64).set_param_group(group))
        }
        other => panic!("--adapter {other}: expected ours or burn"),
    }
}

fn loss(model: &Llama, hidden: Tensor<3>, ids: &[Vec<u32>]) -> Tensor<1> {
    let [batch, seq, width] = hidden.dims();
    let targets: Vec<i32> = ids.iter().flat_map(|row| row[1..].iter().map(|&id| id as i32)).collect();
    let count = targets.len();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [count, 1]), &hidden.device());
    let before = hidden.narrow(1, 0, seq - 1).reshape([batch * (seq - 1), width]);
    log_softmax(model.logits(before), 1).gather(1, targets).neg().mean()
}

/// Peak resident memory in units of 10^6 bytes.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).map_or(0.0, |kib| kib * 1.024e-3)
}

fn main() {
    keep_freed_memory();
    let options = options();
    let device = Device::flex().autodiff();
    let mut model = model(&options, &device);
    let trained = match options.adapter.as_str() {
        "ours" => adapter::parameters(&model),
        _ => 4 * options.layers * 2 * options.rank * options.width,
    };
    let mut optimizer: ModuleOptimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init();
    let before = peak_mb();
    let mut seconds = Vec::new();
    let mut last = 0.0;
    for step in 0..options.warm_up + options.steps {
        let id = |row: usize, at: usize| ((row * 7919 + at * 104_729 + step * 31) % options.vocab) as u32;
        let ids: Vec<Vec<u32>> =
            (0..options.batch).map(|row| (0..options.seq).map(|at| id(row, at)).collect()).collect();
        let start = Instant::now();
        let batch = TokenBatch::left_padded(&ids, 0, 1, &device).expect("every row has tokens");
        let key = DropoutKey { seed: 1, step: step as u64, rows: (0..options.batch as u64).collect() };
        let gradients = match options.gradient_checkpointing {
            true => {
                let (hidden, tape) = model.hidden_checkpointed(&batch, Some(&key));
                let loss = loss(&model, hidden, &ids);
                last = loss.clone().into_scalar::<f32>();
                tape.backward(&model, loss.backward())
            }
            false => {
                let loss = loss(&model, model.hidden(&batch, None, Some(&key)), &ids);
                last = loss.clone().into_scalar::<f32>();
                GradientsParams::from_grads(loss.backward(), &model)
            }
        };
        model = optimizer.step(1e-4, model, gradients);
        if step >= options.warm_up {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let quantile = |share: f64| seconds[((seconds.len() - 1) as f64 * share).round() as usize];
    let round = |value: f64| (value * 1e4).round() / 1e4;
    println!(
        "{}",
        serde_json::json!({
            "seconds_median": round(quantile(0.5)),
            "seconds_quartiles": [round(quantile(0.25)), round(quantile(0.75))],
            "tokens_per_second": round((options.batch * options.seq) as f64 / quantile(0.5)),
            "peak_mb": round(peak_mb()),
            "peak_mb_before_first_step": round(before),
            "weights_mb": round(model.weight_bytes() as f64 / 1e6),
            "trained_parameters": trained,
            "loss": last,
            "adapter": options.adapter,
            "quantize": options.quantize,
            "gradient_checkpointing": options.gradient_checkpointing,
            "width": options.width, "layers": options.layers, "heads": options.heads, "ff": options.ff,
            "vocab": options.vocab, "batch": options.batch, "seq": options.seq, "rank": options.rank,
        })
    );
}

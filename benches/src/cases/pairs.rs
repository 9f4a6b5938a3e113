//! Pairs of the demo world: sampling and filling templates, tokenizing with masks, and padding to batches.

use burn::tensor::Device;
use coin::data::pairs::{PairBuilder, by_length};
use coin::data::tokenize::{TokenizeOptions, tokenize_pairs};
use coin::data::{Instance, Pair, PromptTemplate, Task, TemplateSet};
use coin::demo::World;
use coin::demo::{self, FAMILIES, WORLD_SEED};
use coin::model::{TextTokenizer, TokenBatch};

use super::{Case, Work, tokenizing};
use crate::machine;

/// Pairs per run.
const PAIRS: usize = 800;
/// Rows per padded batch.
const ROWS: usize = 32;
/// Maximum number of tokens per row.
const MAX_TOKENS: usize = 512;

/// The three steps from instances to batches, with one tokenizing case per available tokenizer.
pub fn cases() -> Vec<Case> {
    let items = (PAIRS as f64, "pairs");
    let mut cases = vec![Case::on_cpu("pairs/sampling".to_owned(), items, || Box::new(sampling()))];
    for (name, tokenizer) in tokenizing::tokenizers() {
        let work = move || Box::new(tokenizing(tokenizer.clone())) as Box<dyn Work>;
        cases.push(Case::on_cpu(format!("pairs/tokenizing/{name}"), items, work));
    }
    let padding = Case {
        on_device: true,
        prepare: Box::new(|device| Box::new(padding(device.clone()))),
        ..Case::on_cpu("pairs/batches".to_owned(), items, || unreachable!("this case is prepared on a device"))
    };
    cases.push(padding);
    cases
}

fn sampling() -> impl Work {
    let templates = TemplateSet::demo();
    let of_family = PAIRS / FAMILIES.len();
    let instances = FAMILIES.map(|family| instances(family, of_family / 2));
    let mut seed = 0;
    move || {
        seed += 1;
        for (family, instances) in FAMILIES.iter().zip(&instances) {
            std::hint::black_box(build(&templates, instances, family, of_family, seed));
        }
    }
}

fn tokenizing(tokenizer: TextTokenizer) -> impl Work {
    let (options, template, pairs) = (options(&tokenizer), PromptTemplate::default(), sampled(PAIRS));
    move || {
        let rows = tokenize_pairs(&options, tokenizer.inner(), &template, &pairs, machine::threads());
        std::hint::black_box(rows.expect("pairs of the world"));
    }
}

/// Groups rows of similar length and pads them to tensors.
fn padding(device: Device) -> impl Work {
    let tokenizer = tokenizing::demo();
    let rows = tokenize_pairs(
        &options(&tokenizer),
        tokenizer.inner(),
        &PromptTemplate::default(),
        &sampled(PAIRS),
        machine::threads(),
    );
    let rows = rows.expect("pairs of the world").rows;
    let ids: Vec<Vec<u32>> = rows.into_iter().flat_map(|row| [row.original.ids, row.paraphrase.ids]).collect();
    let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
    move || {
        for batch in by_length(&lengths).chunks(ROWS) {
            let rows: Vec<Vec<u32>> = batch.iter().map(|&row| ids[row].clone()).collect();
            std::hint::black_box(TokenBatch::left_padded(&rows, 0, 1, &device).expect("every row has tokens"));
        }
        device.sync().expect("the device computes");
    }
}

/// Options for tokenizing pairs.
pub fn options(tokenizer: &TextTokenizer) -> TokenizeOptions {
    TokenizeOptions { max_tokens: MAX_TOKENS, ..TokenizeOptions::new(tokenizer.bos()) }
}

/// Returns training instances of one of the world's [`FAMILIES`].
pub fn instances(family: &str, count: usize) -> Vec<Instance> {
    World::new(WORLD_SEED).training(family, count).expect("a task of the world")
}

/// Builds `count` pairs from instances of a family.
pub fn build(templates: &TemplateSet, instances: &[Instance], family: &str, count: usize, seed: u64) -> Vec<Pair> {
    let task = Task::named(family).expect("a task of the world");
    PairBuilder::new(templates, seed).build(&task, instances, count).expect("the world has pairs").0
}

/// Builds `count` pairs of all families.
pub fn sampled(count: usize) -> Vec<Pair> {
    demo::pairs(1, count).expect("the world has pairs")
}

/// Returns the two texts of a pair, each with the answer.
pub fn texts(template: &PromptTemplate, pair: &Pair) -> [String; 2] {
    [&pair.original_instruction, &pair.paraphrased_instruction]
        .map(|text| format!("{}{}", template.fill(text).render(), pair.targets))
}

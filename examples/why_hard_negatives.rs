//! Shows why the contrastive loss uses another instance of the same task as its negative. It measures how close a model's
//! hidden states are for the same instance in another wording, for another instance in the same wording, and for another task.
//!
//! Command: `cargo run --release -p coin-examples --example why_hard_negatives [-- MODEL [ADAPTER]]`
//!          MODEL is a model folder, by default that of the demo. After `coin demo --out demo`, compare
//!          `-- demo/base demo/cit/adapter` and `-- demo/base demo/coin/adapter`.
//! Output:  for each kind of pair, the number of pairs, the mean cosine, its 5th and 95th percentile, and the AUROC: the
//!          probability that the same instance in another wording has the larger cosine. For other tasks it is near 1: the
//!          model already separates them, so they are poor negatives. For other instances it is lower, so there is something
//!          to learn. With the demo's base:
//! ```text
//! | pair | pairs | mean cosine | 5 % | 95 % | AUROC |
//! |---|---|---|---|---|---|
//! | same instance, other wording | 7200 | 0.948 | 0.631 | 1.000 | - |
//! | same task and wording, other instance | 14400 | 0.610 | 0.191 | 0.997 | 0.866 |
//! | other task | 14400 | 0.219 | -0.070 | 0.831 | 0.979 |
//! ```
//! Time:    5 s on two cores shared with other work, a development build; 1,440 prompts, 42 MB.

use std::path::Path;

use anyhow::{Context, Result};
use coin::analysis::{Representations, StateLabel, separation};
use coin::data::{Prompt, TRAINING_MARKER, Task};
use coin::demo::World;
use coin::demo::{FAMILIES, WORLD_SEED};
use coin::eval::{GenerateOptions, InstructionSet, LanguageModel};
use coin::model::WeightFormat;
use coin::{device, model_folder};

const INSTANCES: usize = 30;
const INSTRUCTIONS: usize = 3;
/// Number of states per kind that each state is compared with.
const PARTNERS: usize = 10;
const SEED: u64 = 42;
const DEMO_BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/coin/assets/demo-base");

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| DEMO_BASE.to_owned());
    let adapter = arguments.next();
    let device = device::named("cpu")?;
    let (mut model, _) = model_folder::for_evaluation(
        Path::new(&model),
        adapter.as_deref().map(Path::new),
        WeightFormat::default(),
        &device,
        model_folder::engine_options(&device),
    )?;

    let world = World::new(WORLD_SEED);
    let set = InstructionSet::demo();
    // A state needs only the prompt; 1 is the minimum number of new tokens.
    let options = GenerateOptions { max_new_tokens: 1, hidden: true };
    let mut states = Representations::new(model.fingerprint());
    for name in FAMILIES {
        let task = Task::named(name)?;
        let instances = world.evaluation(name, INSTANCES)?;
        for level in ["clean", "semantic"] {
            for (instruction, text) in set.get(level, &task)?.iter().take(INSTRUCTIONS).enumerate() {
                let prompt = |instance| {
                    let content = task.content(instance)?;
                    Ok(Prompt::new(text.as_str(), content).with_marker(TRAINING_MARKER))
                };
                let prompts = instances.iter().map(prompt).collect::<Result<Vec<_>>>()?;
                let generations = model.generate_all(&prompts, &options, &|_| true)?;
                for (instance, generation) in instances.iter().zip(generations) {
                    let (row, gold) = (instance.row, instance.label);
                    let label = StateLabel { task: name, level, instruction, row, gold, predicted: None };
                    states.push(&label, &generation.hidden.context("the model does not report hidden states")?)?;
                }
            }
        }
    }

    let found = separation(&states, PARTNERS, SEED)?;
    println!("{} states of {} numbers, tasks: {}\n", states.len(), states.width(), states.tasks().join(", "));
    println!("| pair | pairs | mean cosine | 5 % | 95 % | AUROC |");
    println!("|---|---|---|---|---|---|");
    for (pair, cosine, area) in [
        ("same instance, other wording", &found.other_wording, None),
        ("same task and wording, other instance", &found.other_instance, Some(found.wording_or_instance)),
        ("other task", &found.other_task, Some(found.wording_or_task)),
    ] {
        let [_, low, _, _, _, high, _] = cosine.quantiles;
        let area = area.map_or("-".to_owned(), |area| format!("{area:.3}"));
        println!("| {pair} | {} | {:.3} | {low:.3} | {high:.3} | {area} |", cosine.count, cosine.mean);
    }
    Ok(())
}

//! Measures robustness to the wording of a system prompt and of demonstrations. Any part of a prompt can be varied.
//!
//! Shows: the same questions and instruction with a perturbed system text, or with perturbed demonstrations.
//! Command: `cargo run --release -p coin-examples --example system_prompt_robustness [-- MODEL [ADAPTER]]`
//! Output:  The base was trained without demonstrations, so they hurt it in any wording.
//! ```text
//! accuracy in %, perturbed: system
//! level          system  cosine system
//! ------------------------------------
//! clean      81.2 ± 3.3              –
//! character  71.2 ± 5.5          0.923
//! word       81.9 ± 1.6          0.949
//! sentence   75.0 ± 2.5          0.951
//! average    77.3 ± 3.2          0.941
//!
//! accuracy in %, perturbed: demonstrations
//! level      demonstrations  cosine demonstrations
//! ------------------------------------------------
//! clean          56.7 ± 5.9                      –
//! character      64.0 ± 1.6                  0.724
//! word           54.2 ± 2.6                  0.904
//! sentence       63.5 ± 1.5                  0.905
//! average        59.6 ± 2.9                  0.844
//! ```
//! Time:    20 s, 49 MB: measured on two cores shared with other work, a development build; a release build is faster.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use coin::data::{Component, Demonstration, Task};
use coin::demo::World;
use coin::eval::context::{self, PromptContext};
use coin::eval::levels::CLEAN;
use coin::eval::{Evaluation, InstructionSet, Ledger, Summary, metrics};
use coin::model::WeightFormat;
use coin::perturb::{Instructions, LabelWords, attack_named, perturb_set};
use coin::report::tables::{self, Form};
use coin::{demo, device, model_folder};

const SEED: u64 = 42;
const SAMPLES: usize = 40;
const LEVELS: [&str; 3] = ["deepwordbug", "textfooler", "checklist"];
const SYSTEM: &str = "You are a careful assistant. Read the question and answer with one of the given words.";
const DEMO_BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/coin/assets/demo-base");

/// Returns `texts` clean and under each attack: level, key, texts.
fn perturbed(texts: Instructions, labels: &LabelWords) -> Result<BTreeMap<String, Instructions>> {
    let attacks = LEVELS.into_iter().map(attack_named).collect::<Result<Vec<_>, _>>()?;
    Ok(perturb_set(&texts, &attacks, labels, SEED)?.sets().clone())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().unwrap_or_else(|| DEMO_BASE.to_owned());
    let adapter = arguments.next();
    let device = device::named("cpu")?;
    let options = model_folder::engine_options(&device);
    let adapter = adapter.as_deref().map(Path::new);
    let (mut model, _) =
        model_folder::for_evaluation(Path::new(&base), adapter, WeightFormat::default(), &device, options)?;

    let world = World::new(demo::WORLD_SEED);
    let tasks = ["sst2", "cola"].into_iter().map(Task::named).collect::<Result<Vec<_>, _>>()?;
    let labels: LabelWords = tasks.iter().map(|task| (task.name.clone(), task.label_words())).collect();

    let all_labels: LabelWords = [("system".to_owned(), labels.values().flatten().cloned().collect())].into();
    let systems = perturbed([("system".to_owned(), vec![SYSTEM.to_owned()])].into(), &all_labels)?;
    let system = systems.into_iter().map(|(level, texts)| (level, texts["system"][0].clone())).collect();

    // Two demonstrations per task from the training half, with unchanged answers.
    let mut shown: BTreeMap<String, Vec<Demonstration>> = BTreeMap::new();
    for task in &tasks {
        shown.insert(task.name.clone(), context::demonstrations(task, &world.training(&task.name, 20)?, 2, SEED)?.0);
    }
    let inputs = |shown: &Vec<Demonstration>| shown.iter().map(|shown| shown.input.clone()).collect();
    let texts = shown.iter().map(|(task, shown)| (task.clone(), inputs(shown))).collect();
    let mut demonstrations: BTreeMap<String, BTreeMap<String, Vec<Demonstration>>> = BTreeMap::new();
    for (level, tasks) in perturbed(texts, &labels)? {
        for (task, inputs) in tasks {
            let answers = shown[&task].iter().map(|shown| shown.answer.clone());
            let list = inputs.into_iter().zip(answers).map(|(input, answer)| Demonstration { input, answer }).collect();
            demonstrations.entry(task).or_default().insert(level.clone(), list);
        }
    }

    for (name, component, context) in [
        ("system", Component::System, PromptContext { system, ..PromptContext::default() }),
        ("demonstrations", Component::Demonstrations, PromptContext { demonstrations, ..PromptContext::default() }),
    ] {
        let evaluation = Evaluation {
            levels: std::iter::once(CLEAN).chain(LEVELS).map(str::to_owned).collect(),
            component,
            context,
            samples: SAMPLES,
            seed: SEED,
            ..Evaluation::new(tasks.clone(), InstructionSet::demo())
        };
        let folder = tempfile::tempdir()?;
        let mut ledger = Ledger::create(folder.path().join("ledger.jsonl"))?;
        let examples = |task: &Task| world.evaluation(&task.name, 4 * SAMPLES);
        let records = evaluation.run(&mut model, &examples, &mut ledger, &mut |_, _| ())?;
        // Two tables, because prompts with demonstrations are longer and the experiments differ in more than one respect.
        let summary = Summary::new(Default::default(), vec![metrics::score(name, &records)?]);
        println!("accuracy in %, perturbed: {name}\n{}", tables::accuracy_by_level(&summary, Form::Terminal).to_text());
    }
    Ok(())
}

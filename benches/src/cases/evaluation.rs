//! GLUE evaluation: the demo's base model on the demo world's CoLA, with every instruction and answers of 7 tokens.

use std::path::PathBuf;

use burn::tensor::Device;
use coin::data::{DataError, Instance, Task};
use coin::demo;
use coin::demo::World;
use coin::eval::levels::CLEAN;
use coin::eval::llama::{EngineOptions, LlamaModel};
use coin::eval::{Evaluation, InstructionSet, Ledger};
use coin::model::WeightFormat;
use coin::model_folder;

use super::{Case, Work, tokenizing};
use crate::decoder::Size;
use crate::{flops, machine};

/// Number of examples; each is combined with every instruction.
const EXAMPLES: usize = 50;

/// Two cases: rows stop once the answer is certain, as in `coin eval`, or generate all tokens.
pub fn cases() -> Vec<Case> {
    let prompts = prompts();
    let case = |variant, full_decode| Case {
        name: "evaluation/cola".to_owned(),
        variant,
        on_device: true,
        // If rows stop early, the operations are not known in advance.
        flops: if full_decode { needed(&prompts) } else { 0.0 },
        bytes: 0.0,
        memory: 0.0,
        items: (prompts.len() as f64, "answers"),
        prepare: Box::new(move |device| Box::new(Run::new(full_decode, device)) as Box<dyn Work>),
    };
    vec![case("", false), case("full decoding", true)]
}

fn evaluation(full_decode: bool) -> Evaluation {
    Evaluation {
        levels: vec![CLEAN.to_owned()],
        samples: EXAMPLES,
        full_decode,
        hidden: false,
        ..Evaluation::new(vec![Task::named("cola").expect("a built-in task")], InstructionSet::demo())
    }
}

fn examples(task: &Task) -> Result<Vec<Instance>, DataError> {
    World::new(demo::WORLD_SEED).evaluation(&task.name, EXAMPLES)
}

/// The tokens of every prompt.
fn prompts() -> Vec<Vec<u32>> {
    let tokenizer = tokenizing::demo();
    let evaluation = evaluation(true);
    let plan = evaluation.plan(&examples).expect("the world has examples");
    let mut prompts = Vec::new();
    for unit in plan.units() {
        for example in unit.examples {
            let prompt = plan.prompt(&unit, example).expect("the plan was checked");
            prompts.push(tokenizer.encode(&prompt.render()).expect("a text"));
        }
    }
    prompts
}

/// Operations of generating all tokens. Common prefixes of prompts are computed once.
fn needed(prompts: &[Vec<u32>]) -> f64 {
    let (size, new) = (demo_size(), evaluation(true).max_new_tokens);
    let mut sorted: Vec<&Vec<u32>> = prompts.iter().collect();
    sorted.sort();
    let shared = |at: usize| match at.checked_sub(1) {
        Some(before) => sorted[before].iter().zip(sorted[at]).take_while(|(one, other)| one == other).count(),
        None => 0,
    };
    let of_row = |at: usize| {
        let length = sorted[at].len();
        flops::of_tokens(&size, 0, shared(at).min(length), length) + flops::of_continuation(&size, 0, length, new)
    };
    (0..sorted.len()).map(of_row).sum()
}

fn demo_size() -> Size {
    let config = tokenizing::demo_config();
    Size {
        name: "demo",
        width: config.hidden_size,
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        ff: config.intermediate_size,
        vocab: config.vocab_size,
        pairs: 0,
        seq: 0,
    }
}

/// An evaluation, its model and its ledger.
struct Run {
    evaluation: Evaluation,
    model: LlamaModel,
    ledger: PathBuf,
}

impl Run {
    fn new(full_decode: bool, device: &Device) -> Self {
        let folder = std::env::temp_dir().join(format!("coin-bench-evaluation-{}", std::process::id()));
        demo::write_base(&folder).expect("the folder can be written");
        let options = model_folder::engine_options(device);
        let options = EngineOptions { threads: options.threads.min(machine::threads()), ..options };
        let (model, _) = model_folder::for_evaluation(&folder, None, WeightFormat::default(), device, options)
            .expect("the demo's model can be read");
        std::fs::remove_dir_all(&folder).expect("the folder is there");
        let name = format!("coin-bench-evaluation-{}-{full_decode}.jsonl", std::process::id());
        Run { evaluation: evaluation(full_decode), model, ledger: std::env::temp_dir().join(name) }
    }
}

impl Work for Run {
    fn run(&mut self) {
        let mut ledger = Ledger::create(&self.ledger).expect("the folder can be written");
        let records = self.evaluation.run(&mut self.model, &examples, &mut ledger, &mut |_, _| ());
        records.expect("the demo's model answers");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The ledger does not exist if the case never ran.
        let _ = std::fs::remove_file(&self.ledger);
    }
}

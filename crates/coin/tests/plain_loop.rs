//! Compares the engine with a plain loop: one prompt at a time, without batches, padding, shared prefixes or early stopping.
//!
//! `COIN_EVAL_EXAMPLES` is the number of CoLA's 1043 development sentences to evaluate under each of 30 instructions (default 8).
//! Answers must be equal unless they contain a near-tie; the number of near-ties is printed. `COIN_EVAL_ADAPTER` names an adapter
//! for the real model, and `COIN_EVAL_NEW_TOKENS` is its number of new tokens.

use std::path::PathBuf;

use burn::tensor::Device;
use coin::data::glue::{self, Split};
use coin::data::{Instance, Task};
use coin::demo::World;
use coin::eval::llama::{EngineOptions, LlamaModel};
use coin::eval::metrics::NEAR_TIE;
use coin::eval::parser::released;
use coin::eval::{Evaluation, InstructionSet, Ledger, Record};
use coin::model::generate::{GenerateOptions, generate};
use coin::model::{Llama, TextTokenizer, WeightFormat};
use coin::model_folder;
use coin_testkit::{demo_base, test_data};

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A model folder with an adapter and the number of new tokens.
struct Asked {
    folder: PathBuf,
    adapter: Option<PathBuf>,
    new_tokens: usize,
}

impl Asked {
    fn demo() -> Self {
        Asked { folder: demo_base(), adapter: None, new_tokens: 7 }
    }

    fn llama(&self) -> (Llama, TextTokenizer) {
        let device = Device::flex();
        let format = WeightFormat::default();
        let (llama, _) = model_folder::open(&self.folder, self.adapter.as_deref(), format, &device).unwrap();
        let tokenizer = TextTokenizer::read(&self.folder, llama.config()).unwrap();
        (llama, tokenizer)
    }

    fn engine(&self, evaluation: &Evaluation, examples: &[Instance], options: EngineOptions) -> Vec<Record> {
        let (llama, tokenizer) = self.llama();
        let mut model = LlamaModel::new(llama, tokenizer, options, "tested");
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
        evaluation.run(&mut model, &|_| Ok(examples.to_vec()), &mut ledger, &mut |_, _| ()).unwrap()
    }

    /// The token ids and class of every answer, in the order of `records`.
    fn plain(&self, evaluation: &Evaluation, examples: &[Instance], records: &[Record]) -> Vec<(Vec<u32>, i64)> {
        let (llama, tokenizer) = self.llama();
        let plan = evaluation.plan(&|_| Ok(examples.to_vec())).unwrap();
        let options = GenerateOptions {
            max_new_tokens: self.new_tokens,
            batch_size: 1,
            memory: None,
            threads: 1,
            eos: tokenizer.eos().to_vec(),
            hidden: false,
            sampling: None,
        };
        let answer = |record: &Record| {
            let ids = tokenizer.encode(&plan.input_text(record).unwrap()).unwrap();
            let ids = generate(&llama, &[ids], &options, |_, _| false).unwrap().remove(0).ids;
            let class = released::parse(&evaluation.tasks[0], &tokenizer.decode(&ids).unwrap());
            (ids, class.map_or(-1, |class| class as i64))
        };
        records.iter().map(answer).collect()
    }

    /// Compares the plain loop with batches of several sizes, with and without early stopping.
    fn compare(&self, name: &str, instructions: InstructionSet, task: &str, examples: &[Instance]) {
        let samples = examples.len();
        let base = Evaluation::new(vec![Task::named(task).unwrap()], instructions);
        let evaluation = Evaluation { samples, max_new_tokens: self.new_tokens, hidden: false, ..base };
        let full = Evaluation { full_decode: true, ..evaluation.clone() };
        let options = |batch_size, threads| EngineOptions { batch_size, threads, memory: None };
        let whole = self.engine(&full, examples, options(64, 2));
        let plain = self.plain(&full, examples, &whole);
        let near = |record: &Record| record.margin.is_some_and(|margin| margin < NEAR_TIE);
        let others = [options(1, 1), options(7, 2)].map(|options| self.engine(&full, examples, options));
        let stopped = self.engine(&evaluation, examples, options(64, 2));
        for (index, (ids, class)) in plain.iter().enumerate() {
            for record in [&whole[index], &others[0][index], &others[1][index]] {
                let place = (&record.level, record.instruction, record.row);
                assert!(near(record) || (&record.token_ids, &record.pred) == (ids, class), "{name}: {place:?}");
            }
            let (early, end) = (&stopped[index], &whole[index]);
            assert!(near(end) || early.pred == *class, "{name}: {early:?}");
            assert!(near(end) || ids.starts_with(&early.token_ids), "{name}: {early:?}");
        }
        let parsed = plain.iter().filter(|(_, class)| *class >= 0).count();
        let tokens = |records: &[Record]| records.iter().map(|record| record.token_ids.len()).sum::<usize>();
        println!(
            "{name}: {} answers equal those of the plain loop; {} contain a near-tie; {parsed} parse; {} tokens, {} with early stopping",
            plain.len(),
            whole.iter().filter(|record| near(record)).count(),
            tokens(&whole),
            tokens(&stopped),
        );
    }
}

/// CoLA's development sentences and the instructions of the released program.
fn cola(test: &str) -> Option<(Vec<Instance>, InstructionSet)> {
    let (glue, prompts) = (test_data(test, "glue")?, test_data(test, "coin/perturbed_prompts.json")?);
    let mut examples = glue::read(glue, "cola", Split::Validation).unwrap();
    examples.truncate(number("COIN_EVAL_EXAMPLES", 8));
    Some((examples, InstructionSet::read(prompts).unwrap()))
}

#[test]
fn the_demo_model_on_its_world() {
    let demo = Asked::demo();
    for task in ["cola", "mnli", "qqp"] {
        // The number of levels of a usual evaluation.
        let mut evaluated = InstructionSet::demo();
        let clean = evaluated.level("clean").unwrap().clone();
        for level in ["deepwordbug", "textfooler", "checklist"] {
            let marked = |texts: &Vec<String>| texts.iter().map(|text| format!("{level} {text}")).collect();
            let tasks = clean.iter().map(|(task, texts)| (task.clone(), marked(texts))).collect();
            evaluated = evaluated.with_level(level, tasks).unwrap();
        }
        demo.compare(&format!("demo model, {task}"), evaluated, task, &World::new(1).evaluation(task, 6).unwrap());
    }
}

#[test]
fn the_demo_model_on_cola() {
    let Some((examples, instructions)) = cola("the_demo_model_on_cola") else { return };
    Asked::demo().compare("demo model, CoLA", instructions, "cola", &examples);
}

#[test]
fn a_real_llama_on_cola() {
    let Some((examples, instructions)) = cola("a_real_llama_on_cola") else { return };
    let Some(folder) = test_data("a_real_llama_on_cola", "weights/stories260K-hf") else { return };
    let adapter = std::env::var_os("COIN_EVAL_ADAPTER").map(PathBuf::from);
    let asked = Asked { folder, adapter, new_tokens: number("COIN_EVAL_NEW_TOKENS", 7) };
    asked.compare("260K LLaMA, CoLA", instructions, "cola", &examples);
}

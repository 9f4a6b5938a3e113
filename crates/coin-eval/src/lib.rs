//! Robustness evaluation of instruction-tuned models.
//!
//! A model answers the same questions under clean instructions and under instructions perturbed at four levels. The
//! evaluation measures its accuracy, and how much the accuracy depends on the wording. The parts, in the order in which
//! a run uses them:
//!
//! | | |
//! |---|---|
//! | [`InstructionSet`], [`context`] | clean and perturbed instructions by level and task; system text and demonstrations |
//! | [`sample`] | draws the examples of a task that are evaluated |
//! | [`Evaluation`], [`Plan`] | the settings of an evaluation; its prompts, and the run, which asks the model for answers missing from the ledger |
//! | [`LanguageModel`] | the trait that a model implements; `llama` and `openai` under features of these names |
//! | [`parser`] | reads a class from a model's answer, and decides when generation may stop |
//! | [`Ledger`] | one line per answer; everything below needs only these records |
//! | [`metrics`], [`Summary`] | accuracy, spread, change from clean, robustness; `summary.json` |
//! | [`statistics`] | intervals of a run, tests between two runs |
//! | [`flips`] | answers that change with the wording, and examples of them |
//! | [`collect_states`] | hidden states of the prompts, for `coin-analysis` |
//! | [`folder`] | the files that an evaluation writes, including those in the released program's CSV layout |
//! | [`wordings`] | one input under several wordings, side by side |
//!
//! `coin-report` presents the numbers as tables for a terminal, or as an HTML or Markdown page.
//!
//! # Example
//! A model that always answers `acceptable`, on four sentences and two instructions:
//! ```
//! use coin_data::{Instance, Prompt, Task};
//! use coin_eval::{Decided, Evaluation, Finished, GenerateOptions, Generation, InstructionSet, LanguageModel, Ledger, ModelError, metrics};
//!
//! struct Always;
//! impl LanguageModel for Always {
//!     fn generate(
//!         &mut self, prompts: &[Prompt], _: &GenerateOptions, _: Decided<'_>, finished: Finished<'_>,
//!     ) -> Result<(), ModelError> {
//!         let answer = Generation { text: "acceptable".to_owned(), ..Generation::default() };
//!         finished(vec![answer; prompts.len()].into_iter().enumerate().collect())
//!     }
//!     fn fingerprint(&self) -> String {
//!         "always".to_owned()
//!     }
//! }
//!
//! let instructions = InstructionSet::parse(r#"{"clean": {"cola": ["Is this good English? ", "Judge: "]}}"#, "inline")?;
//! let mut evaluation = Evaluation::new(vec![Task::named("cola")?], instructions);
//! evaluation.levels = vec!["clean".to_owned()];
//! let sentence = |row: usize| Instance::new("cola", row, [("sentence", "The boat sank.")], usize::from(row > 0));
//!
//! let folder = tempfile::tempdir()?;
//! let mut ledger = Ledger::create(folder.path().join("ledger.jsonl"))?;
//! let examples = |_: &Task| Ok((0..4).map(sentence).collect());
//! let records = evaluation.run(&mut Always, &examples, &mut ledger, &mut |_, _| ())?;
//! let run = metrics::score("always", &records)?;
//! assert_eq!(run.tasks[0].measures.accuracy, 0.75);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod answer_key;
mod engine;
mod error;
pub mod flips;
pub mod folder;
pub mod levels;
pub mod metrics;
pub mod parser;
mod run;
mod setup;
pub mod statistics;

pub use answer_key::answer_key;
#[cfg(feature = "llama")]
pub use engine::llama;
pub use engine::model::{
    Decided, Finished, FinishedLikelihoods, GenerateOptions, Generation, LanguageModel, LogLikelihood, ModelError,
};
#[cfg(feature = "openai")]
pub use engine::openai;
pub use error::EvalError;
pub use metrics::summary::{Bootstrap, RunSummary, Summary};
pub use run::accuracy::TaskAccuracy;
pub use run::ledger::{Ledger, Record};
pub use run::plan::{Plan, Unit};
pub use run::prompt_texts::{PromptText, PromptTexts};
pub use run::states::collect_states;
pub use run::wordings;
pub use setup::context;
pub use setup::instructions::{InstructionSet, TaskInstructions};
pub use setup::sampling::sample;
pub use setup::settings::{Evaluation, LongPrompts, Preset};

//! Robustness evaluation of instruction-tuned models.
//!
//! A model is asked the same questions under instructions that are clean or perturbed at four levels; what counts is
//! how accurate it is, and how much that depends on the wording. The parts, in the order in which a run uses them:
//!
//! | module | what it does |
//! |---|---|
//! | [`instructions`] | clean and perturbed instructions by level and task |
//! | [`sampling`] | which examples of a task are evaluated |
//! | [`surroundings`] | system text and demonstrations |
//! | [`evaluation`], [`plan`] | what is evaluated and how; every prompt of it |
//! | [`model`] | the trait that a model implements; `llama` and `openai` under features of these names |
//! | `run` | the loop: what the ledger lacks is asked of the model |
//! | [`scorer`] | from what a model says to a class, and when generation may stop |
//! | [`ledger`] | one line for each answer; everything below needs only these |
//! | [`metrics`], [`summary`] | accuracy, spread, change from clean, robustness; `summary.json` |
//! | [`statistics`] | intervals of a run, tests between two runs |
//! | [`flips`] | answers that change with the wording, and examples of them |
//! | [`collect_states`] | hidden states of the prompts, for `coin-analysis` |
//! | [`results`] | the released program's CSV layout |
//! | [`wordings`] | one input under several wordings, side by side |
//! | [`table`], [`report`] | the same numbers for a terminal, as HTML and as Markdown |
//!
//! # Example
//! A model that always answers `acceptable`, on four sentences and two instructions:
//! ```
//! use coin_data::{Instance, Prompt, Task};
//! use coin_eval::model::{Decided, Finished};
//! use coin_eval::{Evaluation, GenerateOptions, Generation, InstructionSet, LanguageModel, Ledger, ModelError, metrics};
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

// The tests' synthetic runs are shared with the tests in `tests/`, which see this crate from outside.
#[cfg(test)]
extern crate self as coin_eval;

pub mod accuracy;
mod answers;
mod collect_states;
pub mod error;
pub mod evaluation;
pub mod flips;
pub mod instructions;
mod layout;
pub mod ledger;
pub mod levels;
#[cfg(feature = "llama")]
pub mod llama;
pub mod metrics;
pub mod model;
#[cfg(feature = "openai")]
pub mod openai;
pub mod plan;
pub mod report;
pub mod results;
mod run;
pub mod sampling;
pub mod scorer;
pub mod statistics;
pub mod summary;
pub mod surroundings;
pub mod table;
pub mod wordings;

pub use accuracy::TaskAccuracy;
pub use collect_states::collect_states;
pub use error::EvalError;
pub use evaluation::{Evaluation, LongPrompts, Preset};
pub use instructions::InstructionSet;
pub use ledger::{Ledger, Record};
pub use model::{GenerateOptions, Generation, LanguageModel, Likelihood, ModelError};
pub use plan::Plan;
pub use report::{Curve, CurvePoint, HeldOutPoint, Report};
pub use scorer::Scorer;
pub use summary::{Bootstrap, Comparison, RunSummary, Summary};
pub use surroundings::Surroundings;
pub use wordings::Wordings;

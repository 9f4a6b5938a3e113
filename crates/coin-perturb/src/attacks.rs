//! The attacks, and the parts that several of them share.

mod bertattack;
mod character_edits;
mod checklist;
mod deepwordbug;
mod ending;
mod homoglyphs;
mod model_paraphrase;
mod paraphrase;
mod stresstest;
mod substitution;
mod textbugger;
mod textfooler;

pub use bertattack::BertAttack;
pub use checklist::CheckList;
pub use deepwordbug::DeepWordBug;
pub use model_paraphrase::{ModelParaphrase, Rewriter};
pub use paraphrase::Paraphrase;
pub use stresstest::StressTest;
pub use textbugger::TextBugger;
pub use textfooler::TextFooler;

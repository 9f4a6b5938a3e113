//! Running a plan into a ledger of answers, and the other modules that query a model.

pub(crate) mod accuracy;
pub(crate) mod ledger;
pub(crate) mod plan;
pub(crate) mod prompt_texts;
mod rescoring;
mod runner;
pub(crate) mod states;
pub mod wordings;

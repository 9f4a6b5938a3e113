//! Names of the perturbation levels.
//!
//! A level is named by its attack, as in the released program's result folders.

/// The original instruction, without perturbation.
pub const CLEAN: &str = "clean";

/// The five levels of the paper's evaluation, in its order: clean, character, word, sentence and semantic.
pub const LEVELS: [&str; 5] = [CLEAN, "deepwordbug", "textfooler", "checklist", "semantic"];

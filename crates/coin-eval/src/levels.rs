//! Names of the perturbation levels.
//!
//! A level is named by its attack, as in the released program's result folders.

/// The instruction as it was written.
pub const CLEAN: &str = "clean";

/// The five levels of the paper's evaluation in its order: clean, then character, word, sentence and semantic.
pub const LEVELS: [&str; 5] = [CLEAN, "deepwordbug", "textfooler", "checklist", "semantic"];

/// What a level is called in tables and plots: the kind of change for the paper's five, else the name itself.
///
/// ```
/// assert_eq!(coin_eval::levels::title("textfooler"), "word");
/// assert_eq!(coin_eval::levels::title("stresstest"), "stresstest");
/// ```
pub fn title(level: &str) -> &str {
    match level {
        "deepwordbug" => "character",
        "textfooler" => "word",
        "checklist" => "sentence",
        other => other,
    }
}

/// What a task group is called in tables and plots.
///
/// ```
/// assert_eq!(coin_eval::levels::group_title("nli"), "natural language inference");
/// ```
pub fn group_title(group: &str) -> &str {
    match group {
        "nli" => "natural language inference",
        other => other,
    }
}

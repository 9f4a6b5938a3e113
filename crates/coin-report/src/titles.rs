//! What levels and task groups are called in tables and plots.

/// What a level is called: the kind of change for the paper's five, else the name itself.
///
/// ```
/// assert_eq!(coin_report::level_title("textfooler"), "word");
/// assert_eq!(coin_report::level_title("stresstest"), "stresstest");
/// ```
pub fn level_title(level: &str) -> &str {
    match level {
        "deepwordbug" => "character",
        "textfooler" => "word",
        "checklist" => "sentence",
        other => other,
    }
}

/// What a task group is called.
///
/// ```
/// assert_eq!(coin_report::group_title("nli"), "natural language inference");
/// ```
pub fn group_title(group: &str) -> &str {
    match group {
        "nli" => "natural language inference",
        other => other,
    }
}

/// Names in the order in which they first come, each once.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

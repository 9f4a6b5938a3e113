//! Display names of levels and task groups in tables and plots.

/// Returns the display name of a level: the kind of change for the paper's five levels, and the name itself for others.
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

/// Returns the display name of a task group.
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

/// Returns the distinct names in order of first appearance.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

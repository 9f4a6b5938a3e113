//! Settings as a table: one column, or the runs side by side with a mark on settings that differ.

use serde_json::{Map, Value};

use crate::report::Report;
use crate::table::{DIFFERS, Table};

/// Maximum number of characters shown of a value. A system text may have any length.
const LONGEST: usize = 1000;

/// One row for each setting. Settings in nested tables have dotted names.
pub(crate) fn settings(report: &Report) -> Table {
    let mut columns = vec!["setting".to_owned()];
    let mut rows: Vec<Vec<String>> = Vec::new();
    if report.settings.is_empty() {
        columns.push("value".to_owned());
        rows.extend(flatten(&report.summary.settings).into_iter().map(|(name, value)| vec![name, value]));
    } else {
        columns.extend(report.settings.iter().map(|(run, _)| run.clone()));
        for (place, (_, settings)) in report.settings.iter().enumerate() {
            for (name, value) in flatten(settings) {
                let row = match rows.iter().position(|row| row[0] == name) {
                    Some(row) => row,
                    None => {
                        let mut row = vec!["–".to_owned(); columns.len()];
                        row[0] = name;
                        rows.push(row);
                        rows.len() - 1
                    }
                };
                rows[row][place + 1] = value;
            }
        }
        for row in rows.iter_mut().filter(|row| row[2..].iter().any(|value| *value != row[1])) {
            row[0].insert_str(0, DIFFERS);
        }
    }
    for value in rows.iter_mut().flat_map(|row| &mut row[1..]) {
        if let Some((end, _)) = value.char_indices().nth(LONGEST) {
            *value = format!("{}… ({} characters)", &value[..end], value.chars().count());
        }
    }
    let mut version = vec![report.summary.tool_version.clone(); columns.len()];
    version[0] = "tool_version".to_owned();
    rows.push(version);
    Table { columns, rows }
}

/// Returns dotted names and values as text.
fn flatten(settings: &Map<String, Value>) -> Vec<(String, String)> {
    fn collect(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    collect(&format!("{name}.{key}"), value, rows);
                }
            }
            Value::Array(values) => {
                rows.push((name.to_owned(), values.iter().map(text).collect::<Vec<_>>().join(", ")))
            }
            other => rows.push((name.to_owned(), text(other))),
        }
    }
    let mut rows = Vec::new();
    for (key, value) in settings {
        collect(key, value, &mut rows);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_eval::Summary;

    #[test]
    fn a_huge_value_is_cut() {
        let long = serde_json::json!({"system": "é".repeat(5000)});
        let report = Report::new(Summary::new(long.as_object().cloned().unwrap_or_default(), Vec::new()));
        let value = &settings(&report).rows[0][1];
        assert!(value.ends_with("é… (5000 characters)") && value.chars().count() < LONGEST + 30, "{value}");
    }

    #[test]
    fn runs_stand_side_by_side_and_differences_are_marked() {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        let first = serde_json::json!({"seed": 1, "levels": ["clean", "word"], "lora": {"rank": 8}});
        let second = serde_json::json!({"seed": 1, "lora": {"rank": 16}, "levels": ["clean", "word"], "device": "cpu"});
        let mut report = Report::new(Summary::new(map(first.clone()), Vec::new()));
        let version = report.summary.tool_version.clone();
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let alone = settings(&report);
        assert_eq!(alone.columns, ["setting", "value"]);
        assert_eq!(alone.rows[0], row(&["levels", "clean, word"]));
        assert_eq!(alone.rows.last(), Some(&row(&["tool_version", &version])));
        report.settings = vec![("cit".to_owned(), map(first)), ("coin".to_owned(), map(second))];
        let rows = settings(&report).rows;
        let expected = [
            row(&["levels", "clean, word", "clean, word"]),
            row(&["≠ lora.rank", "8", "16"]),
            row(&["seed", "1", "1"]),
            row(&["≠ device", "–", "cpu"]),
            row(&["tool_version", &version, &version]),
        ];
        assert_eq!(rows, expected);
    }
}

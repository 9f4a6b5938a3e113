//! Reports: lines of JSON and a Markdown table.

use serde_json::{Map, Value, json};

use crate::cases::Case;
use crate::measure::Measured;
use crate::peak::Peak;
use crate::timing::{object, rounded, significant};

/// Returns a case's line of JSON, to which the caller adds the fields of
/// [`machine::described`](crate::machine::described).
pub fn line(case: &Case, measured: &Measured, peak: Option<Peak>) -> Map<String, Value> {
    let seconds = measured.timing.median();
    let mut line = measured.timing.fields(case.flops);
    let (items, unit) = case.items;
    line.append(&mut object(json!({
        "mode": "case",
        "family": case.family(),
        "case": case.name,
        "variant": case.variant,
        "bytes": case.bytes,
        "gb_per_second": rounded(case.bytes / seconds / 1e9, 2),
        "items": items,
        "unit": unit,
        "items_per_second": significant(items / seconds),
        "share_of_peak": share(case, seconds, peak).map(|(share, _)| rounded(share, 4)),
        "memory_mb": rounded(measured.timing.memory_mb(), 1),
        "values": measured.values,
    })));
    line
}

/// Returns the share of the peak, if it is known; see [`Peak::share`].
fn share(case: &Case, seconds: f64, peak: Option<Peak>) -> Option<(f64, bool)> {
    peak.and_then(|peak| peak.share(case.flops, case.bytes, seconds))
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cells.
    cells: Vec<String>,
}

/// The columns of the table.
const COLUMNS: [&str; 9] =
    ["case", "device", "seconds", "quartiles", "a second", "GFLOP", "MB", "GFLOP/s", "share of peak"];

impl Row {
    /// Creates the row of a case on the device named `device`.
    pub fn new(case: &Case, device: &str, measured: &Measured, peak: Option<Peak>) -> Self {
        let timing = &measured.timing;
        let seconds = timing.median();
        let counted = |value: f64| if value > 0.0 { figure(value) } else { "–".to_owned() };
        let share = share(case, seconds, peak)
            .map(|(share, of_bytes)| format!("{:.0} %{}", 100.0 * share, if of_bytes { " of the copy" } else { "" }));
        let quartiles = [0.25, 0.75].map(|share| figure(timing.quantile(share)));
        let (items, unit) = case.items;
        let cells = vec![
            case.title(),
            device.to_owned(),
            figure(seconds),
            if timing.runs() > 1 { quartiles.join(" to ") } else { "one run".to_owned() },
            format!("{} {unit}", figure(items / seconds)),
            counted(case.flops / 1e9),
            counted(case.bytes / 1e6),
            counted(case.flops / seconds / 1e9),
            share.unwrap_or_else(|| "–".to_owned()),
        ];
        Row { cells }
    }
}

/// Formats the rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    markdown(&COLUMNS, rows.iter().map(|row| row.cells.clone()))
}

/// Formats a Markdown table.
pub fn markdown(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = line(columns.iter().map(|&column| column.to_owned()).collect());
    let rule = format!("|{}\n", "---|".repeat(columns.len()));
    head + &rule + &rows.map(line).collect::<String>()
}

/// Formats a number with three significant digits, or all digits before the decimal point.
pub fn figure(value: f64) -> String {
    let digits = if value > 0.0 { value.log10().floor() as i32 } else { 0 };
    format!("{value:.*}", (2 - digits).max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([0.0001234, 0.5, 12.34, 123456.7].map(figure), ["0.000123", "0.500", "12.3", "123457"]);
    }

    #[test]
    fn a_table_is_markdown() {
        let rows = [vec!["a".to_owned(), "1".to_owned()]];
        assert_eq!(markdown(&["name", "number"], rows.into_iter()), "| name | number |\n|---|---|\n| a | 1 |\n");
    }
}

//! Formatting of numbers in table cells.

use coin_eval::metrics::{Interval, Measures};

/// Formats a fraction in percent with one decimal.
pub(crate) fn percent(value: f64) -> String {
    format!("{:.1}", 100.0 * value)
}

/// Formats a difference of fractions in points, with its sign.
pub(crate) fn signed(value: f64) -> String {
    let text = format!("{:.1}", (100.0 * value).abs());
    match text.as_str() {
        "0.0" => text,
        _ if value < 0.0 => format!("−{text}"),
        _ => format!("+{text}"),
    }
}

pub(crate) fn spread(measures: &Measures) -> String {
    format!("{} ± {}", percent(measures.accuracy), percent(measures.std))
}

pub(crate) fn none() -> String {
    "–".to_owned()
}

/// Formats a difference in points with its sign and its interval in brackets.
pub(crate) fn with_interval(value: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(interval) => format!("{} [{}, {}]", signed(value), signed(interval.low), signed(interval.high)),
        None => signed(value),
    }
}

/// Formats accuracy, the spread over instructions, and the accuracy's interval in brackets.
pub(crate) fn in_full(measures: &Measures) -> String {
    match measures.accuracy_interval {
        Some(Interval { low, high }) => format!("{} [{}, {}]", spread(measures), percent(low), percent(high)),
        None => spread(measures),
    }
}

/// Formats an interval of shares in percent.
pub(crate) fn of_shares(interval: Interval) -> String {
    format!("[{}, {}]", percent(interval.low), percent(interval.high))
}

/// Formats an interval of a difference in points.
pub(crate) fn of_differences(interval: Interval) -> String {
    format!("[{}, {}]", signed(interval.low), signed(interval.high))
}

/// Formats a p-value with three decimals, rounded up so that a value shown as 0.050 is at most 0.050.
pub(crate) fn three_decimals(p: f64) -> String {
    // A multiple of 0.001 stays the same in spite of rounding in f64.
    let thousandths = (1000.0 * p - 1e-9).ceil();
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{:.3}", thousandths / 1000.0) }
}

/// Formats a value between -1 and 1 with three decimals.
pub(crate) fn thousandths(value: f64) -> String {
    format!("{value:.3}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_shown_as_they_are() {
        assert_eq!((signed(0.025), signed(-0.031), signed(-0.0001)), ("+2.5".into(), "−3.1".into(), "0.0".into()));
    }

    #[test]
    fn p_values_are_rounded_up() {
        let shown = [0.0009, 0.001, 0.0501, 0.05, 1.0].map(three_decimals);
        assert_eq!(shown, ["< 0.001", "0.001", "0.051", "0.050", "1.000"]);
    }
}

//! The result of the evaluation in one or two sentences, gains and losses alike.

use coin_eval::metrics::AVERAGE;
use coin_eval::{RunSummary, Summary};

use crate::tables::cells::{percent, signed};
use crate::tables::last_two;

/// Summarizes the evaluation in one or two sentences, gains and losses alike.
pub(crate) fn headline(summary: &Summary) -> String {
    let average = |run: &RunSummary| run.level(AVERAGE).cloned();
    if let Some((before, last)) = last_two(summary)
        && let (Some(a), Some(b)) = (average(before), average(last))
    {
        let interval = summary.comparison(&before.name, &last.name).and_then(|compared| compared.level(AVERAGE));
        let interval = interval.map(|found| {
            let (accuracy, std) = (found.accuracy_interval, found.std_interval);
            [accuracy, std].map(|of| format!(", 95 % interval {} to {}", signed(of.low), signed(of.high)))
        });
        let [of_accuracy, of_std] = interval.unwrap_or_default();
        return format!(
            "{last}: {} % accuracy on average over all levels, {before}: {} % (change {} points{of_accuracy}). Spread over \
             instructions (standard deviation): {last} {}, {before} {} points (change {}{of_std}).",
            percent(b.accuracy),
            percent(a.accuracy),
            signed(b.accuracy - a.accuracy),
            percent(b.std),
            percent(a.std),
            signed(b.std - a.std),
            last = last.name,
            before = before.name,
        );
    }
    let Some(run) = summary.runs.first() else {
        return "Training only: the tuned models have not been evaluated.".to_owned();
    };
    let shown = average(run).map_or(String::new(), |measures| {
        format!(
            "{} % accuracy on average over all levels, ± {} over instructions.",
            percent(measures.accuracy),
            percent(measures.std)
        )
    });
    format!("{}: {shown}", run.name)
}

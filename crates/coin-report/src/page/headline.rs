//! The result of the evaluation in one or two sentences, gains and losses alike.

use coin_eval::metrics::{AVERAGE, Comparison};
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
        return verdicts(summary, &before.name)
            + &format!(
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

/// What helped and what did not, if the summary compares several runs with the run `before`; otherwise nothing. A run helps, or does
/// harm, if the interval of its change excludes 0.
fn verdicts(summary: &Summary, before: &str) -> String {
    let compared: Vec<&Comparison> =
        summary.comparisons.iter().filter(|comparison| comparison.before == before).collect();
    if compared.len() < 2 {
        return String::new();
    }
    let verdict = |comparison: &&Comparison| {
        let found = comparison.level(AVERAGE)?;
        let interval = found.accuracy_interval;
        let effect = match (interval.low > 0.0, interval.high < 0.0) {
            (true, _) => "helps",
            (_, true) => "does harm",
            _ => "shows no difference",
        };
        Some(format!(
            "{} {effect} ({} points, 95 % interval {} to {})",
            comparison.after,
            signed(found.accuracy),
            signed(interval.low),
            signed(interval.high)
        ))
    };
    let verdicts: Vec<String> = compared.iter().rev().filter_map(verdict).collect();
    format!("Compared with {before}, {}. ", verdicts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn several_runs_are_judged_against_the_same_one() {
        let mut summary = synthetic::tested();
        assert!(!headline(&summary).contains("Compared with"));
        let (first, mut second) = (summary.comparisons[0].clone(), summary.comparisons[0].clone());
        (second.before, second.after) = (first.before.clone(), "another".to_owned());
        let change = |comparison: &mut Comparison, low: f64, high: f64| {
            let found = comparison.levels.iter_mut().find(|row| row.level == AVERAGE).expect("an average");
            (found.difference.accuracy_interval.low, found.difference.accuracy_interval.high) = (low, high);
        };
        for (low, high, effect) in [
            (0.01, 0.02, "another helps"),
            (-0.02, -0.01, "another does harm"),
            (-0.01, 0.02, "another shows no difference"),
        ] {
            change(&mut second, low, high);
            summary.comparisons = vec![first.clone(), second.clone()];
            let text = headline(&summary);
            assert!(text.starts_with(&format!("Compared with {}, {effect}", first.before)), "{text}");
        }
    }
}

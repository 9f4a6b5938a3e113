//! What a report shows of evaluated runs beside their summary.

use std::collections::BTreeSet;

use coin_analysis::{Representations, StateMap, UmapOptions};
use coin_eval::flips::Flips;
use coin_eval::folder::Evaluated;
use coin_eval::{Record, Summary};

use crate::curve::Curve;
use crate::error::ReportError;
use crate::report::Report;

/// Examples of changed answers that a report shows at most for a level, direction and run.
const EXAMPLES: usize = 3;

/// Hidden states that a map is made of at most.
const STATES_SHOWN: usize = 1500;

/// Fewer states make no map.
const FEWEST_STATES: usize = 30;

impl Report {
    /// A report of `summary` and `curves` with everything that the folders of `runs` give beside them: examples of changed
    /// answers, and maps of hidden states.
    ///
    /// # Errors
    /// [`ReportError::Analysis`] if hidden states cannot be mapped.
    pub fn of_runs(summary: Summary, curves: Vec<Curve>, runs: &[Evaluated]) -> Result<Report, ReportError> {
        // Answers about different examples are no answers to the same prompt.
        let last = &runs[runs.len().saturating_sub(1)..];
        let alike = runs.windows(2).all(|pair| pair[0].texts.contradicts(&pair[1].texts).is_none());
        let named: Vec<(&str, &[Record])> =
            (if alike { runs } else { last }).iter().map(|run| (run.name.as_str(), run.records.as_slice())).collect();
        let texts = |record: &Record| (if alike { runs } else { last }).iter().find_map(|run| run.texts.get(record));
        let flips = Flips::collect(&named, &texts, EXAMPLES, 42);
        let mut maps = Vec::new();
        for run in runs {
            if let Some(states) = &run.states {
                for task in states.tasks() {
                    let shown = shown(states, task);
                    if shown.len() >= FEWEST_STATES {
                        maps.push(StateMap::of(&run.name, task, &shown, &UmapOptions::default())?);
                    }
                }
            }
        }
        Ok(Report { curves, flips, maps, ..Report::new(summary) })
    }
}

/// The states of one task that are mapped: those under the first instruction at each level, as in the paper's figure, of as many
/// examples as can be shown.
fn shown(states: &Representations, task: &str) -> Representations {
    let first = states.only(|label| label.task == task && label.instruction == 0);
    let rows: BTreeSet<usize> = first.labels().map(|label| label.row).collect();
    let examples = rows.len() * STATES_SHOWN / first.len().max(1);
    let kept: BTreeSet<usize> = rows.into_iter().take(examples.max(1)).collect();
    first.only(|label| kept.contains(&label.row))
}

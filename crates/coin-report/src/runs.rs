//! Reports from the folders of evaluated runs: examples and maps in addition to the summary.

use std::collections::BTreeSet;

use coin_analysis::{Representations, StateMap, UmapOptions};
use coin_eval::flips::Flips;
use coin_eval::folder::Evaluated;
use coin_eval::{Record, Summary};

use crate::curve::Curve;
use crate::error::ReportError;
use crate::report::Report;

/// Maximum number of examples of changed answers for a level, direction and run.
const EXAMPLES: usize = 3;

/// Maximum number of hidden states in a map.
const STATES_SHOWN: usize = 1500;

/// Minimum number of states for a map.
const FEWEST_STATES: usize = 30;

impl Report {
    /// Creates a report of `summary` and `curves`, with examples of changed answers and maps of hidden states from the folders of
    /// `runs`.
    ///
    /// # Errors
    /// [`ReportError::Analysis`] if hidden states cannot be mapped.
    pub fn of_runs(summary: Summary, curves: Vec<Curve>, runs: &[Evaluated]) -> Result<Report, ReportError> {
        // If the runs disagree about the examples, their answers are not to the same prompts, so only the last run is shown.
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

/// Returns the states of one task to map: those under the first instruction at each level, as in the paper's figure, for as many
/// examples as can be shown.
fn shown(states: &Representations, task: &str) -> Representations {
    let first = states.only(|label| label.task == task && label.instruction == 0);
    let rows: BTreeSet<usize> = first.labels().map(|label| label.row).collect();
    let examples = rows.len() * STATES_SHOWN / first.len().max(1);
    let kept: BTreeSet<usize> = rows.into_iter().take(examples.max(1)).collect();
    first.only(|label| kept.contains(&label.row))
}

//! Similarity of hidden states under perturbed instructions to those under clean instructions.
//!
//! For every state at a perturbed level, this is the cosine with the clean state of the same task, instruction and example:
//!
//! ```text
//! cos(h, h_clean) = h·h_clean / (|h| |h_clean|)
//! ```
//!
//! The ledger records this cosine as `cosine_to_clean`. Here its distribution is reported, because a mean hides a few
//! instructions that fail. Sums are in f64. The paper shows a map instead (figure 3); this metric is not from the paper.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::distance::cosine;
use crate::distribution::Distribution;
use crate::states::CLEAN;
use crate::{AnalysisError, Representations};

/// Cosines of a perturbed level with the clean states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelAlignment {
    /// The task; `None` for all tasks together, with every state weighted equally.
    pub task: Option<String>,
    /// The perturbation level.
    pub level: String,
    /// The cosines.
    pub cosine: Distribution,
    /// Number of states excluded because they do not have a clean counterpart or one of the two is zero.
    pub unpaired: usize,
}

/// Computes the alignment of each perturbed level: first over all tasks together, then per task. Levels are in order of first
/// appearance.
///
/// A task and level without paired states does not get an entry.
///
/// # Errors
/// [`AnalysisError::Invalid`] if no perturbed state has a clean counterpart.
///
/// ```
/// use coin_analysis::{Representations, StateLabel, alignment};
/// let clean = StateLabel { task: "cola", level: "clean", instruction: 0, row: 7, gold: 1, predicted: None };
/// let mut states = Representations::new("model");
/// states.push(&clean, &[1.0, 0.0])?;
/// states.push(&StateLabel { level: "semantic", ..clean }, &[3.0, 4.0])?;
/// let found = alignment(&states)?;
/// assert_eq!((found[0].task.as_deref(), found[0].cosine.mean), (None, 0.6));
/// # Ok::<(), coin_analysis::AnalysisError>(())
/// ```
pub fn alignment(states: &Representations) -> Result<Vec<LevelAlignment>, AnalysisError> {
    let mut clean = HashMap::new();
    for (index, label) in states.labels().enumerate().filter(|(_, label)| label.level == CLEAN) {
        clean.insert((label.task, label.instruction, label.row), index);
    }
    // By level and task: the cosine of each state, or `None`.
    let mut found: HashMap<(&str, &str), Vec<Option<f64>>> = HashMap::new();
    for (index, label) in states.labels().enumerate().filter(|(_, label)| label.level != CLEAN) {
        let reference = clean.get(&(label.task, label.instruction, label.row));
        let value = reference.and_then(|reference| cosine(states.state(*reference), states.state(index)));
        found.entry((label.level, label.task)).or_default().push(value);
    }
    let perturbed = || states.levels().iter().filter(|level| *level != CLEAN);
    let mut result = Vec::new();
    let mut add = |task: Option<&str>, level: &str, cosines: Vec<Option<f64>>| -> Result<(), AnalysisError> {
        let paired: Vec<f64> = cosines.iter().flatten().copied().collect();
        let unpaired = cosines.len() - paired.len();
        if !paired.is_empty() {
            let (task, level) = (task.map(str::to_owned), level.to_owned());
            result.push(LevelAlignment { task, level, cosine: Distribution::of(paired)?, unpaired });
        }
        Ok(())
    };
    for level in perturbed() {
        let tasks = states.tasks().iter().filter_map(|task| found.get(&(level.as_str(), task.as_str())));
        add(None, level, tasks.flatten().copied().collect())?;
    }
    for task in states.tasks() {
        for level in perturbed() {
            if let Some(cosines) = found.remove(&(level.as_str(), task.as_str())) {
                add(Some(task), level, cosines)?;
            }
        }
    }
    match result.is_empty() {
        true => Err(AnalysisError::Invalid("no perturbed hidden state has a clean counterpart".to_owned())),
        false => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateLabel;

    #[test]
    fn states_are_paired_by_task_instruction_and_row() {
        let mut states = Representations::new("m");
        let mut push = |task, level, instruction, row, state: [f32; 2]| {
            let label = StateLabel { task, level, instruction, row, gold: 0, predicted: None };
            states.push(&label, &state).unwrap();
        };
        push("cola", "semantic", 0, 1, [3.0, 4.0]); // clean comes later: 0.6
        push("cola", "semantic", 1, 1, [0.0, 2.0]); // 1
        push("cola", "semantic", 2, 1, [0.0, 2.0]); // no clean instruction 2
        push("cola", "clean", 0, 1, [1.0, 0.0]);
        push("cola", "clean", 1, 1, [0.0, 1.0]);
        push("sst2", "clean", 0, 1, [-1.0, 0.0]);
        push("sst2", "semantic", 0, 1, [1.0, 0.0]); // -1
        push("sst2", "checklist", 0, 1, [0.0, 0.0]); // zero
        let found = alignment(&states).unwrap();
        let line = |at: usize| (found[at].task.as_deref(), found[at].cosine.count, found[at].unpaired);
        assert_eq!(found.len(), 3);
        assert_eq!((line(0), line(1), line(2)), ((None, 3, 1), (Some("cola"), 2, 1), (Some("sst2"), 1, 0)));
        assert!((found[0].cosine.mean - 0.2).abs() < 1e-12);
        // Deviations from 0.8 are 0.2 each.
        assert!((found[1].cosine.std - 0.2).abs() < 1e-12);
        assert_eq!(found[0].cosine.quantiles[0], -1.0);
        assert!(alignment(&states.only(|label| label.level == "clean")).is_err());
    }
}

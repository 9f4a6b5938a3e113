//! How well the cosine of two states tells what the two prompts have in common; the argument for hard negatives.
//!
//! Pairs of states are of three kinds: the same example in another wording (a positive of the contrastive loss), another
//! example of the same task in the same wording (its hard negative), and a prompt of another task. The area under the ROC
//! curve (AUROC) is the probability that a pair of one kind has a larger cosine than a pair of another, ties counting half:
//! the Mann-Whitney statistic U / (m n) (Hanley and McNeil 1982, <https://doi.org/10.1148/radiology.143.1.7063747>).
//! Where it is near 1 against other tasks, these are told apart already, and are poor negatives; where it is low
//! against hard negatives, there is something to learn (section 2 of the paper, which does not measure it).

use coin_core::stream;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use crate::distance::cosine;
use crate::distribution::Distribution;
use crate::{AnalysisError, Representations, StateLabel};

/// What two prompts have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairKind {
    /// The same example of a task; another level or instruction.
    OtherWording,
    /// The same task, level and instruction; an example of another class: the paper's hard negative.
    OtherInstance,
    /// Another task, whatever the level and instruction.
    OtherTask,
}

impl PairKind {
    /// The three kinds, from what is most to what is least alike.
    pub const ALL: [PairKind; 3] = [PairKind::OtherWording, PairKind::OtherInstance, PairKind::OtherTask];

    /// The kind of a pair, if it is of one.
    fn of(a: &StateLabel, b: &StateLabel) -> Option<PairKind> {
        let same_wording = (a.level, a.instruction) == (b.level, b.instruction);
        match (a.task == b.task, a.row == b.row) {
            (false, _) => Some(PairKind::OtherTask),
            (true, true) if !same_wording => Some(PairKind::OtherWording),
            (true, false) if same_wording && a.gold != b.gold => Some(PairKind::OtherInstance),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            PairKind::OtherWording => "other_wording",
            PairKind::OtherInstance => "other_instance",
            PairKind::OtherTask => "other_task",
        }
    }
}

/// The cosines of the three kinds, and how well they tell the kinds apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Separation {
    /// Cosines of the same example in other wordings.
    pub other_wording: Distribution,
    /// Cosines with examples of another class in the same wording.
    pub other_instance: Distribution,
    /// Cosines with other tasks.
    pub other_task: Distribution,
    /// AUROC of other wording against other instance: how well hard negatives are told from positives.
    pub wording_or_instance: f64,
    /// AUROC of other wording against other task.
    pub wording_or_task: f64,
    /// AUROC of other instance against other task.
    pub instance_or_task: f64,
}

/// Compares every state with `partners` states of each kind, chosen by `seed`, or with all where there are no more.
///
/// Takes time n^2 for the choice, and n · partners · d for the cosines.
///
/// # Errors
/// [`AnalysisError::Invalid`] if there is no pair of some kind, as with a single task or wording, or a state is zero.
pub fn separation(states: &Representations, partners: usize, seed: u64) -> Result<Separation, AnalysisError> {
    let labels: Vec<StateLabel> = states.labels().collect();
    let mut cosines = PairKind::ALL.map(|_| Vec::new());
    for (index, label) in labels.iter().enumerate() {
        let mut candidates = PairKind::ALL.map(|_| Vec::new());
        for (other, other_label) in labels.iter().enumerate() {
            if let Some(kind) = PairKind::of(label, other_label) {
                candidates[kind as usize].push(other);
            }
        }
        for (kind, candidates) in PairKind::ALL.into_iter().zip(candidates) {
            let (task, row) = (label.task, label.row.to_string());
            let item = ["separation", kind.name(), task, label.level, &label.instruction.to_string(), &row];
            let count = partners.min(candidates.len());
            for chosen in index::sample(&mut stream::keyed(seed, &item), candidates.len(), count) {
                let value = cosine(states.state(index), states.state(candidates[chosen]));
                let zero = || {
                    AnalysisError::Invalid(format!(
                        "a hidden state of task `{task}`, row {row}, or one compared with it is zero"
                    ))
                };
                cosines[kind as usize].push(value.ok_or_else(zero)?);
            }
        }
    }
    for (kind, cosines) in PairKind::ALL.iter().zip(&cosines) {
        if cosines.is_empty() {
            return Err(AnalysisError::Invalid(format!("no two hidden states are of kind `{}`", kind.name())));
        }
    }
    let [wording, instance, task] = cosines;
    Ok(Separation {
        wording_or_instance: auroc(&wording, &instance)?,
        wording_or_task: auroc(&wording, &task)?,
        instance_or_task: auroc(&instance, &task)?,
        other_wording: Distribution::of(wording)?,
        other_instance: Distribution::of(instance)?,
        other_task: Distribution::of(task)?,
    })
}

/// The probability that a number of `positives` is larger than one of `negatives`, ties counting half.
///
/// # Errors
/// [`AnalysisError::Invalid`] if a list is empty or has a value that is no number.
///
/// ```
/// // Of the six pairs, 0.9 wins three; 0.4 wins one, ties one and loses one.
/// let area = coin_analysis::auroc(&[0.9, 0.4], &[0.1, 0.4, 0.5])?;
/// assert_eq!(area, 4.5 / 6.0);
/// # Ok::<(), coin_analysis::AnalysisError>(())
/// ```
pub fn auroc(positives: &[f64], negatives: &[f64]) -> Result<f64, AnalysisError> {
    let mut all: Vec<(f64, bool)> = positives.iter().map(|value| (*value, true)).collect();
    all.extend(negatives.iter().map(|value| (*value, false)));
    if positives.is_empty() || negatives.is_empty() || all.iter().any(|(value, _)| value.is_nan()) {
        return Err(AnalysisError::Invalid("an AUROC needs numbers, and at least one on each side".to_owned()));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the number of wins, so that a tie is a whole number.
    let (mut wins, mut below) = (0u128, 0u128);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let of_positives = tied.iter().filter(|(_, positive)| *positive).count() as u128;
        let of_negatives = tied.len() as u128 - of_positives;
        wins += of_positives * (2 * below + of_negatives);
        below += of_negatives;
    }
    Ok(wins as f64 / (2.0 * positives.len() as f64 * negatives.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tasks, two levels, two rows of different classes each; the angle of each state in degrees.
    fn states(angle: impl Fn(&StateLabel) -> f32) -> Representations {
        let mut states = Representations::new("m");
        for task in ["cola", "sst2"] {
            for level in ["clean", "semantic"] {
                for row in 0..2 {
                    let label = StateLabel { task, level, instruction: 0, row, gold: row, predicted: None };
                    let angle = angle(&label).to_radians();
                    states.push(&label, &[angle.cos(), angle.sin()]).unwrap();
                }
            }
        }
        states
    }

    #[test]
    fn kinds_are_told_apart_where_states_are() {
        // The task decides the quadrant, the row turns by 20 degrees, the level by 60.
        let found = separation(
            &states(|label| {
                let task = if label.task == "cola" { 0.0 } else { 180.0 };
                let level = if label.level == "clean" { 0.0 } else { 60.0 };
                task + level + 20.0 * label.row as f32
            }),
            100,
            1,
        )
        .unwrap();
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        near(found.other_wording.mean, 0.5); // cos 60
        near(found.other_instance.mean, 20f64.to_radians().cos());
        // Both directions of the 16 pairs of a cola with an sst2 state; 8 states with one partner of the other kinds each.
        assert_eq!((found.other_task.count, found.other_wording.count, found.other_instance.count), (32, 8, 8));
        assert_eq!((found.wording_or_instance, found.wording_or_task, found.instance_or_task), (0.0, 1.0, 1.0));
    }

    #[test]
    fn partners_are_the_seeds_and_kinds_must_be_there() {
        let states = states(|label| label.row as f32 * 7.0 + label.level.len() as f32 * label.task.len() as f32);
        let few = separation(&states, 2, 5).unwrap();
        assert_eq!(few.other_task.count, 16);
        assert_eq!(separation(&states, 2, 5).unwrap(), few);
        let error = separation(&states.only(|label| label.task == "cola"), 2, 5).unwrap_err();
        assert_eq!(error.to_string(), "no two hidden states are of kind `other_task`");
        let error = separation(&states.only(|label| label.level == "clean"), 2, 5).unwrap_err();
        assert_eq!(error.to_string(), "no two hidden states are of kind `other_wording`");
    }

    #[test]
    fn an_area_needs_two_sides() {
        assert!(auroc(&[], &[1.0]).is_err());
        assert!(auroc(&[f64::NAN], &[1.0]).is_err());
        assert_eq!(auroc(&[0.0], &[-0.0]).unwrap(), 0.5);
    }
}

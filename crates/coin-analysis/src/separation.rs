//! Measures how well the cosine of two states predicts what their prompts have in common. This motivates hard negatives.
//!
//! There are three kinds of pairs: the same example in another wording (a positive of the contrastive loss), another
//! example of the same task in the same wording (a hard negative), and a prompt of another task. The area under the ROC
//! curve (AUROC) is the probability that a pair of one kind has a larger cosine than a pair of another, with ties counted as
//! half: the Mann-Whitney statistic U / (m n) (Hanley and McNeil 1982, <https://doi.org/10.1148/radiology.143.1.7063747>).
//! An AUROC near 1 for positives against other tasks means that the model already distinguishes tasks, so other tasks are poor
//! negatives. A low AUROC against hard negatives means that there is something to learn (section 2 of the paper argues this
//! without measuring it).

use coin_core::stream;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use crate::distance::cosine;
use crate::distribution::Distribution;
use crate::{AnalysisError, Representations, StateLabel};

/// The kind of a pair of prompts, by what they have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairKind {
    /// The same example of a task, with another level or instruction.
    OtherWording,
    /// The same task, level and instruction, with an example of another class: the paper's hard negative.
    OtherInstance,
    /// Another task, with any level and instruction.
    OtherTask,
}

impl PairKind {
    /// The three kinds, from most to least similar.
    pub const ALL: [PairKind; 3] = [PairKind::OtherWording, PairKind::OtherInstance, PairKind::OtherTask];

    /// Returns the kind of a pair, or `None` if it does not belong to any.
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

/// Cosines of the three kinds of pairs, and how well the cosine distinguishes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Separation {
    /// Cosines of the same example in other wordings.
    pub other_wording: Distribution,
    /// Cosines with examples of another class in the same wording.
    pub other_instance: Distribution,
    /// Cosines with other tasks.
    pub other_task: Distribution,
    /// AUROC of other wording against other instance: how well positives are distinguished from hard negatives.
    pub wording_or_instance: f64,
    /// AUROC of other wording against other task.
    pub wording_or_task: f64,
    /// AUROC of other instance against other task.
    pub instance_or_task: f64,
}

/// Compares every state with `partners` states of each kind, sampled with `seed`, or with all of them if there are fewer.
///
/// Sampling takes time n^2, the cosines n · partners · d.
///
/// # Errors
/// [`AnalysisError::Invalid`] if one kind does not have any pair (for example with a single task or wording), or if a state is
/// zero.
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
                        "the hidden state of task `{task}`, row {row}, or a state compared with it is zero"
                    ))
                };
                cosines[kind as usize].push(value.ok_or_else(zero)?);
            }
        }
    }
    for (kind, cosines) in PairKind::ALL.iter().zip(&cosines) {
        if cosines.is_empty() {
            return Err(AnalysisError::Invalid(format!("no pair of hidden states is of kind `{}`", kind.name())));
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

/// Returns the probability that a value of `positives` is larger than a value of `negatives`, with ties counted as half.
///
/// # Errors
/// [`AnalysisError::Invalid`] if a list is empty or contains NaN.
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
        return Err(AnalysisError::Invalid("an AUROC needs at least one value on each side, and no NaN".to_owned()));
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
    fn separated_states_separate_the_kinds() {
        // The task sets the half plane; the row rotates by 20 degrees, the level by 60.
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
        // 16 pairs of a cola and an sst2 state in both directions; for the other kinds, 8 states with one partner each.
        assert_eq!((found.other_task.count, found.other_wording.count, found.other_instance.count), (32, 8, 8));
        assert_eq!((found.wording_or_instance, found.wording_or_task, found.instance_or_task), (0.0, 1.0, 1.0));
    }

    #[test]
    fn the_seed_determines_partners_and_every_kind_is_required() {
        let states = states(|label| label.row as f32 * 7.0 + label.level.len() as f32 * label.task.len() as f32);
        let few = separation(&states, 2, 5).unwrap();
        assert_eq!(few.other_task.count, 16);
        assert_eq!(separation(&states, 2, 5).unwrap(), few);
        let error = separation(&states.only(|label| label.task == "cola"), 2, 5).unwrap_err();
        assert_eq!(error.to_string(), "no pair of hidden states is of kind `other_task`");
        let error = separation(&states.only(|label| label.level == "clean"), 2, 5).unwrap_err();
        assert_eq!(error.to_string(), "no pair of hidden states is of kind `other_wording`");
    }

    #[test]
    fn auroc_needs_values_on_both_sides() {
        assert!(auroc(&[], &[1.0]).is_err());
        assert!(auroc(&[f64::NAN], &[1.0]).is_err());
        assert_eq!(auroc(&[0.0], &[-0.0]).unwrap(), 0.5);
    }
}

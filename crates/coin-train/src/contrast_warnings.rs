//! Warnings about pairs without a negative.
//!
//! Under preset `strict`, pairs of the same task and target are not negatives of each other. If all pairs of a contrastive batch
//! have the same task and target, its contrastive loss is always 0.

use coin_data::tokenize::PairRow;

use crate::config::TrainPreset;
use crate::step::same_answer;
use crate::validation::GROUP;
use crate::{TrainError, Trainer};

impl Trainer {
    /// Returns warnings with the number of pairs that have no negative, in the first epoch and among the held-out pairs.
    ///
    /// # Errors
    /// The pairs cannot be shuffled in couples.
    pub fn contrast_warnings(&self) -> Result<Vec<String>, TrainError> {
        let order = self.order(0)?;
        let steps = order.chunks(self.config().train.batch_pairs).take(self.steps());
        let groups = steps.flat_map(|step| step.chunks(self.config().contrastive_batch()));
        let training = groups.map(|group| group.iter().map(|&index| &self.training()[index]).collect::<Vec<_>>());
        let held_out = self.validation().chunks(GROUP).map(|group| group.iter().collect::<Vec<_>>());
        let mut warnings = Vec::new();
        // The released program also contrasts pairs with the same answer.
        if self.config().train.preset == TrainPreset::Strict {
            warnings.extend(warning(
                training,
                "of the first epoch",
                "; raise train.batch_pairs and objective.contrastive_batch, or mix tasks and targets",
            ));
        }
        warnings.extend(warning(held_out, "held out", ""));
        Ok(warnings)
    }
}

/// Returns a warning if all pairs of a contrastive batch have the same answer.
fn warning<'a>(groups: impl Iterator<Item = Vec<&'a PairRow>>, of: &str, advice: &str) -> Option<String> {
    let (mut without, mut all) = (0, 0);
    for group in groups {
        all += group.len();
        // Two different answers in a batch are enough: every row differs from one of them.
        if (1..group.len()).all(|other| same_answer(&group, 0, other)) {
            without += group.len();
        }
    }
    (without > 0).then(|| {
        let share = 100.0 * without as f64 / all as f64;
        format!(
            "{without} of {all} pairs {of} ({share:.1} %) have no negative: every pair they are contrasted with has the same task \
             and target, so their contrastive loss is 0 and they have no rank{advice}"
        )
    })
}

//! Losses that are added to the objective.

use std::sync::Arc;

use burn::tensor::{Bool, Tensor};
use coin_loss::{Batch, Loss, LossConfig, LossError};

use crate::TrainError;
use crate::config::TermTable;

/// What a term compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The pooled states of the two wordings, over the whole effective batch.
    States,
    /// The same, and columns with the same answer are not negatives.
    StatesOfOtherAnswers,
    /// The logits of the two wordings at the tokens of the answer. The loss must be a mean over tokens.
    Answers,
}

/// A loss that is added to the objective.
#[derive(Debug, Clone)]
pub struct Term {
    /// Its factor in the sum.
    pub weight: f64,
    /// What it compares.
    pub compared: Compared,
    /// The loss, of this crate's user or of `coin-loss`.
    pub loss: Arc<dyn Loss>,
}

impl Term {
    /// Builds a term of the run file.
    pub(crate) fn new(table: &TermTable) -> Result<Self, TrainError> {
        let compared = match &table.loss {
            LossConfig::InfoNce(_) | LossConfig::SigLip(_) => Compared::StatesOfOtherAnswers,
            LossConfig::SupCon(_) => Compared::States,
            LossConfig::Consistency(_) => Compared::Answers,
            other => {
                let loss = other.init()?.name();
                return Err(TrainError::Setting(format!(
                    "objective.terms: `{loss}` needs scores, which pairs do not have; expected info_nce, siglip, supcon or consistency"
                )));
            }
        };
        let term = Term { weight: table.weight, compared, loss: Arc::from(table.loss.init()?) };
        term.check()?;
        Ok(term)
    }

    /// Checks the weight.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        // The loss is f32.
        match (0.0..=1e15).contains(&self.weight) {
            true => Ok(()),
            false => Err(TrainError::Setting(format!(
                "objective.terms: the weight of `{}` must be from 0 to 1e15, got {}",
                self.loss.name(),
                self.weight
            ))),
        }
    }

    /// Computes the term over pooled states, `[pairs, d_model]` each.
    pub(crate) fn of_states(
        &self,
        [original, paraphrase]: [Tensor<2>; 2],
        excluded: Option<&Tensor<2, Bool>>,
    ) -> Result<Tensor<1>, LossError> {
        let batch = Batch::pairs(original, paraphrase);
        let batch = match (self.compared, excluded) {
            (Compared::StatesOfOtherAnswers, Some(excluded)) => batch.with_excluded(excluded.clone()),
            _ => batch,
        };
        Ok(self.loss.evaluate(batch)?.loss * self.weight)
    }

    /// Computes the term over logits at the answers, `[tokens, vocabulary]` each, as a sum over tokens.
    pub(crate) fn of_answers(&self, [original, paraphrase]: [Tensor<2>; 2]) -> Result<Tensor<1>, LossError> {
        let [tokens, _] = original.dims();
        let loss = self.loss.evaluate(Batch::pairs(original, paraphrase))?.loss;
        Ok(loss * (self.weight * tokens as f64))
    }
}

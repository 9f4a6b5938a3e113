//! The held-out pairs: generation loss, contrastive loss and ranking, without dropout.

use burn::tensor::Tensor;
use coin_loss::InfoNceConfig;
use coin_loss::collective::Collective;
use coin_model::{Llama, pool};

use crate::objective::{PairRow, forward, mask, same_answer, scalar, supervised};
use crate::share::sum_values;
use crate::{TrainError, Trainer, ValidationMetrics};

/// Held-out pairs that are contrasted with each other.
const GROUP: usize = 32;

impl Trainer {
    /// Evaluates the held-out pairs, if there are any; ranks share the groups.
    pub(crate) fn validate(
        &self,
        model: &Llama,
        step: usize,
        collective: &dyn Collective,
    ) -> Result<Option<ValidationMetrics>, TrainError> {
        let rows: Vec<&PairRow> = self.validation().iter().collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let pooling = self.config().pooling()?;
        let loss = InfoNceConfig::new().with_temperature(self.config().objective.temperature).init()?;
        let tokens = supervised(&rows);
        let mut sums = [0.0; 6];
        for chunk in rows.chunks(GROUP).skip(collective.rank()).step_by(collective.ranks()) {
            let (mut generation, mut originals, mut paraphrases) = (0.0, Vec::new(), Vec::new());
            for micro in chunk.chunks(self.config().train.micro_batch_pairs) {
                let states = pool::within(&model.device(), || forward(model, micro, pooling, None, false))?;
                generation += scalar(&states.generation(tokens));
                originals.push(states.original);
                paraphrases.push(states.paraphrase);
            }
            let device = model.device();
            let (originals, paraphrases) = (Tensor::cat(originals, 0), Tensor::cat(paraphrases, 0));
            let contrast = |excluded| loss.forward(originals.clone(), paraphrases.clone(), Some(excluded));
            let output = contrast(mask(chunk.len(), &device, |i, j| same_answer(chunk, i, j)));
            // A couple is two adjacent rows; everything outside it is excluded.
            let couples = contrast(mask(chunk.len(), &device, |i, j| i / 2 != j / 2));
            let share = chunk.len() as f64 / rows.len() as f64;
            let means = [
                &output.loss,
                &output.accuracy,
                &couples.accuracy,
                &output.similarity_positive,
                &output.similarity_negative,
            ];
            let values = [generation].into_iter().chain(means.map(|mean| scalar(mean) * share));
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        let [
            loss_generation,
            loss_contrastive,
            contrastive_accuracy,
            hard_negative_accuracy,
            similarity_positive,
            similarity_negative,
        ] = sum_values(sums, collective, &model.device())?;
        Ok(Some(ValidationMetrics {
            split: "validation".to_owned(),
            step,
            loss_generation,
            loss_contrastive,
            contrastive_accuracy,
            hard_negative_accuracy,
            similarity_positive,
            similarity_negative,
            pairs: rows.len(),
        }))
    }
}

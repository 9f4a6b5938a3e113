//! Evaluation of the held-out pairs without dropout: generation loss, contrastive loss and ranking.

use burn::tensor::Tensor;
use coin_data::tokenize::PairRow;
use coin_loss::InfoNceConfig;
use coin_loss::collective::Collective;
use coin_model::{Llama, pool};

use crate::all_reduce::all_reduce_values;
use crate::metrics::ValidationMetrics;
use crate::step::{forward, mask, ratio, same_answer, scalar, supervised};
use crate::{TrainError, Trainer};

/// Number of held-out pairs that are contrasted with each other.
pub(crate) const GROUP: usize = 32;

impl Trainer {
    /// Evaluates the held-out pairs, if there are any. The groups are divided among the ranks.
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
        let pooling = self.config().objective.pooling;
        let loss = InfoNceConfig::new().with_temperature(self.config().objective.temperature).init()?;
        let tokens = supervised(&rows);
        let mut sums = [0.0; 8];
        for chunk in rows.chunks(GROUP).skip(collective.rank()).step_by(collective.world_size()) {
            let (mut generation, mut originals, mut paraphrases) = (0.0, Vec::new(), Vec::new());
            for micro in chunk.chunks(self.config().train.micro_batch_pairs) {
                let states = pool::within(&model.device(), || forward(model, micro, pooling, None, false, &[]))?;
                generation += scalar(&states.generation(tokens));
                originals.push(states.original);
                paraphrases.push(states.paraphrase);
            }
            let device = model.device();
            let (originals, paraphrases) = (Tensor::cat(originals, 0), Tensor::cat(paraphrases, 0));
            let contrast = |excluded| loss.forward(originals.clone(), paraphrases.clone(), Some(excluded));
            let output = contrast(mask(chunk.len(), &device, |i, j| same_answer(chunk, i, j)));
            // Excludes everything outside the couple, which is two adjacent rows.
            let couples = contrast(mask(chunk.len(), &device, |i, j| i / 2 != j / 2 || same_answer(chunk, i, j)));
            // The means are over all rows, over those with a negative, and over those with a hard negative.
            let count = chunk.len() as f64;
            let contrasted = count * scalar(&output.contrasted);
            let hard = count * scalar(&couples.contrasted);
            let values = [
                generation,
                scalar(&output.loss) * count,
                scalar(&output.similarity_positive) * count,
                contrasted,
                scalar(&output.accuracy) * contrasted,
                scalar(&output.similarity_negative) * contrasted,
                hard,
                scalar(&couples.accuracy) * hard,
            ];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        let [generation, contrastive, positive, contrasted, accuracy, negative, hard, hard_accuracy] =
            all_reduce_values(sums, collective, &model.device())?;
        let count = rows.len() as f64;
        Ok(Some(ValidationMetrics {
            split: "validation".to_owned(),
            step,
            loss_generation: generation,
            loss_contrastive: (contrasted > 0.0).then_some(contrastive / count),
            contrastive_accuracy: ratio(accuracy, contrasted),
            hard_negative_accuracy: ratio(hard_accuracy, hard),
            similarity_positive: positive / count,
            similarity_negative: ratio(negative, contrasted),
            pairs: rows.len(),
        }))
    }
}

//! The report of a step whose loss or gradient is not finite.

use coin_loss::Pooling;
use coin_model::Llama;

use crate::step::{forward, scalar};
use crate::{TrainError, Trainer};

impl Trainer {
    /// Writes the batch to `failed-batch.json` and returns the error of a step that is not finite. The error names the pairs whose
    /// individual loss is not finite. `batch` contains the pairs' positions in the training data.
    pub(crate) fn not_finite(
        &self,
        model: &Llama,
        step: usize,
        what: &'static str,
        value: f64,
        batch: &[usize],
    ) -> TrainError {
        let path = self.config().out.join("failed-batch.json");
        let mut guilty = Vec::new();
        let mut described = Vec::new();
        for &index in batch {
            let pair = &self.training()[index];
            let alone = forward(model, &[pair], Pooling::Last, None, false, &[])
                .map(|states| [&states.original_nats, &states.paraphrase_nats].map(scalar));
            let losses = alone.unwrap_or([f64::NAN; 2]);
            if losses.iter().any(|loss| !loss.is_finite()) {
                guilty.push((index + 1).to_string());
            }
            described.push(serde_json::json!({
                "pair": index + 1,
                "original_ids": pair.original.ids,
                "paraphrase_ids": pair.paraphrase.ids,
                // JSON does not support NaN, so null is written instead.
                "loss_original": losses[0],
                "loss_paraphrase": losses[1],
            }));
        }
        let content = serde_json::json!({ "step": step, "pairs": described }).to_string();
        if let Err(error) = coin_core::file::write_atomically(&path, |writer| writer.write_all(content.as_bytes())) {
            return error.into();
        }
        let data = self.config().data.pairs.display();
        let rows = match guilty.is_empty() {
            true => format!("the loss of each pair of {data} alone is finite"),
            false => format!("not finite alone, without dropout: pair {} of {data}", guilty.join(", ")),
        };
        TrainError::NotFinite { step, what, value, rows, batch: path }
    }
}

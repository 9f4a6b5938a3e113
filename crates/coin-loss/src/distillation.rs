//! Distillation of a teacher's scores of positives and negatives.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::batch::Part;
use crate::loss::forward;
use crate::settings::config;
use crate::similarity::hard_similarity;
use crate::{Batch, LossError, LossOutput, Similarity};

/// What of the teacher's scores is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distilled {
    /// The margin between the positive and each negative, with a squared error (margin MSE, Hofstätter et al. 2020).
    #[default]
    Margins,
    /// The distribution over the positive and the negatives: KL divergence of the student's from the teacher's, times the square of
    /// the temperature (Hinton et al. 2015).
    Distribution,
}

config! {
    /// Settings of [`Distillation`].
    #[derive(Copy)]
    DistillationConfig {
        /// What is learned. Default [`Distilled::Margins`].
        distilled / with_distilled: Distilled = Distilled::Margins,
        /// Similarity of two rows, which is compared with the teacher's score. Default [`Similarity::Dot`] (the paper's).
        similarity / with_similarity: Similarity = Similarity::Dot,
        /// Divides the scores of both sides before the softmax of [`Distilled::Distribution`]. Default 1.
        temperature / with_temperature: f64 = 1.0,
    }
}

impl DistillationConfig {
    /// Builds the loss.
    ///
    /// # Errors
    /// [`LossError::Temperature`] unless the temperature is between 1e-20 and 1e20.
    pub fn init(&self) -> Result<Distillation, LossError> {
        LossError::check_temperature(self.temperature)?;
        Ok(Distillation { config: *self })
    }
}

/// Distillation: the student's similarities follow a teacher's scores, such as those of a cross-encoder.
///
/// ```text
/// s_i0 = sim(a_i, p_i), s_ik = sim(a_i, h_ik)          T the teacher's scores, [n, 1 + k]
/// L    = mean over i, k of ((s_i0 - s_ik) - (T_i0 - T_ik))^2                          Distilled::Margins
/// L    = temperature^2 mean over i of KL(softmax(T_i / temperature) | softmax(s_i / temperature))
/// ```
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Batch, DistillationConfig};
/// let device = Device::flex();
/// let row = |values: [f32; 2]| Tensor::<2>::from_floats([values], &device);
/// let batch = Batch::pairs(row([1.0, 0.0]), row([3.0, 0.0])).with_hard_negative(row([1.0, 1.0]));
/// // The student's margin is 3 - 1, the teacher's 5 - 4.
/// let output = DistillationConfig::new().init()?.forward(batch.with_teacher_scores(row([5.0, 4.0])));
/// assert_eq!(output.loss.into_scalar::<f32>(), 1.0);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distillation {
    config: DistillationConfig,
}

impl Distillation {
    fn checked(&self, batch: Batch) -> Result<LossOutput, LossError> {
        let needed = [Part::HardNegatives, Part::TeacherScores];
        batch.check("distillation", 2..=2, &[Part::RowWeights], &needed)?;
        if batch.hard_excluded.is_some() || batch.hard_weights.is_some() {
            let argument = "a mask or weights of hard negatives";
            return Err(LossError::Unused { loss: "distillation", argument });
        }
        let similarity = self.config.similarity;
        let anchor = similarity.prepare(batch.anchor().clone());
        let own = (anchor.clone() * similarity.prepare(batch.positive().clone())).sum_dim(1);
        let hard = similarity.prepare_hard(batch.hard_negatives.expect("checked above"));
        let [_, k, _] = hard.dims();
        let of_hard = hard_similarity(anchor, hard);
        let teacher = batch.teacher_scores.expect("checked above").without_autodiff().cast(DType::F32);
        let per_row = match self.config.distilled {
            Distilled::Margins => {
                let margins = teacher.clone().narrow(1, 0, 1) - teacher.narrow(1, 1, k);
                (own - of_hard - margins).square().mean_dim(1)
            }
            Distilled::Distribution => {
                let temperature = self.config.temperature;
                let student = log_softmax(Tensor::cat(vec![own, of_hard], 1) / temperature, 1);
                let target = log_softmax(teacher.clone() / temperature, 1);
                let share = softmax(teacher / temperature, 1);
                (share * (target - student)).sum_dim(1) * temperature.powi(2)
            }
        }
        .squeeze_dim::<1>(1);
        let terms = match batch.row_weights {
            Some(weights) => per_row.clone() * weights.without_autodiff().cast(DType::F32),
            None => per_row.clone(),
        };
        Ok(LossOutput::new(terms.mean()).with_per_row(per_row))
    }
}

forward!(Distillation, "distillation", direction: |loss| loss.config.similarity == Similarity::Cosine);

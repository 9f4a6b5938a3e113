//! What all losses have in common.

use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::statistics::Statistics;
use crate::{Batch, LossError};

/// A loss of a batch of embeddings.
///
/// Every loss of this crate implements it, so a trainer holds a `Box<dyn Loss>` and does not know which one it is. The types' own
/// `forward` returns more where a loss has more to say.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Batch, InfoNceConfig, Loss, LossError, LossOutput};
///
/// /// The mean squared distance of anchors and positives.
/// #[derive(Debug)]
/// struct Distance;
///
/// impl Loss for Distance {
///     fn name(&self) -> &'static str {
///         "distance"
///     }
///
///     fn evaluate(&self, batch: Batch) -> Result<LossOutput, LossError> {
///         let [anchor, positive] = batch.into_pairs()?;
///         let per_row = (anchor - positive).square().sum_dim(1).squeeze_dim::<1>(1);
///         Ok(LossOutput::new(per_row.clone().mean()).with_per_row(per_row))
///     }
/// }
///
/// let losses: Vec<Box<dyn Loss>> = vec![Box::new(Distance), Box::new(InfoNceConfig::new().init()?)];
/// let rows = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &Device::flex());
/// for loss in losses {
///     let output = loss.evaluate(Batch::pairs(rows.clone(), rows.clone()))?;
///     assert!(output.loss.into_scalar::<f32>() < 1e-6, "{}", loss.name());
/// }
/// # Ok::<(), LossError>(())
/// ```
pub trait Loss: Debug + Send + Sync {
    /// The name in messages and settings, such as `info_nce`.
    fn name(&self) -> &'static str;

    /// Computes the loss of a batch.
    ///
    /// # Errors
    /// The batch is empty, lacks an argument that the loss needs, has one that it would ignore, or has one of the wrong shape.
    fn evaluate(&self, batch: Batch) -> Result<LossOutput, LossError>;
}

impl Loss for Box<dyn Loss> {
    fn name(&self) -> &'static str {
        self.as_ref().name()
    }

    fn evaluate(&self, batch: Batch) -> Result<LossOutput, LossError> {
        self.as_ref().evaluate(batch)
    }
}

/// The result of [`Loss::evaluate`], on the inputs' device; reading a value synchronizes. Only `loss` has a graph.
#[derive(Debug, Clone)]
pub struct LossOutput {
    /// The loss, `[1]`; one term per row for a loss that is not reduced.
    pub loss: Tensor<1>,
    /// Each row's term, `[rows]`, before weights, of a loss that is made of such terms.
    pub per_row: Option<Tensor<1>>,
    /// Named statistics, `[1]` each.
    pub statistics: Vec<(&'static str, Tensor<1>)>,
}

impl LossOutput {
    /// Returns an output without terms or statistics.
    pub fn new(loss: Tensor<1>) -> Self {
        LossOutput { loss, per_row: None, statistics: Vec::new() }
    }

    /// Sets the rows' terms. Their graph is dropped.
    pub fn with_per_row(mut self, per_row: Tensor<1>) -> Self {
        self.per_row = Some(per_row.without_autodiff());
        self
    }

    /// Adds a statistic, `[1]`. Its graph is dropped.
    pub fn with_statistic(mut self, name: &'static str, value: Tensor<1>) -> Self {
        self.statistics.push((name, value.without_autodiff()));
        self
    }

    /// Adds the statistics of a comparison of positives and negatives.
    pub(crate) fn with_contrast(self, statistics: Statistics) -> Self {
        self.with_statistic("contrasted", statistics.contrasted)
            .with_statistic("accuracy", statistics.accuracy)
            .with_statistic("similarity_positive", statistics.similarity_positive)
            .with_statistic("similarity_negative", statistics.similarity_negative)
    }

    /// Returns the statistic of this name.
    pub fn statistic(&self, name: &str) -> Option<&Tensor<1>> {
        self.statistics.iter().find(|(of, _)| *of == name).map(|(_, value)| value)
    }
}

/// `forward` and `try_forward` for a loss whose whole work is in `checked`.
macro_rules! forward {
    ($loss:ty, $name:literal, direction: $direction:expr) => {
        impl $loss {
            /// Computes the loss of a batch.
            ///
            /// # Panics
            /// Panics with the message of [`LossError`](crate::LossError) where [`try_forward`](Self::try_forward) would return one for
            /// a shape. Values are not looked at.
            pub fn forward(&self, batch: crate::Batch) -> crate::LossOutput {
                self.checked(batch).unwrap_or_else(|error| panic!("{}: {error}", $name))
            }

            /// Like [`forward`](Self::forward), and looks at the values too, for which it reads from the device.
            ///
            /// # Errors
            /// [`LossError`](crate::LossError) names an argument that is missing, of the wrong shape or not used by the loss, and the
            /// first row that is not finite or, with cosines, zero.
            pub fn try_forward(&self, batch: crate::Batch) -> Result<crate::LossOutput, crate::LossError> {
                let direction: fn(&Self) -> bool = $direction;
                let output = self.checked(batch.clone())?;
                batch.check_values(direction(self))?;
                Ok(output)
            }
        }

        impl crate::Loss for $loss {
            fn name(&self) -> &'static str {
                $name
            }

            fn evaluate(&self, batch: crate::Batch) -> Result<crate::LossOutput, crate::LossError> {
                self.checked(batch)
            }
        }
    };
}

pub(crate) use forward;

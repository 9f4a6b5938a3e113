//! The passes over the micro-batches of a rank.

use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{DType, Tensor};

use super::encoder::{Encoded, Encoder, MicroBatch};
use super::error::GradientCacheError;
use super::ranks::read;

const EXTRA_LOSS: &str = "extra loss";

/// The passes, and what they have seen.
pub(super) struct Passes<'a, M: Module, C: Encoder<M, N>, const N: usize> {
    model: &'a M,
    encoder: &'a mut C,
    tolerance: Option<f64>,
    /// The values of all micro-batches, outside of any graph.
    values: [Vec<Tensor<2>>; N],
    extra_losses: Vec<Tensor<1>>,
    widths: Option<[usize; N]>,
    /// The only micro-batch, with its graph.
    kept: Option<(MicroBatch, Encoded<N>, C::Tape)>,
    sum: GradientsAccumulator<M>,
}

impl<'a, M: Module, C: Encoder<M, N>, const N: usize> Passes<'a, M, C, N> {
    pub(super) fn new(model: &'a M, encoder: &'a mut C, tolerance: Option<f64>) -> Self {
        Passes {
            model,
            encoder,
            tolerance,
            values: std::array::from_fn(|_| Vec::new()),
            extra_losses: Vec::new(),
            widths: None,
            kept: None,
            sum: GradientsAccumulator::new(),
        }
    }

    /// Collects the values of all micro-batches, without graphs.
    pub(super) fn first(&mut self, micro_batches: Vec<MicroBatch>) -> Result<(), C::Error> {
        let model = self.encoder.model_for_values(self.model);
        for micro_batch in micro_batches {
            let (encoded, _) = self.encode(&model, &micro_batch)?;
            // burn 0.22.1 frees a graph in a backward pass only, so the graphs of all micro-batches would pile up.
            let of_extra_loss = encoded.extra_loss.is_some_and(|loss| loss.is_tracked());
            if of_extra_loss || encoded.embeddings.iter().any(Tensor::is_tracked) {
                return Err(GradientCacheError::FirstPassGraph { items: micro_batch.items }.into());
            }
        }
        Ok(())
    }

    /// Collects the values of the only micro-batch, if there is one, and keeps its graph.
    pub(super) fn kept(&mut self, micro_batches: Vec<MicroBatch>) -> Result<(), C::Error> {
        for micro_batch in micro_batches {
            let (encoded, tape) = self.encode(self.model, &micro_batch)?;
            self.kept = Some((micro_batch, encoded, tape));
        }
        Ok(())
    }

    /// Collects the values of all micro-batches, and propagates their extra losses.
    pub(super) fn only_extra(&mut self, micro_batches: Vec<MicroBatch>) -> Result<(), C::Error> {
        for micro_batch in micro_batches {
            let (encoded, tape) = self.encode(self.model, &micro_batch)?;
            let no_gradients = std::array::from_fn(|_| None);
            self.propagate(encoded, tape, no_gradients)?;
        }
        Ok(())
    }

    /// Returns the collected embeddings and the sum of the extra losses. There are no embeddings without micro-batches.
    pub(super) fn values(&mut self) -> Result<(Option<[Tensor<2>; N]>, f64), GradientCacheError> {
        let extra_loss = match self.extra_losses.is_empty() {
            true => 0.0,
            false => read(Tensor::cat(std::mem::take(&mut self.extra_losses), 0))?.into_iter().map(f64::from).sum(),
        };
        if self.widths.is_none() {
            return Ok((None, extra_loss));
        }
        // The pieces are replaced by views of the whole.
        let all = self.values.each_mut().map(|pieces| {
            let all = Tensor::cat(std::mem::take(pieces), 0);
            pieces.push(all.clone());
            all
        });
        Ok((Some(all), extra_loss))
    }

    /// Propagates the gradients of the only micro-batch, if there is one. `gradients` are those of the whole batch.
    pub(super) fn propagate_kept(&mut self, gradients: &[Option<Tensor<2>>; N]) -> Result<(), C::Error> {
        match self.kept.take() {
            Some((micro_batch, encoded, tape)) => self.propagate(encoded, tape, of_items(gradients, &micro_batch)),
            None => Ok(()),
        }
    }

    /// Encodes all micro-batches again and propagates the gradients of their rows. `gradients` are those of the whole
    /// batch.
    pub(super) fn second(
        &mut self,
        micro_batches: Vec<MicroBatch>,
        gradients: &[Option<Tensor<2>>; N],
    ) -> Result<(), C::Error> {
        let first: Vec<Tensor<2>> = self.values.iter_mut().flat_map(std::mem::take).collect();
        let (mut compared, mut differences) = (Vec::new(), Vec::new());
        for micro_batch in micro_batches {
            let items = micro_batch.items.clone();
            let (encoded, tape) = self.encode(self.model, &micro_batch)?;
            let second = self.values.each_mut().map(std::mem::take);
            if self.tolerance.is_some() {
                for (output, (second, first)) in second.into_iter().flatten().zip(&first).enumerate() {
                    differences.push(difference(first.clone().narrow(0, items.start, items.len()), second));
                    compared.push((output, items.clone()));
                }
            }
            self.propagate(encoded, tape, of_items(gradients, &micro_batch))?;
        }
        Ok(self.compare(compared, differences)?)
    }

    /// Returns the sum of the gradients.
    pub(super) fn gradients(mut self) -> GradientsParams {
        self.sum.grads()
    }

    /// Runs the encoder, checks its outputs, and collects their values.
    fn encode(&mut self, model: &M, micro_batch: &MicroBatch) -> Result<(Encoded<N>, C::Tape), C::Error> {
        let (encoded, tape) = self.encoder.encode(model, micro_batch)?;
        let widths = self.check(&encoded, micro_batch)?;
        self.widths = Some(widths);
        for (pieces, rows) in self.values.iter_mut().zip(&encoded.embeddings) {
            pieces.push(rows.clone().inner());
        }
        if let Some(loss) = &encoded.extra_loss {
            loss_shape(EXTRA_LOSS, loss)?;
            self.extra_losses.push(loss.clone().inner().cast(DType::F32));
        }
        Ok((encoded, tape))
    }

    fn check(&self, encoded: &Encoded<N>, micro_batch: &MicroBatch) -> Result<[usize; N], GradientCacheError> {
        let dims = encoded.embeddings.each_ref().map(|rows| rows.dims());
        for (output, [rows, width]) in dims.into_iter().enumerate() {
            let items = micro_batch.items.clone();
            if rows != items.len() {
                return Err(GradientCacheError::Rows { output, got: rows, expected: items.len(), items });
            }
            let expected = self.widths.map(|widths| widths[output]);
            if width == 0 || expected.is_some_and(|expected| expected != width) {
                return Err(GradientCacheError::Width { output, items, got: width, expected });
            }
        }
        Ok(dims.map(|[_, width]| width))
    }

    /// Propagates gradients of a micro-batch's embeddings, and its extra loss.
    fn propagate(
        &mut self,
        encoded: Encoded<N>,
        tape: C::Tape,
        gradients: [Option<Tensor<2>>; N],
    ) -> Result<(), C::Error> {
        let products = encoded.embeddings.into_iter().zip(gradients).filter_map(|(rows, gradient)| {
            let gradient = Tensor::from_inner(gradient?.cast(rows.dtype()));
            Some((rows * gradient).sum())
        });
        let Some(loss) = encoded.extra_loss.into_iter().chain(products).reduce(|sum, term| sum + term) else {
            return Ok(());
        };
        if !loss.is_tracked() {
            return Err(GradientCacheError::NoGraph("loss of a micro-batch in the second pass").into());
        }
        let gradients = self.encoder.backward(self.model, loss, tape)?;
        self.sum.accumulate(self.model, gradients);
        Ok(())
    }

    /// Reads the differences of the two passes. One read at the end lets the device work ahead until then.
    fn compare(
        &self,
        compared: Vec<(usize, Range<usize>)>,
        differences: Vec<Tensor<1>>,
    ) -> Result<(), GradientCacheError> {
        let Some(tolerance) = self.tolerance.filter(|_| !differences.is_empty()) else { return Ok(()) };
        let differences = read(Tensor::cat(differences, 0))?;
        for ((output, items), values) in compared.into_iter().zip(differences.chunks(2)) {
            let (difference, largest) = (values[0], values[1]);
            // Values that are not finite are the loss's affair; no comparison with them is true.
            if f64::from(difference) > tolerance * f64::from(largest) {
                return Err(GradientCacheError::PassesDiffer { output, items, difference, largest });
            }
        }
        Ok(())
    }
}

/// The rows of a micro-batch in those of the whole batch.
fn of_items<const N: usize>(rows: &[Option<Tensor<2>>; N], micro_batch: &MicroBatch) -> [Option<Tensor<2>>; N] {
    let first = micro_batch.offset + micro_batch.items.start;
    rows.each_ref().map(|rows| Some(rows.clone()?.narrow(0, first, micro_batch.len())))
}

/// The largest difference between two tensors, and the largest magnitude of the first, `[2]`.
fn difference(first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
    let first = first.cast(DType::F32);
    let difference = (second.cast(DType::F32) - first.clone()).abs().max();
    Tensor::cat(vec![difference, first.abs().max()], 0)
}

/// Fails unless a loss is `[1]`.
pub(super) fn loss_shape(name: &'static str, loss: &Tensor<1>) -> Result<(), GradientCacheError> {
    match loss.dims() {
        [1] => Ok(()),
        [got] => Err(GradientCacheError::LossShape { loss: name, got }),
    }
}

//! Gradient checkpointing: a forward pass that keeps only the input of every layer, and a backward pass that recomputes
//! each layer (Chen et al. 2016).
//!
//! burn's built-in checkpointing decides per operation and keeps the results of matrix products. Here a whole decoder
//! layer is recomputed, so that only the activations of one layer are in memory at a time. Dropout masks are keyed, so the
//! second computation is bit-identical to the first.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Gradients, Tensor};

use crate::attention::Geometry;
use crate::linear::ForwardContext;
use crate::{DropoutKey, Llama, TokenBatch};

/// The state that a checkpointed forward pass saves for its backward pass.
#[derive(Debug)]
pub struct CheckpointTape {
    batch: TokenBatch,
    dropout: Option<DropoutKey>,
    /// The embeddings, on the graph.
    first: Tensor<3>,
    /// The input of each layer, off the graph, `[batch, seq, d_model]`.
    inputs: Vec<Tensor<3>>,
    /// Positions of the last layer's output.
    count: usize,
    /// The last layer's output: a leaf of the graph after the layers.
    last: Tensor<3>,
}

impl Llama {
    /// As [`hidden`](Llama::hidden) for a training step, keeping only the inputs of the layers. See
    /// [`last_hidden_checkpointed`](Llama::last_hidden_checkpointed).
    pub fn hidden_checkpointed(&self, batch: &TokenBatch, dropout: Option<&DropoutKey>) -> (Tensor<3>, CheckpointTape) {
        self.last_hidden_checkpointed(batch, batch.seq, dropout)
    }

    /// As [`last_hidden`](Llama::last_hidden) for a training step, keeping only the inputs of the layers.
    ///
    /// The model must be on an autodiff device. Compute a loss from the returned states, `[batch, count, d_model]`, and call
    /// its `backward` as usual. Then pass the result to [`CheckpointTape::backward`] to get the gradients of the layers.
    pub fn last_hidden_checkpointed(
        &self,
        batch: &TokenBatch,
        count: usize,
        dropout: Option<&DropoutKey>,
    ) -> (Tensor<3>, CheckpointTape) {
        let first = self.embed(batch);
        let plain = self.valid();
        let mut x = first.clone().inner();
        let geometry = Geometry::new(self.config(), batch, None, &x.device());
        let context = ForwardContext { spans: &batch.spans, seq: batch.seq, dropout };
        let mut inputs = Vec::with_capacity(plain.layers.len());
        for (index, layer) in plain.layers.iter().enumerate() {
            inputs.push(x.clone());
            x = layer.forward(x, &plain.geometry_of(index, &geometry, count), None, &context);
        }
        let last = Tensor::from_inner(x).require_grad();
        let hidden = self.norm.forward(last.clone());
        (hidden, CheckpointTape { batch: batch.clone(), dropout: dropout.cloned(), first, inputs, count, last })
    }
}

impl CheckpointTape {
    /// Returns the gradients of the parameters of `model`, given the gradients of the loss in the graph after the layers.
    pub fn backward(self, model: &Llama, gradients: Gradients) -> GradientsParams {
        let mut sum = GradientsAccumulator::new();
        let mut upstream = self.last.grad(&gradients);
        sum.accumulate(model, GradientsParams::from_grads(gradients, model));
        let geometry = Geometry::new(model.config(), &self.batch, None, &self.first.device());
        let context = ForwardContext { spans: &self.batch.spans, seq: self.batch.seq, dropout: self.dropout.as_ref() };
        for (index, (layer, input)) in model.layers.iter().zip(self.inputs).enumerate().rev() {
            let Some(of_output) = upstream.take() else { break };
            let input = Tensor::from_inner(input).require_grad();
            let geometry = model.geometry_of(index, &geometry, self.count);
            let output = layer.forward(input.clone(), &geometry, None, &context);
            let gradients = (output * Tensor::from_inner(of_output)).sum().backward();
            upstream = input.grad(&gradients);
            sum.accumulate(model, GradientsParams::from_grads(gradients, model));
        }
        if let Some(of_first) = upstream.filter(|_| model.embedding.val().is_require_grad()) {
            let gradients = (self.first * Tensor::from_inner(of_first)).sum().backward();
            sum.accumulate(model, GradientsParams::from_grads(gradients, model));
        }
        sum.grads()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::config::tests::tiny;
    use crate::{LoraConfig, TargetModules};

    /// The gradient of every parameter that has one, by path.
    fn gradients(model: &Llama, recompute: bool, count: usize) -> Vec<Vec<f32>> {
        let device = model.device();
        let rows = [vec![1, 5, 9, 3], vec![1, 7]];
        let batch = TokenBatch::left_padded(&rows, 0, 1, &device).unwrap();
        let key = DropoutKey { seed: 3, step: 1, rows: vec![4, 9] };
        let loss = |hidden: Tensor<3>| {
            let last = hidden.narrow(1, count - 1, 1).reshape([2, 16]);
            model.logits(last).powi_scalar(2).mean()
        };
        let mut of_parameters = match recompute {
            true => {
                let (hidden, tape) = model.last_hidden_checkpointed(&batch, count, Some(&key));
                tape.backward(model, loss(hidden).backward())
            }
            false => {
                let hidden = model.last_hidden(&batch, count, None, Some(&key));
                GradientsParams::from_grads(loss(hidden).backward(), model)
            }
        };
        let mut out = Vec::new();
        for factor in crate::adapter::factors(model).flat_map(|(_, factors)| factors) {
            out.push(of_parameters.remove::<2>(factor.id).unwrap().try_into_vec_as::<f32>().unwrap());
        }
        if let Some(gradient) = of_parameters.remove::<2>(model.embedding.id) {
            out.push(gradient.try_into_vec_as::<f32>().unwrap());
        }
        out
    }

    #[test]
    fn recomputed_gradients_match_the_plain_ones() {
        let device = Device::flex().autodiff();
        let lora = LoraConfig {
            rank: 2,
            dropout: 0.3,
            target_modules: TargetModules::Pattern("all-linear".to_owned()),
            ..LoraConfig::default()
        };
        let base = Llama::new(&tiny(), 3, &device).unwrap();
        for model in [base.clone().with_lora(&lora, 1).unwrap(), base] {
            let plain = gradients(&model, false, 4);
            assert!(!plain.is_empty() && plain.iter().flatten().any(|value| *value != 0.0));
            // All positions, the last three, and only the one that the loss needs.
            for (recompute, count) in [(true, 4), (false, 3), (true, 3), (false, 1), (true, 1)] {
                let other = gradients(&model, recompute, count);
                assert_eq!(plain.len(), other.len());
                for (a, b) in plain.iter().flatten().zip(other.iter().flatten()) {
                    // The operations are the same, but gradients of a value with several uses are summed in another order.
                    assert!((a - b).abs() <= 1e-5 * a.abs().max(0.1), "{recompute} {count}: {a} {b}");
                }
            }
        }
    }
}

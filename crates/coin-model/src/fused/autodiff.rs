//! The fused operations in an autodiff graph. Each keeps only its inputs and recomputes the rest.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend};

use super::{Fused, Kept};

/// The gradients of the operations of [`Fused`]; `grad` is the gradient of the output.
pub trait FusedGradients: Backend {
    /// Of x.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// Of the weight.
    fn rms_norm_weight_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self>;

    /// Of gate and up.
    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    /// Of x.
    fn rotate_backward(grad: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Of q, k and v.
    fn attend_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];

    /// Of x (if `of_x`), a and b; `inputs` are x, weight, a and b.
    fn lora_backward(
        inputs: [FloatTensor<Self>; 4],
        dropped: Option<Kept>,
        scale: f32,
        grad: FloatTensor<Self>,
        of_x: bool,
    ) -> (Option<FloatTensor<Self>>, [FloatTensor<Self>; 2]);

    /// Of the logits.
    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Registers gradients for the inputs that need one.
fn register<B: Backend, const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    of_inputs: [Option<FloatTensor<B>>; N],
) {
    for (parent, gradient) in parents.into_iter().zip(of_inputs) {
        if let Some((parent, gradient)) = parent.zip(gradient) {
            grads.register::<B>(parent, gradient);
        }
    }
}

/// Defines the graph node of an operation: its name, number of inputs, saved state, and the gradients computed from that
/// state.
macro_rules! node {
    ($name:ident, $inputs:literal, $state:ty, |$kept:pat_param, $grad:ident, $wanted:ident| $gradients:expr) => {
        #[derive(Debug)]
        struct $name;

        impl<B: Fused + FusedGradients> Backward<B, $inputs> for $name {
            type State = $state;

            fn backward(self, ops: Ops<Self::State, $inputs>, grads: &mut Gradients, _: &mut Checkpointer) {
                let parents = ops.parents.map(|parent| parent.map(|parent| parent.id));
                let $wanted = parents.map(|parent| parent.is_some());
                let $grad = grads.consume::<B>(&ops.node);
                let $kept = ops.state;
                register::<B, $inputs>(grads, parents, $gradients);
            }
        }
    };
}

node!(RmsNorm, 2, (FloatTensor<B>, FloatTensor<B>, f32), |(x, weight, epsilon), grad, wanted| [
    wanted[0].then(|| B::rms_norm_backward(x.clone(), weight, grad.clone(), epsilon)),
    wanted[1].then(|| B::rms_norm_weight_backward(x, grad, epsilon)),
]);

node!(SwiGlu, 2, [FloatTensor<B>; 2], |[gate, up], grad, _wanted| B::swiglu_backward(gate, up, grad).map(Some));

node!(Rotate, 1, [FloatTensor<B>; 2], |[cos, sin], grad, _wanted| [Some(B::rotate_backward(grad, cos, sin))]);

node!(Attend, 3, [FloatTensor<B>; 4], |[q, k, v, bias], grad, _wanted| {
    B::attend_backward(q, k, v, bias, grad).map(Some)
});

node!(Linear, 1, FloatTensor<B>, |weight, grad, _wanted| [Some(B::frozen_linear(grad, B::float_transpose(weight)))]);

node!(Lora, 3, ([FloatTensor<B>; 4], Option<Kept>, f32), |(inputs, kept, scale), grad, wanted| {
    let (x, [a, b]) = B::lora_backward(inputs, kept, scale, grad, wanted[0]);
    [x, Some(a), Some(b)]
});

node!(CrossEntropy, 1, (FloatTensor<B>, IntTensor<B>), |(logits, targets), grad, _wanted| {
    [Some(B::cross_entropy_backward(logits, targets, grad))]
});

impl<B: Fused + FusedGradients, C: CheckpointStrategy> Fused for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        let output = B::rms_norm(x.clone(), weight.clone(), epsilon);
        match RmsNorm.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, weight, epsilon), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((gate, gate_node), (up, up_node)) = (gate.into_parts(), up.into_parts());
        let output = B::swiglu(gate.clone(), up.clone());
        match SwiGlu.prepare::<C>([gate_node, up_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish([gate, up], output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        let output = B::rotate(x, cos.clone(), sin.clone());
        match Rotate.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish([cos, sin], output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let ((q, q_node), (k, k_node), (v, v_node)) = (q.into_parts(), k.into_parts(), v.into_parts());
        let bias = bias.into_primitive();
        let output = B::attend(q.clone(), k.clone(), v.clone(), bias.clone());
        match Attend.prepare::<C>([q_node, k_node, v_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish([q, k, v, bias], output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn frozen_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let weight = weight.into_primitive();
        let output = B::frozen_linear(x, weight.clone());
        match Linear.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(weight, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn lora_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        kept: Option<Kept>,
        scale: f32,
    ) -> FloatTensor<Self> {
        let ((x, x_node), (a, a_node), (b, b_node)) = (x.into_parts(), a.into_parts(), b.into_parts());
        let weight = weight.into_primitive();
        let output = B::lora_linear(x.clone(), weight.clone(), a.clone(), b.clone(), kept.clone(), scale);
        match Lora.prepare::<C>([x_node, a_node, b_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(([x, weight, a, b], kept, scale), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        let output = B::cross_entropy(logits.clone(), targets.clone());
        match CrossEntropy.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((logits, targets), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

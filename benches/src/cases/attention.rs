//! Causal attention without its projections: scores, softmax and weighted sum of values, forward, and backward to q, k
//! and v.

use burn::tensor::{DType, Device, Tensor, TensorData};
use coin::model::fused;

use super::pass::Pass;
use super::{Case, inputs};
use crate::{bytes, flops};

/// Number of heads and width of a head.
const HEADS: [[usize; 2]; 2] = [[6, 48], [16, 64]];
/// Tokens per row.
const LENGTHS: [usize; 4] = [64, 128, 256, 512];
/// Rows per batch.
const ROWS: usize = 8;

/// Added to the scores of masked keys, as in the model.
const MASKED: f32 = -1e9;

/// One case per shape of heads and length.
pub fn cases() -> Vec<Case> {
    HEADS.into_iter().flat_map(|heads| LENGTHS.map(|seq| case(heads, seq))).collect()
}

fn case([heads, head_dim]: [usize; 2], seq: usize) -> Case {
    let width = heads * head_dim;
    Case {
        name: format!("attention/{heads}x{head_dim}x{seq}"),
        variant: "",
        on_device: true,
        flops: flops::of_attention(ROWS, seq, width),
        bytes: bytes::of_attention(ROWS, seq, width),
        memory: 4.0 * ROWS as f64 * (3 * heads * seq * seq + 8 * seq * width) as f64,
        items: ((ROWS * seq) as f64, "tokens"),
        prepare: Box::new(move |device| Box::new(work([heads, head_dim], seq, device))),
    }
}

fn work([heads, head_dim]: [usize; 2], seq: usize, device: &Device) -> Pass<4, 3> {
    let device = device.clone().autodiff();
    let side = |seed| -> Tensor<4> { inputs::tensor([ROWS, heads, seq, head_dim], seed, 1.0, &device).require_grad() };
    let (q, k, v) = (side(1), side(2), side(3));
    let seen = |query: usize| (0..seq).map(move |key| if key <= query { 0.0 } else { MASKED });
    let bias: Vec<f32> = (0..seq).flat_map(seen).collect();
    let bias: Tensor<4> = Tensor::from_data(TensorData::new(bias, [1, 1, seq, seq]), (&device, DType::F32));
    Pass::new(q.clone(), move || fused::attend(q.clone(), k.clone(), v.clone(), bias.clone()))
}

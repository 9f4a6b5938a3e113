//! Training of a frozen square matrix with an adapter of rank 16: forward, and backward to input and adapter.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use coin::model::{DropoutKey, Weight};
use coin::model::{ForwardContext, LoraAdapter, LoraLinear};

use super::pass::Pass;
use super::{Case, inputs};
use crate::decoder::lora;
use crate::{bytes, flops};

/// Width of input and output.
const WIDTHS: [usize; 4] = [288, 768, 1024, 4096];
/// Rows per batch, and tokens per row.
const ROWS: usize = 4;
const SEQ: usize = 128;

/// One case per width.
pub fn cases() -> Vec<Case> {
    let case = |width: usize| Case {
        name: format!("lora/{width}"),
        variant: "",
        on_device: true,
        flops: flops::of_lora_linear(ROWS * SEQ, width, lora().rank),
        bytes: bytes::of_lora_linear(ROWS * SEQ, width, lora().rank),
        memory: 4.0 * (width * width + 5 * ROWS * SEQ * width) as f64,
        items: ((ROWS * SEQ) as f64, "tokens"),
        prepare: Box::new(move |device| Box::new(work(width, device))),
    };
    WIDTHS.map(case).into()
}

fn work(width: usize, device: &Device) -> Pass<3, 3> {
    let device = device.clone().autodiff();
    let config = lora();
    let root = (width as f32).sqrt().recip();
    let parameter = |shape, seed| Param::from_tensor(inputs::tensor(shape, seed, root, &device));
    let adapter = LoraAdapter {
        a: parameter([width, config.rank], 3),
        b: parameter([config.rank, width], 4),
        scale: config.scale(),
        dropout: config.dropout,
        stream: 0,
        merged: false,
    };
    let matrix = Weight::Dense(parameter([width, width], 2).set_require_grad(false));
    let linear = LoraLinear { lora: Some(adapter), ..LoraLinear::new(matrix, None) };
    let input: Tensor<3> = inputs::tensor([ROWS, SEQ, width], 1, 1.0, &device).require_grad();
    let spans = vec![0..SEQ; ROWS];
    let forward = move |x: &Tensor<3>, dropout: Option<&DropoutKey>| {
        linear.forward(x.clone(), &ForwardContext { spans: &spans, seq: SEQ, dropout })
    };
    let (exact, of_exact) = (forward.clone(), input.clone());
    let (x, mut step) = (input.clone(), 0);
    let training = move || {
        step += 1;
        forward(&x, Some(&DropoutKey { seed: 1, step, rows: (0..ROWS as u64).collect() }))
    };
    Pass { exact: Some(Box::new(move || exact(&of_exact, None))), ..Pass::new(input, training) }
}

//! Contrastive loss, forward, and backward to both inputs.

use burn::tensor::{Device, Tensor};
use coin::loss::{Evaluation, InfoNceConfig};

use super::pass::Pass;
use super::{Case, inputs};
use crate::{bytes, flops};

/// Numbers of pairs.
const BATCHES: [usize; 4] = [64, 1024, 4096, 16384];
/// Widths of a row.
const WIDTHS: [usize; 3] = [64, 512, 4096];

/// Number of pairs up to which `Evaluation::Auto` is plain.
const AUTO_IS_PLAIN: usize = 512;

/// For each size, the usual evaluation (plain for small batches, tiled for large ones) and the other one.
pub fn cases() -> Vec<Case> {
    BATCHES.into_iter().flat_map(|batch| WIDTHS.into_iter().flat_map(move |width| of_size(batch, width))).collect()
}

/// Returns the two cases of a size.
pub fn of_size(batch: usize, width: usize) -> [Case; 2] {
    let other = match batch > AUTO_IS_PLAIN {
        true => (Evaluation::Plain, "plain"),
        false => (Evaluation::Tiled(batch.div_ceil(4)), "tiled"),
    };
    [(Evaluation::Auto, ""), other].map(|(evaluation, variant)| {
        // Matrices of all similarities, and matrices of the inputs' size; see docs/losses.md.
        let (of_similarities, of_inputs) = match (evaluation, batch) {
            (Evaluation::Plain, _) => (7, 4),
            (_, ..=4096) => (1, 5),
            _ => (0, 5),
        };
        Case {
            name: format!("loss/{batch}x{width}"),
            variant,
            on_device: true,
            flops: flops::of_loss(batch, width),
            bytes: bytes::of_loss(batch, width),
            memory: 4.0 * (of_similarities * batch * batch + of_inputs * batch * width) as f64,
            items: (batch as f64, "pairs"),
            prepare: Box::new(move |device| Box::new(work(batch, width, evaluation, device))),
        }
    })
}

/// Loss and gradients for two inputs, `[batch, width]` each.
fn work(batch: usize, width: usize, evaluation: Evaluation, device: &Device) -> Pass<2, 1> {
    let loss = InfoNceConfig::new().with_evaluation(evaluation).init().expect("the settings are valid");
    let device = device.clone().autodiff();
    let rows = |seed| -> Tensor<2> { inputs::tensor([batch, width], seed, 1.0, &device).require_grad() };
    let (anchor, positive) = (rows(1), rows(2));
    Pass::new(anchor.clone(), move || loss.forward(anchor.clone(), positive.clone(), None).loss)
}

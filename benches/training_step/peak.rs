//! What the machine can do: a large product of matrices, and large tensors read and written once.

use burn::tensor::{Device, Distribution, Tensor};
use serde_json::{Map, Value, json};

use crate::options::Options;
use crate::timing::{Timing, object, rounded};

/// Rows and columns of the matrices.
const SIDE: usize = 2048;
/// Elements of the long tensors: 256 MiB each.
const LONG: usize = 1 << 26;

/// Everything in f32. Bytes are those a kernel must move: two tensors for the multiple, three for the sum.
pub fn measure(options: &Options, device: &Device) -> Map<String, Value> {
    let random = |rows, columns| Tensor::<2>::random([rows, columns], Distribution::Uniform(-1.0, 1.0), device);
    let timed = |operation: &dyn Fn() -> Tensor<2>| {
        Timing::of(options, |_| {
            let result = operation();
            device.sync().expect("the device computes");
            drop(result);
        })
    };
    let (a, b) = (random(SIDE, SIDE), random(SIDE, SIDE));
    let product = timed(&|| a.clone().matmul(b.clone()));
    let (long, other) = (random(LONG / SIDE, SIDE), random(LONG / SIDE, SIDE));
    let multiple = timed(&|| long.clone() * 3.0);
    let sum = timed(&|| long.clone() + other.clone());

    let flops = 2.0 * (SIDE as f64).powi(3);
    let mut report = product.fields(flops, SIDE);
    report.remove("tokens_per_second");
    let gb = |tensors: usize, timing: &Timing| rounded((4 * tensors * LONG) as f64 / timing.quantile(0.5) / 1e9, 2);
    report.append(&mut object(json!({
        "mode": "peak",
        "side": SIDE,
        "multiple_gb_per_second": gb(2, &multiple),
        "sum_gb_per_second": gb(3, &sum),
    })));
    report
}

//! Peak speed of the machine: a large matrix product, large tensors that are read and written once, and a large copy.

use burn::tensor::{Device, Distribution, Tensor};
use serde_json::{Map, Value, json};

use crate::machine;
use crate::timing::{Repeats, Timing, object, rounded};

/// Rows and columns of the matrices.
const SIDE: usize = 2048;
/// Elements of the long tensors, 256 MiB each.
const LONG: usize = 1 << 26;

/// Peak operations and bytes per second of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Operations per second of a large product in f32.
    pub flops: f64,
    /// Bytes per second that a large copy reads and writes.
    pub bytes: f64,
}

impl Peak {
    /// The fields of a report.
    pub fn fields(&self) -> Map<String, Value> {
        object(json!({
            "mode": "peak",
            "gflop_per_second": rounded(self.flops / 1e9, 1),
            "copy_gb_per_second": rounded(self.bytes / 1e9, 2),
        }))
    }

    /// Returns the share of the peak that a run reached, and true if the bytes are the limit. `None` if neither operations
    /// nor bytes were counted.
    pub fn share(&self, flops: f64, bytes: f64, seconds: f64) -> Option<(f64, bool)> {
        let (computing, moving) = (flops / self.flops, bytes / self.bytes);
        let least = computing.max(moving);
        (least > 0.0).then_some((least / seconds, moving > computing))
    }
}

/// Measures the peak of `device`, the reference for the shares of cases. The fastest run counts.
pub fn measure(device: &Device, repeats: Repeats) -> Peak {
    let flops = 2.0 * (SIDE as f64).powi(3) / product(device, repeats).quantile(0.0);
    Peak { flops, bytes: 8.0 * LONG as f64 / copy(device, repeats).quantile(0.0) }
}

/// Measures the product, the copy, and the cost of new memory: a multiple and a sum of long tensors whose results are
/// allocated inside the timed section. All in f32. Bytes are those that a kernel must move: two tensors for the multiple,
/// three for the sum.
pub fn report(device: &Device, repeats: Repeats) -> Map<String, Value> {
    let gb = |tensors: usize, timing: &Timing| rounded((4 * tensors * LONG) as f64 / timing.median() / 1e9, 2);
    let product = product(device, repeats);
    let copy = gb(2, &copy(device, repeats));
    let (long, other) = (long(device), long(device));
    let multiple = timed(device, repeats, || long.clone() * 3.0);
    let sum = timed(device, repeats, || long.clone() + other.clone());
    let mut report = product.fields(2.0 * (SIDE as f64).powi(3));
    report.append(&mut object(json!({
        "mode": "peak",
        "side": SIDE,
        "copy_gb_per_second": copy,
        "multiple_gb_per_second": gb(2, &multiple),
        "sum_gb_per_second": gb(3, &sum),
    })));
    report
}

fn product(device: &Device, repeats: Repeats) -> Timing {
    let (a, b) = (random(SIDE, device), random(SIDE, device));
    timed(device, repeats, || a.clone().matmul(b.clone()))
}

/// On the CPU, a copy into memory that was written before, one part per thread. On other devices a multiple, because
/// their allocators keep freed memory.
fn copy(device: &Device, repeats: Repeats) -> Timing {
    if *device != Device::flex() {
        let long = long(device);
        return timed(device, repeats, || long.clone() * 3.0);
    }
    let (from, mut to) = (vec![1f32; LONG], vec![2f32; LONG]);
    let part = LONG.div_ceil(machine::threads());
    Timing::of(repeats, |_| {
        std::thread::scope(|scope| {
            for (from, to) in from.chunks(part).zip(to.chunks_mut(part)) {
                scope.spawn(|| to.copy_from_slice(from));
            }
        });
        std::hint::black_box(&to);
    })
}

fn timed(device: &Device, repeats: Repeats, operation: impl Fn() -> Tensor<2>) -> Timing {
    Timing::of(repeats, |_| {
        let result = operation();
        device.sync().expect("the device computes");
        drop(result);
    })
}

fn long(device: &Device) -> Tensor<2> {
    random(LONG / SIDE, device)
}

fn random(rows: usize, device: &Device) -> Tensor<2> {
    Tensor::random([rows, SIDE], Distribution::Uniform(-1.0, 1.0), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_the_limiting_resource() {
        let peak = Peak { flops: 100.0, bytes: 10.0 };
        // One second of computing and two of moving, done in four.
        assert_eq!(peak.share(100.0, 20.0, 4.0), Some((0.5, true)));
        assert_eq!(peak.share(100.0, 5.0, 4.0), Some((0.25, false)));
        assert_eq!(peak.share(0.0, 0.0, 4.0), None);
    }
}

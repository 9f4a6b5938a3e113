//! The contrastive loss forward and backward, by batch and width.
//!
//! Command: `cargo bench -p coin-benches --bench contrastive_loss`

#![allow(missing_docs)]

use burn::tensor::{Device, Distribution, Tensor};
use coin::loss::InfoNceConfig;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn contrastive_loss(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    device.seed(1);
    let loss = InfoNceConfig::new().init().expect("the default temperature is positive");
    let mut group = criterion.benchmark_group("info_nce_forward_backward");
    group.sample_size(10);
    for (batch, width) in [(64, 64), (64, 4096), (512, 1024)] {
        let rows = |_| Tensor::<2>::random([batch, width], Distribution::Default, &device);
        let (anchor, positive) = (rows(0).require_grad(), rows(1).require_grad());
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{batch}x{width}")), |bench| {
            bench.iter(|| {
                let output = loss.forward(anchor.clone(), positive.clone(), None);
                let gradients = output.loss.backward();
                anchor.grad(&gradients).map(|gradient| gradient.sum().into_scalar::<f32>())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, contrastive_loss);
criterion_main!(benches);

//! A case, timed on a device.
//!
//! criterion warms a case up, decides how often to run it, and reports spread and change since the last time; it takes
//! ten samples at least. A case whose run is long gets fewer, by the same clock. Either way every run is timed for
//! itself, and the median of the runs is what counts.

use std::time::Duration;

use burn::tensor::Device;
use criterion::{Criterion, SamplingMode};

use crate::cases::{Case, Work};
use crate::machine;
use crate::timing::Timing;

/// Seconds for which criterion runs a case before the timed runs, and for which it times it.
const WARM_UP: f64 = 0.1;
const MEASUREMENT: f64 = 0.4;

/// Seconds of a run beyond which a case gets a few runs without criterion, at least two, and how long these take
/// together.
const LONG: f64 = 0.2;
const FEW: f64 = 1.2;

/// Seconds of a run on the CPU beyond which the first one is all there is. Other devices compile kernels in theirs.
const VERY_LONG: f64 = 4.0;

/// What a case took, and what it computed.
#[derive(Debug)]
pub struct Measured {
    /// Its runs.
    pub timing: Timing,
    /// See [`Work::values`].
    pub values: Option<[f64; 2]>,
}

/// Prepares and runs `case`; only `once` where that is asked for.
pub fn measure(criterion: &mut Criterion, case: &Case, name: &str, device: &Device, once: bool) -> Measured {
    let mut work = (case.prepare)(device);
    // Of what the case needs beside its inputs.
    machine::forget_peak();
    let mut first = Timing::begin();
    first.add(1, |_| work.run());
    let values = work.values();
    let on_cpu = *device == Device::flex();
    if once || (on_cpu && first.median() > VERY_LONG) {
        return Measured { timing: first, values };
    }
    let mut timing = Timing::begin_after(&first);
    match timing.add(1, |_| work.run()).as_secs_f64() {
        second if second > LONG => {
            timing.add(((FEW / second) as usize).max(2) - 1, |_| work.run());
        }
        _ => timing = sample(criterion, &format!("{name}/{}", case.title()), &first, &mut *work),
    }
    Measured { timing, values }
}

/// Has criterion run `work`, and keeps the times of the runs after its warm-up.
fn sample(criterion: &mut Criterion, name: &str, first: &Timing, work: &mut dyn Work) -> Timing {
    let (group, rest) = name.split_once('/').expect("a device and a case");
    let mut timing = Timing::begin_after(first);
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).nresamples(2000).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs_f64(WARM_UP)).measurement_time(Duration::from_secs_f64(MEASUREMENT));
    group.bench_function(rest, |bencher| {
        bencher.iter_custom(|runs| timing.add(runs as usize, |_| work.run()));
    });
    group.finish();
    timing.forget(WARM_UP);
    timing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(sleep: u64) -> Case {
        Case::on_cpu("family/case".to_owned(), (1.0, "runs"), move || {
            Box::new(move || std::thread::sleep(Duration::from_millis(sleep)))
        })
    }

    #[test]
    fn a_long_case_gets_few_runs() {
        let measured = measure(&mut Criterion::default(), &case(250), "cpu", &Device::flex(), false);
        // Four where the machine does nothing else.
        assert!((2..=4).contains(&measured.timing.runs()), "{:?}", measured.timing);
        assert!(measured.timing.median() >= 0.25, "{:?}", measured.timing);
        assert_eq!(measure(&mut Criterion::default(), &case(1), "cpu", &Device::flex(), true).timing.runs(), 1);
    }
}

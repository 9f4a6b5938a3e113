//! Timing of a case on a device.
//!
//! criterion warms a case up, decides how often to run it, and reports the spread and the change since the last time. It
//! takes at least ten samples. Cases with long runs get fewer runs, timed by the same clock. Either way, every run is
//! timed separately, and the result is the median.

use std::time::Duration;

use burn::tensor::Device;
use criterion::{Criterion, SamplingMode};

use crate::cases::{Case, Work};
use crate::machine;
use crate::timing::Timing;

/// Seconds of criterion's warm-up, and of its measurement.
const WARM_UP: f64 = 0.1;
const MEASUREMENT: f64 = 0.4;

/// Above `LONG` seconds per run, a case gets a few runs without criterion: as many as fit into `FEW` seconds, at least
/// two.
const LONG: f64 = 0.2;
const FEW: f64 = 1.2;

/// Above this many seconds per run on the CPU, only the first run is timed. On other devices the first run compiles
/// kernels.
const VERY_LONG: f64 = 4.0;

/// Times and values of a case.
#[derive(Debug)]
pub struct Measured {
    /// The timed runs.
    pub timing: Timing,
    /// See [`Work::values`].
    pub values: Option<[f64; 2]>,
}

/// Prepares and runs `case`; runs it a single time if `once` is true.
pub fn measure(criterion: &mut Criterion, case: &Case, name: &str, device: &Device, once: bool) -> Measured {
    let mut work = (case.prepare)(device);
    // The peak then covers the memory that the case needs in addition to its inputs.
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

/// Runs `work` with criterion and keeps the times of the runs after the warm-up.
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
        // Four on an idle machine.
        assert!((2..=4).contains(&measured.timing.runs()), "{:?}", measured.timing);
        assert!(measured.timing.median() >= 0.25, "{:?}", measured.timing);
        assert_eq!(measure(&mut Criterion::default(), &case(1), "cpu", &Device::flex(), true).timing.runs(), 1);
    }
}

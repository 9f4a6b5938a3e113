//! Timing of runs.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::machine;

/// Number of runs.
#[derive(Debug, Clone, Copy)]
pub struct Repeats {
    /// Runs before the timed ones.
    pub warm_up: usize,
    /// Timed runs.
    pub steps: usize,
}

/// The times of a series of runs.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Wall time of each run.
    seconds: Vec<f64>,
    /// Wall time of all runs, and processor time of all threads of the process during them.
    wall_seconds: f64,
    cpu_seconds: f64,
    /// Peak memory before the first run.
    peak_mb_before: f64,
}

impl Timing {
    /// Creates a timing without runs.
    pub fn begin() -> Self {
        Timing { seconds: Vec::new(), wall_seconds: 0.0, cpu_seconds: 0.0, peak_mb_before: machine::peak_mb() }
    }

    /// Creates a timing without runs that keeps the peak memory from before `first`, an earlier run of the same work.
    pub fn begin_after(first: &Timing) -> Self {
        Timing { peak_mb_before: first.peak_mb_before, ..Timing::begin() }
    }

    /// Calls `step` with the number of each run, warm-up first. `step` must return only when its work is complete.
    pub fn of(repeats: Repeats, mut step: impl FnMut(usize)) -> Self {
        let mut timing = Timing::begin();
        (0..repeats.warm_up).for_each(&mut step);
        timing.add(repeats.steps, |number| step(repeats.warm_up + number));
        timing
    }

    /// Calls `step` `runs` times and returns the total time.
    pub fn add(&mut self, runs: usize, mut step: impl FnMut(usize)) -> Duration {
        let spent = machine::cpu_seconds();
        let mut total = Duration::ZERO;
        for number in 0..runs {
            let start = Instant::now();
            step(number);
            let took = start.elapsed();
            self.seconds.push(took.as_secs_f64());
            total += took;
        }
        self.wall_seconds += total.as_secs_f64();
        self.cpu_seconds += machine::cpu_seconds() - spent;
        total
    }

    /// Drops the times of the runs that began in the first `warm_up` seconds.
    pub fn forget(&mut self, warm_up: f64) {
        let mut until = 0.0;
        let within = self.seconds.iter().take_while(|&&seconds| {
            let began = until;
            until += seconds;
            began <= warm_up
        });
        let count = within.count();
        self.seconds.drain(..count);
    }

    /// Number of timed runs.
    pub fn runs(&self) -> usize {
        self.seconds.len()
    }

    /// The median of the runs, in seconds.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// A quantile of the runs in seconds, interpolated linearly between the two nearest runs.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let place = (seconds.len() - 1) as f64 * share;
        let (below, above) = (seconds[place.floor() as usize], seconds[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    /// Growth of the peak resident memory since before the first run, in units of 10^6 bytes.
    pub fn memory_mb(&self) -> f64 {
        machine::peak_mb() - self.peak_mb_before
    }

    /// Returns the fields of a report; `flops` are the operations of one run.
    pub fn fields(&self, flops: f64) -> Map<String, Value> {
        let share = self.cpu_seconds / self.wall_seconds / machine::threads() as f64;
        object(json!({
            "seconds_median": significant(self.median()),
            "seconds_quartiles": [significant(self.quantile(0.25)), significant(self.quantile(0.75))],
            "runs": self.runs(),
            "flops": flops,
            "gflop_per_second": rounded(flops / self.median() / 1e9, 1),
            "peak_mb": rounded(machine::peak_mb(), 1),
            "peak_mb_before_first_step": rounded(self.peak_mb_before, 1),
            "cpu_share": rounded(share, 3),
        }))
    }
}

/// Returns the map of a JSON object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("expected an object, got {other}"),
    }
}

/// Rounds to `decimals` decimals.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}

/// Rounds to five significant digits.
pub fn significant(value: f64) -> f64 {
    format!("{value:.4e}").parse().expect("a formatted number can be parsed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: &[f64]) -> Timing {
        Timing { seconds: seconds.to_vec(), ..Timing::begin() }
    }

    #[test]
    fn quantiles_are_interpolated() {
        let timing = of(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|share| timing.quantile(share)), [1.0, 1.75, 2.5, 4.0]);
    }

    #[test]
    fn the_warm_up_is_dropped() {
        let mut timing = of(&[0.5, 0.5, 0.5, 0.1, 0.1]);
        timing.forget(1.0);
        assert_eq!(timing.seconds, [0.1, 0.1]);
    }

    #[test]
    fn figures_have_five_digits() {
        assert_eq!([0.000123456789, 12.3456789].map(significant), [0.00012346, 12.346]);
    }
}

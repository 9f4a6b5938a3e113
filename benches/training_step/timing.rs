//! Steps, timed.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::machine;
use crate::options::Options;

/// What timed steps took.
pub struct Timing {
    /// Wall time of each step, ascending.
    seconds: Vec<f64>,
    /// Processor time of the process during them, of all threads.
    cpu_seconds: f64,
    /// Peak memory before the first step.
    peak_mb_before: f64,
}

impl Timing {
    /// Runs `step` with its number, warm-up first. Every call must be complete when it returns.
    pub fn of(options: &Options, mut step: impl FnMut(usize)) -> Self {
        let peak_mb_before = machine::peak_mb();
        (0..options.warm_up).for_each(&mut step);
        let mut seconds = Vec::with_capacity(options.steps);
        let before = machine::cpu_seconds();
        for number in options.warm_up..options.warm_up + options.steps {
            let start = Instant::now();
            step(number);
            seconds.push(start.elapsed().as_secs_f64());
        }
        let cpu_seconds = machine::cpu_seconds() - before;
        seconds.sort_by(f64::total_cmp);
        Timing { seconds, cpu_seconds, peak_mb_before }
    }

    /// The fields of the report: `flops` are those of a step, `tokens` its tokens.
    pub fn fields(&self, flops: f64, tokens: usize) -> Map<String, Value> {
        let median = self.quantile(0.5);
        let wall = self.seconds.iter().sum::<f64>();
        let share = self.cpu_seconds / wall / machine::threads() as f64;
        let fields = json!({
            "seconds_median": rounded(median, 5),
            "seconds_quartiles": [rounded(self.quantile(0.25), 5), rounded(self.quantile(0.75), 5)],
            "tokens_per_second": rounded(tokens as f64 / median, 1),
            "flops": flops,
            "gflop_per_second": rounded(flops / median / 1e9, 1),
            "peak_mb": rounded(machine::peak_mb(), 1),
            "peak_mb_before_first_step": rounded(self.peak_mb_before, 1),
            "cpu_share": rounded(share, 3),
        });
        object(fields)
    }

    /// Linear between the two nearest.
    pub fn quantile(&self, share: f64) -> f64 {
        let place = (self.seconds.len() - 1) as f64 * share;
        let (below, above) = (self.seconds[place.floor() as usize], self.seconds[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }
}

/// The map of a JSON object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("expected an object, got {other}"),
    }
}

/// To so many decimals.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}

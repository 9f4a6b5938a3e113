//! Growth of cost: the seconds of a step as a function of one size, with the others fixed, and the fitted exponent.

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use crate::cases::{Case, decoder, loss};
use crate::decoder::{SIZES, Size};
use crate::report::{figure, markdown};
use crate::timing::{Repeats, Timing, object, rounded, significant};
use crate::training::TrainingStep;

/// A step at several values of one of its sizes.
#[derive(Debug)]
pub struct Series {
    /// Name of the workload: `training step`.
    pub work: &'static str,
    /// Name of the size that grows: `pairs`.
    pub axis: &'static str,
    /// The fixed sizes.
    pub fixed: String,
    /// The values of the growing size, each with its case.
    pub points: Vec<(usize, Case)>,
}

/// The series to measure.
pub fn series() -> Vec<Series> {
    let small = TrainingStep::of(SIZES[0]);
    let training = |axis, fixed: &str, steps: Vec<(usize, TrainingStep)>| {
        let case = |(at, step)| (at, decoder::training_step(format!("training/{axis} {at}"), step));
        Series { work: "training step", axis, fixed: fixed.to_owned(), points: steps.into_iter().map(case).collect() }
    };
    let usual = |batch: usize, width: usize| loss::of_size(batch, width).into_iter().next().expect("the usual variant");
    vec![
        training(
            "pairs",
            "d 288 x 6, 128 tokens",
            [1, 2, 4, 8, 16].map(|pairs| (pairs, TrainingStep { pairs, ..small })).into(),
        ),
        training(
            "tokens of a row",
            "d 288 x 6, 2 pairs",
            [32, 64, 128, 256, 512].map(|seq| (seq, TrainingStep { pairs: 2, seq, ..small })).into(),
        ),
        training(
            "width",
            "6 layers, heads of 64, feed-forward 3 d, 2 pairs of 128 tokens",
            [128, 256, 512, 1024].map(|width| (width, wide(width))).into(),
        ),
        Series {
            work: "contrastive loss",
            axis: "pairs",
            fixed: "d 512".to_owned(),
            points: [64, 256, 1024, 4096, 16384].map(|batch| (batch, usual(batch, 512))).into(),
        },
    ]
}

fn wide(width: usize) -> TrainingStep {
    let size = Size { name: "wide", width, heads: width / 64, ff: 3 * width, ..SIZES[0] };
    TrainingStep { pairs: 2, ..TrainingStep::of(size) }
}

/// A measured point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The value of the growing size.
    pub at: usize,
    /// The median of the runs, in seconds.
    pub seconds: f64,
    /// Floating-point operations of a run.
    pub flops: f64,
}

impl Series {
    /// Measures every point: one run to warm up, then `runs` timed runs.
    pub fn measure(&self, device: &Device, runs: usize) -> Vec<Point> {
        let point = |(at, case): &(usize, Case)| {
            let mut work = (case.prepare)(device);
            let timing = Timing::of(Repeats { warm_up: 1, steps: runs }, |_| work.run());
            Point { at: *at, seconds: timing.median(), flops: case.flops }
        };
        self.points.iter().map(point).collect()
    }

    /// Returns the line of JSON for the points.
    pub fn line(&self, points: &[Point]) -> Map<String, Value> {
        object(json!({
            "mode": "scaling",
            "work": self.work, "axis": self.axis, "fixed": self.fixed,
            "at": points.iter().map(|point| point.at).collect::<Vec<_>>(),
            "seconds_median": points.iter().map(|point| significant(point.seconds)).collect::<Vec<_>>(),
            "flops": points.iter().map(|point| point.flops).collect::<Vec<_>>(),
            "exponent": rounded(exponent(points, |point| point.seconds), 3),
            "exponent_of_last": rounded(exponent(last(points), |point| point.seconds), 3),
            "exponent_of_flops": rounded(exponent(points, |point| point.flops), 3),
        }))
    }
}

/// Formats the series as a Markdown table.
pub fn table(measured: &[(Series, Vec<Point>)]) -> String {
    let row = |(series, points): &(Series, Vec<Point>)| {
        let seconds = |point: &Point| format!("{}: {}", point.at, figure(point.seconds));
        let of = |points: &[Point], value: fn(&Point) -> f64| format!("{:.2}", exponent(points, value));
        vec![
            format!("{} ({})", series.work, series.fixed),
            series.axis.to_owned(),
            points.iter().map(seconds).collect::<Vec<_>>().join(", "),
            of(points, |point| point.seconds),
            of(last(points), |point| point.seconds),
            of(points, |point| point.flops),
        ]
    };
    let columns = ["work", "over", "seconds", "exponent", "of the last two", "of FLOPs"];
    markdown(&columns, measured.iter().map(row))
}

/// The last two points.
fn last(points: &[Point]) -> &[Point] {
    &points[points.len().saturating_sub(2)..]
}

/// The exponent of growth: the slope of the least-squares line through the logarithms of size and `value`.
fn exponent(points: &[Point], value: fn(&Point) -> f64) -> f64 {
    let logarithms: Vec<[f64; 2]> = points.iter().map(|point| [(point.at as f64).ln(), value(point).ln()]).collect();
    let count = points.len() as f64;
    let mean = |axis: usize| logarithms.iter().map(|pair| pair[axis]).sum::<f64>() / count;
    let [x, y] = [mean(0), mean(1)];
    let products = |f: fn([f64; 2]) -> f64| logarithms.iter().map(|&[a, b]| f([a - x, b - y])).sum::<f64>();
    products(|[a, b]| a * b) / products(|[a, _]| a * a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_of_a_power_law_is_recovered() {
        let point = |at: usize| Point { at, seconds: 3.0 * (at as f64).powf(1.5), flops: at as f64 };
        let points: Vec<Point> = [2, 4, 8, 100].map(point).into();
        assert!((exponent(&points, |point| point.seconds) - 1.5).abs() < 1e-12);
        assert!((exponent(last(&points), |point| point.flops) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn every_series_grows() {
        for series in series() {
            assert!(series.points.is_sorted_by(|one, next| one.0 < next.0 && one.1.flops < next.1.flops), "{series:?}");
        }
    }
}

//! How cost grows: the seconds of a step over one of its sizes, the others fixed, and the exponent that fits them.

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use crate::cases::{Case, decoder, loss};
use crate::decoder::{SIZES, Size};
use crate::report::{figure, markdown};
use crate::timing::{Repeats, Timing, object, rounded, significant};
use crate::training::TrainingStep;

/// A step over one of its sizes.
#[derive(Debug)]
pub struct Series {
    /// What is measured: `training step`.
    pub work: &'static str,
    /// Which size grows: `pairs`.
    pub axis: &'static str,
    /// The sizes that do not.
    pub fixed: String,
    /// The values of the size, each with its case.
    pub points: Vec<(usize, Case)>,
}

/// The series that are measured.
pub fn series() -> Vec<Series> {
    let small = TrainingStep::of(SIZES[0]);
    let training = |axis, fixed: &str, steps: Vec<(usize, TrainingStep)>| {
        let case = |(at, step)| (at, decoder::training_step(format!("training/{axis} {at}"), step));
        Series { work: "training step", axis, fixed: fixed.to_owned(), points: steps.into_iter().map(case).collect() }
    };
    let usual = |batch: usize, width: usize| loss::of_size(batch, width).into_iter().next().expect("the usual one");
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

/// A point of a series, measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The value of the size that grows.
    pub at: usize,
    /// The median of the runs.
    pub seconds: f64,
    /// Floating-point operations of a run.
    pub flops: f64,
}

impl Series {
    /// Measures every point: a run to warm up, then so many.
    pub fn measure(&self, device: &Device, runs: usize) -> Vec<Point> {
        let point = |(at, case): &(usize, Case)| {
            let mut work = (case.prepare)(device);
            let timing = Timing::of(Repeats { warm_up: 1, steps: runs }, |_| work.run());
            Point { at: *at, seconds: timing.median(), flops: case.flops }
        };
        self.points.iter().map(point).collect()
    }

    /// The line of JSON of its points.
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

/// The series as a Markdown table.
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

/// The slope of the line that fits the logarithms best: `value` grows with the size's power of it.
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
    fn the_exponent_of_a_power_is_found() {
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

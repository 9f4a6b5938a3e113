//! Learning curves: generation and contrastive loss by optimizer step.

use super::frame::{Frame, WIDTH, color};
use super::svg::{Anchor, Svg};
use super::{Curve, CurvePoint};
use crate::summary::Summary;

/// What a panel shows of a step.
type Value = fn(&CurvePoint) -> Option<f64>;

/// Points drawn at most per line; longer runs are averaged in equal stretches.
const MOST: usize = 300;

/// The color class of `curve`; runs that the summary lacks take the ones after it.
fn class(summary: &Summary, curves: &[Curve], curve: &Curve) -> String {
    match summary.runs.iter().position(|run| run.name == curve.run) {
        Some(index) => color(summary, index),
        None => {
            let place = curves.iter().position(|other| other.run == curve.run).unwrap_or(0);
            format!("r{}", (summary.runs.len() + place) % 6)
        }
    }
}

pub(super) fn figure(summary: &Summary, curves: &[Curve]) -> String {
    let contrastive = curves.iter().any(|curve| curve.points.iter().any(|point| point.loss_contrastive.is_some()));
    let panels: &[(&str, Value)] = &[
        ("generation loss (nats per token)", |point| Some(point.loss_generation)),
        ("contrastive loss (nats)", |point| point.loss_contrastive),
    ];
    let panels = &panels[..if contrastive { 2 } else { 1 }];
    let mut svg = Svg::new(WIDTH, 310.0);
    let mut x = 56.0;
    for curve in curves {
        let class = class(summary, curves, curve);
        svg.line(&format!("curve {class}"), x, 10.0, x + 22.0, 10.0);
        svg.text("legend", Anchor::Start, x + 28.0, 14.5, &curve.run);
        x += 56.0 + 8.0 * curve.run.chars().count() as f64;
    }
    let last = curves.iter().flat_map(|curve| &curve.points).map(|point| point.step).max().unwrap_or(0).max(1);
    let width = (WIDTH - 66.0 - 60.0 * (panels.len() - 1) as f64) / panels.len() as f64;
    for (panel, (name, value)) in panels.iter().enumerate() {
        let left = 56.0 + (width + 60.0) * panel as f64;
        let highest =
            curves.iter().flat_map(|curve| curve.points.iter().filter_map(value)).filter(|loss| loss.is_finite());
        let high = round_up(highest.fold(0.0, f64::max));
        let frame = Frame { left, top: 56.0, width, height: 196.0, low: 0.0, high };
        let decimals = if high < 1.0 { 2 + (-high.log10().floor()) as usize } else { 2 };
        frame.axis(&mut svg, 4, decimals, "");
        svg.text("panel", Anchor::Start, left, 44.0, name);
        for step in (0..=last).step_by(interval(last)) {
            let x = left + width * step as f64 / last as f64;
            svg.text("tick", Anchor::Middle, x, frame.bottom() + 17.0, &step.to_string());
        }
        svg.text("label", Anchor::Middle, left + width / 2.0, frame.bottom() + 40.0, "optimizer step");
        for curve in curves {
            let points: Vec<(f64, f64)> = curve
                .points
                .iter()
                .filter_map(|point| Some((point.step as f64, value(point).filter(|loss| loss.is_finite())?)))
                .collect();
            if !points.is_empty() {
                let place = |(step, loss): (f64, f64)| (left + width * step / last as f64, frame.y(loss));
                let points: Vec<_> = thin(&points).into_iter().map(place).collect();
                svg.polyline(&format!("curve {}", class(summary, curves, curve)), &points);
            }
        }
    }
    svg.finish("Losses by optimizer step")
}

/// Averages over equal stretches so that at most [`MOST`] points are left.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mean = |stretch: &[(f64, f64)]| {
        let sum = stretch.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / stretch.len() as f64, sum.1 / stretch.len() as f64)
    };
    points.chunks(points.len().div_ceil(MOST).max(1)).map(mean).collect()
}

/// The least of 1, 2, 5 times a power of ten that divides `last` steps into at most five stretches.
fn interval(last: u64) -> usize {
    let mut power = 1;
    loop {
        for factor in [1, 2, 5] {
            if last / (factor * power) <= 5 {
                return (factor * power) as usize;
            }
        }
        power *= 10;
    }
}

/// The least of 1, 2, 3, 4, 6, 8, 10 times a power of ten that is at least `value`.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|bound| *bound >= value)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!((round_up(2.7), round_up(9.0), round_up(10.0), round_up(0.0)), (3.0, 10.0, 10.0, 1.0));
        assert_eq!((interval(199), interval(4), interval(780), interval(1)), (50, 1, 200, 1));
    }

    #[test]
    fn long_curves_are_averaged() {
        let points: Vec<(f64, f64)> = (0..600).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let thinned = thin(&points);
        assert_eq!((thinned.len(), thinned[0], thinned[299]), (300, (0.5, 0.5), (598.5, 0.5)));
    }
}

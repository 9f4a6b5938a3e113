//! Learning curves: losses, ranking and cosines by optimizer step, and on held-out pairs.

use coin_eval::Summary;

use super::frame::{Frame, WIDTH, color};
use super::svg::{Anchor, Svg};
use crate::curve::{Curve, CurvePoint, HeldOutPoint};

/// The value of a step that a line shows.
type Value = fn(&CurvePoint) -> Option<f64>;

/// The value of an evaluation on held-out pairs that a dot shows.
type HeldOut = fn(&HeldOutPoint) -> Option<f64>;

/// A small plot: its title, one or two lines for each run, dots, and true if its axis ends at 1.
struct Panel {
    title: &'static str,
    lines: &'static [Value],
    dots: HeldOut,
    share: bool,
}

const PANELS: [Panel; 4] = [
    Panel {
        title: "generation loss (nats per token)",
        lines: &[|point| Some(point.loss_generation)],
        dots: |point| Some(point.loss_generation),
        share: false,
    },
    Panel { title: "contrastive loss (nats)", lines: &[|point| point.loss_contrastive], dots: |_| None, share: false },
    Panel {
        title: "positive ranks first (share of pairs)",
        lines: &[|point| point.accuracy],
        dots: |point| point.accuracy,
        share: true,
    },
    Panel {
        title: "cosine of positives, of negatives (thin)",
        lines: &[|point| point.similarity_positive, |point| point.similarity_negative],
        dots: |_| None,
        share: true,
    },
];

/// Distance from the top of one row of panels to the top of the next.
const ROW: f64 = 300.0;

/// Maximum number of points in a line without gaps. Longer runs are averaged over segments of equal length.
const MOST: usize = 300;

/// Returns the color class of `curve`. Runs that are not in the summary use the classes after those of the summary.
fn class(summary: &Summary, curves: &[Curve], curve: &Curve) -> String {
    match summary.runs.iter().position(|run| run.name == curve.run) {
        Some(index) => color(summary, index),
        None => {
            let place = curves.iter().position(|other| other.run == curve.run).unwrap_or(0);
            format!("r{}", (summary.runs.len() + place) % 6)
        }
    }
}

pub(crate) fn figure(summary: &Summary, curves: &[Curve]) -> String {
    let has = |value: &Value| curves.iter().any(|curve| curve.points.iter().any(|point| value(point).is_some()));
    let panels: Vec<&Panel> = PANELS.iter().filter(|panel| panel.lines.iter().any(has)).collect();
    let rows = panels.len().div_ceil(2);
    let mut svg = Svg::new(WIDTH, 10.0 + ROW * rows as f64);
    let mut x = 56.0;
    for curve in curves {
        let class = class(summary, curves, curve);
        svg.line(&format!("curve {class}"), x, 10.0, x + 22.0, 10.0);
        svg.text("legend", Anchor::Start, x + 28.0, 14.5, &curve.run);
        x += 56.0 + 8.0 * curve.run.chars().count() as f64;
    }
    let steps = curves.iter().flat_map(|curve| {
        curve.points.iter().map(|point| point.step).chain(curve.held_out.iter().map(|point| point.step))
    });
    let last = steps.max().unwrap_or(0).max(1);
    let columns = panels.len().min(2);
    let width = (WIDTH - 66.0 - 60.0 * (columns - 1) as f64) / columns as f64;
    for (place, panel) in panels.into_iter().enumerate() {
        let left = 56.0 + (width + 60.0) * (place % 2) as f64;
        let top = 56.0 + ROW * (place / 2) as f64;
        draw(&mut svg, panel, summary, curves, last, [left, top, width]);
    }
    svg.finish("Losses, ranking and cosines by optimizer step")
}

fn draw(svg: &mut Svg, panel: &Panel, summary: &Summary, curves: &[Curve], last: u64, [left, top, width]: [f64; 3]) {
    // One line for each sequence of steps with a value. Steps without a value leave a gap.
    let values = |curve: &Curve, value: Value| -> Vec<Vec<(f64, f64)>> {
        let shown = |point: &CurvePoint| value(point).filter(is_drawable);
        let stretches = curve.points.chunk_by(|a, b| shown(a).is_some() == shown(b).is_some());
        let line = |stretch: &[CurvePoint]| -> Vec<(f64, f64)> {
            stretch.iter().filter_map(|point| Some((point.step as f64, shown(point)?))).collect()
        };
        stretches.map(line).filter(|line| !line.is_empty()).collect()
    };
    let dots = |curve: &Curve| -> Vec<(f64, f64)> {
        let points = curve.held_out.iter().filter_map(|point| Some((point.step as f64, (panel.dots)(point)?)));
        points.filter(|(_, value)| is_drawable(value)).collect()
    };
    let all = curves.iter().flat_map(|curve| {
        panel.lines.iter().flat_map(|line| values(curve, *line)).flatten().chain(dots(curve)).collect::<Vec<_>>()
    });
    let (lowest, highest) = all.fold((0.0, 0.0), |(low, high), (_, value)| (value.min(low), value.max(high)));
    let high = if panel.share { 1.0 } else { round_up(highest) };
    let low = if lowest < 0.0 { -round_up(-lowest) } else { 0.0 };
    let frame = Frame { left, top, width, height: 196.0, low, high };
    let decimals = if high < 1.0 { 2 + (-high.log10().floor()) as usize } else { 2 };
    frame.axis(svg, 4, decimals, "");
    svg.text("panel", Anchor::Start, left, top - 12.0, panel.title);
    let x = |step: f64| left + width * step / last as f64;
    for step in (0..=last).step_by(interval(last)) {
        svg.text("tick", Anchor::Middle, x(step as f64), frame.bottom() + 17.0, &step.to_string());
    }
    svg.text("label", Anchor::Middle, left + width / 2.0, frame.bottom() + 40.0, "optimizer step");
    for curve in curves {
        let class = class(summary, curves, curve);
        for (index, line) in panel.lines.iter().enumerate() {
            let every = curve.points.len().div_ceil(MOST).max(1);
            for stretch in values(curve, *line) {
                let points = thin(&stretch, every);
                let points: Vec<(f64, f64)> =
                    points.into_iter().map(|(step, value)| (x(step), frame.y(value))).collect();
                svg.polyline(&format!("curve {class}{}", if index > 0 { " thin" } else { "" }), &points);
            }
        }
        for (step, value) in dots(curve) {
            let tip = format!("{}, held out, step {step}: {value:.4}", curve.run);
            svg.circle(&class, x(step), frame.y(value), 3.2, &tip);
        }
    }
}

/// True if a plot can show `value`. An axis over more than sixty powers of ten has no room for its labels.
fn is_drawable(value: &f64) -> bool {
    value.abs() <= 1e30
}

/// Averages each segment of `every` points.
fn thin(points: &[(f64, f64)], every: usize) -> Vec<(f64, f64)> {
    let mean = |stretch: &[(f64, f64)]| {
        let sum = stretch.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / stretch.len() as f64, sum.1 / stretch.len() as f64)
    };
    points.chunks(every).map(mean).collect()
}

/// Returns the smallest of 1, 2, 5 times a power of ten that divides `last` steps into at most five intervals.
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

/// Returns the smallest of 1, 2, 3, 4, 6, 8, 10 times a power of ten that is at least `value`.
fn round_up(value: f64) -> f64 {
    if value < 1e-30 {
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
        let thinned = thin(&points, 2);
        assert_eq!((thinned.len(), thinned[0], thinned[299]), (300, (0.5, 0.5), (598.5, 0.5)));
    }

    fn curve(losses: &[Option<f64>]) -> Curve {
        let point = |(step, loss): (usize, &Option<f64>)| CurvePoint {
            step: step as u64,
            loss_generation: 1.0,
            loss_contrastive: *loss,
            accuracy: None,
            similarity_positive: None,
            similarity_negative: None,
        };
        let points = losses.iter().enumerate().map(point).collect();
        Curve { run: "run".to_owned(), points, held_out: Vec::new() }
    }

    fn lines(losses: &[Option<f64>]) -> usize {
        let summary = Summary::new(serde_json::Map::new(), Vec::new());
        let svg = figure(&summary, &[curve(losses)]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        svg.matches("<polyline").count()
    }

    #[test]
    fn a_step_without_a_value_is_a_gap() {
        // The generation loss adds one line.
        assert_eq!(lines(&[Some(0.1), Some(0.2), Some(0.3)]), 1 + 1);
        assert_eq!(lines(&[Some(0.1), None, Some(0.3)]), 1 + 2);
        assert_eq!(lines(&[None, Some(0.2), None]), 1 + 1);
    }

    #[test]
    fn numbers_at_the_ends_of_their_range_are_drawn_or_left_out() {
        for value in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e-29, f64::NAN, f64::INFINITY] {
            lines(&[Some(value), Some(1.0), Some(-value)]);
        }
        let mut far = curve(&[Some(1.0), Some(2.0)]);
        far.points[1].step = u64::MAX;
        figure(&Summary::new(serde_json::Map::new(), Vec::new()), &[far]);
    }
}

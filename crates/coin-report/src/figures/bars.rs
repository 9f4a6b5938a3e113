//! Grouped bars: accuracy by level and run. Whiskers show 95 % intervals if there are any, and the standard deviation over
//! instructions otherwise.

use coin_eval::Summary;

use super::frame::{Frame, WIDTH, color, legend};
use super::svg::{Anchor, Svg};
use crate::tables::cells::percent;
use crate::titles::level_title;

pub(crate) fn figure(summary: &Summary) -> String {
    let mut svg = Svg::new(WIDTH, 360.0);
    let frame = Frame { left: 56.0, top: 34.0, width: WIDTH - 66.0, height: 270.0, low: 0.0, high: 100.0 };
    legend(&mut svg, summary, frame.left, 14.0);
    frame.axis(&mut svg, 5, 0, "accuracy (%)");
    let levels = summary.levels();
    let slot = frame.width / levels.len() as f64;
    let bar = (slot * 0.8 / summary.runs.len() as f64).min(44.0);
    for (position, level) in levels.iter().enumerate() {
        let center = frame.left + slot * (position as f64 + 0.5);
        let start = center - bar * summary.runs.len() as f64 / 2.0;
        for (index, run) in summary.runs.iter().enumerate() {
            let Some(measures) = run.level(level) else { continue };
            let (x, top) = (start + bar * index as f64, frame.y(100.0 * measures.accuracy));
            let (low, high, of) = match measures.accuracy_interval {
                Some(interval) => (interval.low, interval.high, "95 % interval"),
                None => (measures.accuracy - measures.std, measures.accuracy + measures.std, "± std"),
            };
            let tip = format!(
                "{}, {}: {} %, {of} {} to {}",
                run.name,
                level_title(level),
                percent(measures.accuracy),
                percent(low),
                percent(high)
            );
            svg.rect(&color(summary, index), [x + 1.0, top, bar - 2.0, frame.bottom() - top], "", &tip);
            let (middle, high, low) = (x + bar / 2.0, frame.y(100.0 * high), frame.y(100.0 * low));
            svg.line("whisker", middle, high, middle, low);
            svg.line("whisker", middle - 4.0, high, middle + 4.0, high);
            svg.line("whisker", middle - 4.0, low, middle + 4.0, low);
            if bar >= 22.0 {
                svg.text("value", Anchor::Middle, middle, high - 5.0, &percent(measures.accuracy));
            }
        }
        svg.text("name", Anchor::Middle, center, frame.bottom() + 19.0, level_title(level));
    }
    svg.text(
        "label",
        Anchor::Middle,
        frame.left + frame.width / 2.0,
        frame.bottom() + 46.0,
        "perturbation level of the instruction",
    );
    svg.finish("Bars of accuracy by perturbation level and run")
}

//! Mean cosine of hidden states between clean and perturbed instructions, by level and run.

use coin_eval::Summary;
use coin_eval::levels::CLEAN;
use coin_eval::metrics::AVERAGE;

use super::frame::{Frame, WIDTH, color, legend};
use super::svg::{Anchor, Svg};
use crate::titles::level_title;

/// Returns the figure and the lower end of its axis, or `None` if no run has cosines.
pub(crate) fn figure(summary: &Summary) -> Option<(String, f64)> {
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != CLEAN && *level != AVERAGE).collect();
    let value = |run: usize, level: &str| summary.runs[run].level(level).and_then(|measures| measures.cosine);
    let all: Vec<f64> =
        levels.iter().flat_map(|level| (0..summary.runs.len()).filter_map(|run| value(run, level))).collect();
    let least = all.iter().copied().reduce(f64::min)?;
    // The shortest axis with a round start that ends at 1 and contains every value.
    let low = [0.98, 0.95, 0.9, 0.8, 0.5, 0.0].into_iter().find(|low| *low <= least - 0.002).unwrap_or(-1.0);

    let mut svg = Svg::new(WIDTH, 290.0);
    let frame = Frame { left: 56.0, top: 34.0, width: WIDTH - 66.0, height: 200.0, low, high: 1.0 };
    legend(&mut svg, summary, frame.left, 14.0);
    let ticks = match low {
        0.98 => 2,
        0.8 | -1.0 => 4,
        _ => 5,
    };
    frame.axis(&mut svg, ticks, 2, "cosine to clean");
    let slot = frame.width / levels.len() as f64;
    let step = (slot * 0.7 / summary.runs.len() as f64).min(56.0);
    for (position, level) in levels.iter().enumerate() {
        let center = frame.left + slot * (position as f64 + 0.5);
        svg.text("name", Anchor::Middle, center, frame.bottom() + 19.0, level_title(level));
        for index in 0..summary.runs.len() {
            let Some(cosine) = value(index, level) else { continue };
            let x = center + step * (index as f64 - (summary.runs.len() - 1) as f64 / 2.0);
            let y = frame.y(cosine);
            svg.line("stem", x, frame.y(1.0), x, y);
            let tip = format!("{}, {}: {cosine:.4}", summary.runs[index].name, level_title(level));
            svg.circle(&color(summary, index), x, y, 5.5, &tip);
            svg.text("value", Anchor::Middle, x, y + 18.0, &format!("{cosine:.3}"));
        }
    }
    svg.text(
        "label",
        Anchor::Middle,
        frame.left + frame.width / 2.0,
        frame.bottom() + 46.0,
        "perturbation level of the instruction",
    );
    Some((svg.finish("Mean cosine to the clean instruction by level and run"), low))
}

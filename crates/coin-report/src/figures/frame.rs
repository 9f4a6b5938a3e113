//! Parts shared by the plots: the plotting area with its axis, and the colors and legend of the runs.

use coin_eval::Summary;

use super::svg::{Anchor, Svg};

/// Width of a full-width figure.
pub(crate) const WIDTH: f64 = 880.0;

/// The plotting area and the range of its vertical axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Frame {
    /// Returns the vertical position of `value`. Values outside the range are drawn at its border.
    pub(crate) fn y(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.top + self.height * (1.0 - share)
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Draws grid lines, tick labels and the axis title.
    pub(crate) fn axis(&self, svg: &mut Svg, ticks: usize, decimals: usize, title: &str) {
        for tick in 0..=ticks {
            let value = self.low + (self.high - self.low) * tick as f64 / ticks as f64;
            let y = self.y(value);
            svg.line(if tick == 0 { "axis" } else { "grid" }, self.left, y, self.left + self.width, y);
            svg.text("tick", Anchor::End, self.left - 7.0, y + 4.0, &format!("{value:.decimals$}"));
        }
        if !title.is_empty() {
            svg.upright("label", 13.0, self.top + self.height / 2.0, title);
        }
    }
}

/// Returns the color class of run `index`. Classes are counted from the last run, so that the compared pair keeps its colors.
pub(crate) fn color(summary: &Summary, index: usize) -> String {
    format!("r{}", (summary.runs.len() - 1 - index) % 6)
}

/// Draws a swatch and a name for each run, from (x, y) to the right.
pub(crate) fn legend(svg: &mut Svg, summary: &Summary, x: f64, y: f64) {
    let mut x = x;
    for (index, run) in summary.runs.iter().enumerate() {
        svg.rect(&color(summary, index), [x, y - 9.0, 12.0, 12.0], "", &run.name);
        svg.text("legend", Anchor::Start, x + 18.0, y + 1.5, &run.name);
        x += 18.0 + 8.0 * run.name.chars().count() as f64 + 22.0;
    }
}

//! Spread over instructions: a dot for the accuracy of each instruction, by level and run, one panel for each task.

use coin_eval::Summary;
use coin_eval::metrics::AVERAGE;

use super::frame::{Frame, WIDTH, color, legend};
use super::svg::{Anchor, Svg};
use crate::tables::cells::percent;
use crate::titles::level_title;

const ACROSS: usize = 2;
const PANEL: f64 = 150.0;
const TOP: f64 = 30.0;
const GAP: f64 = 50.0;

pub(crate) fn figure(summary: &Summary) -> String {
    let tasks = summary.tasks();
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != AVERAGE).collect();
    let mut svg = Svg::new(WIDTH, TOP + PANEL * tasks.len().div_ceil(ACROSS) as f64 + 4.0);
    legend(&mut svg, summary, 56.0, 14.0);
    let width = (WIDTH - 66.0 - GAP * (ACROSS - 1) as f64) / ACROSS as f64;
    for (panel, task) in tasks.iter().enumerate() {
        let left = 56.0 + (width + GAP) * (panel % ACROSS) as f64;
        let top = TOP + PANEL * (panel / ACROSS) as f64 + 24.0;
        let frame = Frame { left, top, width, height: PANEL - 54.0, low: 0.0, high: 100.0 };
        let label = if panel % ACROSS == 0 { "accuracy (%)" } else { "" };
        frame.axis(&mut svg, 4, 0, label);
        svg.text("panel", Anchor::Start, left, top - 8.0, task);
        let slot = width / levels.len() as f64;
        let step = (slot * 0.7 / summary.runs.len() as f64).min(20.0);
        for (position, level) in levels.iter().enumerate() {
            let center = left + slot * (position as f64 + 0.5);
            svg.text("small", Anchor::Middle, center, frame.bottom() + 14.0, level_title(level));
            for (index, run) in summary.runs.iter().enumerate() {
                let Some(cell) = run.task(task, level) else { continue };
                let x = center + step * (index as f64 - (summary.runs.len() - 1) as f64 / 2.0);
                let mean = frame.y(100.0 * cell.measures.accuracy);
                svg.line("mean", x - step * 0.4, mean, x + step * 0.4, mean);
                for (instruction, accuracy) in cell.accuracies.iter().enumerate() {
                    let tip = format!(
                        "{}, {}, instruction {instruction}: {} %",
                        run.name,
                        level_title(level),
                        percent(*accuracy)
                    );
                    svg.circle(&format!("dot {}", color(summary, index)), x, frame.y(100.0 * accuracy), 3.0, &tip);
                }
            }
        }
    }
    svg.finish("Dots of the accuracy of each instruction by task, level and run")
}

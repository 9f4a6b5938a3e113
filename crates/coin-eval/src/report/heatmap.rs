//! Heat maps: accuracy by task and level, one for each run, on the same scale.

use super::frame::WIDTH;
use super::svg::{Anchor, Svg};
use crate::levels::title;
use crate::summary::{AVERAGE, Summary};
use crate::table::percent;

const NAMES: f64 = 130.0;
/// Drawn somewhat wider than other figures, so that three maps fit beside each other.
const TOTAL: f64 = WIDTH + 90.0;
const GAP: f64 = 16.0;
const HEIGHT: f64 = 24.0;

pub(super) fn figure(summary: &Summary) -> String {
    let tasks = summary.tasks();
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != AVERAGE).collect();
    // As many maps beside each other as leave their cells wide enough to read; they share the names on the left.
    let cell_of = |across: usize| {
        let free = TOTAL - NAMES - GAP * (across - 1) as f64;
        (free / (across * levels.len()) as f64).min(76.0)
    };
    let across = (1..=summary.runs.len().min(3)).rev().find(|across| cell_of(*across) >= 48.0).unwrap_or(1);
    let cell = cell_of(across);
    let map_width = cell * levels.len() as f64;
    let map_height = 62.0 + HEIGHT * tasks.len() as f64;
    let down = summary.runs.len().div_ceil(across);
    let mut svg = Svg::new(TOTAL, map_height * down as f64 + 40.0);
    for (index, run) in summary.runs.iter().enumerate() {
        let left = NAMES + (map_width + GAP) * (index % across) as f64;
        let top = map_height * (index / across) as f64;
        svg.text("panel", Anchor::Start, left, top + 16.0, &run.name);
        for (column, level) in levels.iter().enumerate() {
            let x = left + cell * (column as f64 + 0.5);
            svg.text("small", Anchor::Middle, x, top + 37.0, title(level));
        }
        for (row, task) in tasks.iter().enumerate() {
            let y = top + 44.0 + HEIGHT * row as f64;
            if index % across == 0 {
                svg.text("name", Anchor::End, left - 8.0, y + HEIGHT * 0.68, task);
            }
            for (column, level) in levels.iter().enumerate() {
                let Some(found) = run.task(task, level) else { continue };
                let x = left + cell * column as f64;
                let tip = format!("{}, {task}, {}: {} %", run.name, title(level), percent(found.measures.accuracy));
                shade(&mut svg, [x, y, cell - 2.0, HEIGHT - 2.0], found.measures.accuracy, &tip, 0);
            }
        }
    }
    let y = map_height * down as f64 + 6.0;
    svg.text("name", Anchor::End, NAMES - 8.0, y + 15.0, "accuracy (%)");
    for step in 0..=10 {
        let value = f64::from(step) / 10.0;
        shade(&mut svg, [NAMES + 34.0 * f64::from(step), y, 34.0, 22.0], value, "", 1);
    }
    svg.finish("Heat maps of accuracy by task and perturbation level, one for each run")
}

/// A cell with its value; opacity grows with the square of accuracy, as most values lie high.
fn shade(svg: &mut Svg, [x, y, width, height]: [f64; 4], accuracy: f64, tip: &str, legend: usize) {
    let opacity = accuracy * accuracy;
    svg.rect("heat", [x, y, width, height], &format!("fill-opacity:{opacity:.3}"), tip);
    let class = if opacity > 0.7 { "cell strong" } else { "cell" };
    let text = if legend == 1 { format!("{:.0}", 100.0 * accuracy) } else { percent(accuracy) };
    svg.text(class, Anchor::Middle, x + width / 2.0, y + height / 2.0 + 4.0, &text);
}

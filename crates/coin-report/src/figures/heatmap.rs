//! Heat maps of accuracy by task and level, one for each run on the same scale, and of the difference between the last two runs.

use coin_eval::Summary;
use coin_eval::metrics::AVERAGE;

use super::frame::WIDTH;
use super::svg::{Anchor, Svg};
use crate::tables::cells::{percent, signed};
use crate::tables::last_two;
use crate::titles::level_title;

const NAMES: f64 = 130.0;
/// Opacity above which the text of a cell has the color for dark backgrounds.
pub(crate) const STRONG: f64 = 0.765;
/// Total width. The figure is slightly wider than others, so that three maps fit side by side.
const TOTAL: f64 = WIDTH + 90.0;
const GAP: f64 = 16.0;
const HEIGHT: f64 = 24.0;

pub(crate) fn figure(summary: &Summary) -> String {
    let tasks = summary.tasks();
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != AVERAGE).collect();
    // As many maps side by side as fit with readable cells. They share the names on the left.
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
            svg.text("small", Anchor::Middle, x, top + 37.0, level_title(level));
        }
        for (row, task) in tasks.iter().enumerate() {
            let y = top + 44.0 + HEIGHT * row as f64;
            if index % across == 0 {
                svg.text("name", Anchor::End, left - 8.0, y + HEIGHT * 0.68, task);
            }
            for (column, level) in levels.iter().enumerate() {
                let Some(found) = run.task(task, level) else { continue };
                let x = left + cell * column as f64;
                let tip =
                    format!("{}, {task}, {}: {} %", run.name, level_title(level), percent(found.measures.accuracy));
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

/// Returns the title and the map of the last run minus the run before it, or `None` if there is only one run.
pub(crate) fn difference(summary: &Summary) -> Option<(String, String)> {
    let (before, last) = last_two(summary)?;
    let compared = summary.comparison(&before.name, &last.name);
    let tasks = summary.tasks();
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != AVERAGE).collect();
    // The difference, and true if its interval excludes zero.
    let value = |task: &str, level: &str| match compared.and_then(|compared| compared.task(task, level)) {
        Some(found) => Some((found.accuracy, found.accuracy_interval.low > 0.0 || found.accuracy_interval.high < 0.0)),
        None => {
            let (before, last) = before.task(task, level).zip(last.task(task, level))?;
            Some((last.measures.accuracy - before.measures.accuracy, false))
        }
    };
    let all = tasks.iter().flat_map(|task| levels.iter().filter_map(|level| value(task, level)));
    // Full color is at the largest difference, rounded up to a multiple of 5 points.
    let scale = (all.map(|(value, _)| value.abs()).fold(0.0, f64::max) / 0.05).ceil().max(1.0) * 0.05;
    let cell = ((WIDTH - NAMES) / levels.len() as f64).min(110.0);
    let mut svg = Svg::new(WIDTH, 74.0 + HEIGHT * tasks.len() as f64);
    let x = |column: usize| NAMES + cell * column as f64;
    for (column, level) in levels.iter().enumerate() {
        svg.text("small", Anchor::Middle, x(column) + cell / 2.0, 14.0, level_title(level));
    }
    for (row, task) in tasks.iter().enumerate() {
        let y = 22.0 + HEIGHT * row as f64;
        svg.text("name", Anchor::End, NAMES - 8.0, y + HEIGHT * 0.68, task);
        for (column, level) in levels.iter().enumerate() {
            let Some((found, clear)) = value(task, level) else { continue };
            let tip = format!("{task}, {}: {} points", level_title(level), signed(found));
            tint(&mut svg, [x(column), y, cell - 2.0, HEIGHT - 2.0], found, scale, (&tip, clear));
        }
    }
    let y = 36.0 + HEIGHT * tasks.len() as f64;
    svg.text("name", Anchor::End, NAMES - 8.0, y + 15.0, "points");
    for step in -4..=4 {
        let shown = scale * f64::from(step) / 4.0;
        tint(&mut svg, [NAMES + 52.0 * f64::from(step + 4), y, 52.0, 22.0], shown, scale, ("", false));
    }
    let heading = format!("{} − {} by task and level", last.name, before.name);
    Some((heading.clone(), svg.finish(&format!("Heat map of the difference of accuracy: {heading}"))))
}

/// Draws the cell of a difference. The color shows the sign, and its opacity the size on a scale that ends at `scale`.
fn tint(svg: &mut Svg, [x, y, width, height]: [f64; 4], value: f64, scale: f64, (tip, clear): (&str, bool)) {
    let opacity = (value.abs() / scale).min(1.0);
    let class = if value < 0.0 { "heat less" } else { "heat more" };
    svg.rect(class, [x, y, width, height], &format!("fill-opacity:{opacity:.3}"), tip);
    let on_color = if opacity > STRONG { " strong" } else { "" };
    let weight = if clear { " clear" } else { "" };
    svg.text(
        &format!("cell{on_color}{weight}"),
        Anchor::Middle,
        x + width / 2.0,
        y + height / 2.0 + 4.0,
        &signed(value),
    );
}

/// Draws a cell with its value. Opacity is the square of accuracy, because most values are high.
fn shade(svg: &mut Svg, [x, y, width, height]: [f64; 4], accuracy: f64, tip: &str, legend: usize) {
    let opacity = accuracy * accuracy;
    svg.rect("heat", [x, y, width, height], &format!("fill-opacity:{opacity:.3}"), tip);
    let class = if opacity > STRONG { "cell strong" } else { "cell" };
    let text = if legend == 1 { format!("{:.0}", 100.0 * accuracy) } else { percent(accuracy) };
    svg.text(class, Anchor::Middle, x + width / 2.0, y + height / 2.0 + 4.0, &text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn losses_and_gains_have_their_own_color() {
        let mut summary = synthetic::tested();
        let (title, svg) = difference(&summary).unwrap();
        assert_eq!(title, "coin − cit by task and level");
        assert!(svg.contains("heat less") && svg.contains("heat more"));
        assert_eq!(svg.matches("<rect").count(), 50 + 9);
        assert!(svg.contains(" clear\""), "some interval leaves zero out");
        summary.comparisons.clear();
        assert!(!difference(&summary).unwrap().1.contains(" clear\""));
        summary.runs.truncate(1);
        assert!(difference(&summary).is_none());
    }
}

//! Maps of hidden states: one small panel for each run, with points distinguished by color and shape.

use std::fmt::Write;

use coin_analysis::{MapPoint, StateMap};
use coin_data::Task;
use coin_eval::levels::LEVELS;

use crate::markup::escape;
use crate::titles::level_title;

/// Maximum number of points in a panel. Larger maps are thinned evenly.
const MOST: usize = 1500;

/// Index of the mark of the first class. It is not 0, so that classes do not look like the first levels.
const CLASSES: usize = 4;

/// Side of a panel and its inner margin, in units of the drawing.
const SIDE: f64 = 300.0;
const MARGIN: f64 = 10.0;

/// Returns the panels as HTML, with one row by level and one by class.
pub(crate) fn html(maps: &[StateMap]) -> String {
    let mut levels: Vec<&str> = maps.iter().flat_map(|map| &map.points).map(|point| point.level.as_str()).collect();
    levels.sort_by_key(|level| (LEVELS.iter().position(|known| known == level).unwrap_or(usize::MAX), *level));
    levels.dedup();
    let level_of = |point: &MapPoint| levels.iter().position(|level| *level == point.level).unwrap_or(0);
    let classes = maps.iter().flat_map(|map| &map.points).map(|point| point.class + 1).max().unwrap_or(0);
    let names: Vec<String> = levels.iter().map(|level| level_title(level).to_owned()).collect();
    let mut html = row(maps, "by perturbation level", (&names, 0), &level_of);
    let names: Vec<String> = (0..classes).map(|class| class_name(maps, class)).collect();
    html.push_str(&row(maps, "by class", (&names, CLASSES), &|point| point.class + CLASSES));
    html
}

/// Returns the caption, which explains what the maps can and cannot show.
pub(crate) fn caption(maps: &[StateMap]) -> String {
    let mut methods: Vec<&str> = maps.iter().map(|map| map.method.as_str()).filter(|name| !name.is_empty()).collect();
    methods.sort_unstable();
    methods.dedup();
    let by = if methods.is_empty() { String::new() } else { format!(" by {}", methods.join(", ")) };
    let drawn = match maps.iter().any(|map| map.points.len() > MOST) {
        true => format!(" At most {MOST} prompts of a run are drawn."),
        false => String::new(),
    };
    format!(
        "Each mark is the hidden state of one prompt, placed in the plane{by}. Each run has a separate map, so positions are not \
         comparable between panels. The size of a cluster and the distance between distant clusters mean little. A map shows \
         whether marks of different levels mix and whether the classes are separate. Silhouettes, from -1 to 1, are computed from \
         the hidden states, not from the map. By level, a silhouette is near 0 if perturbed prompts mix with the clean ones; by \
         class, it is near 1 if the classes are separate.{drawn}"
    )
}

fn class_name(maps: &[StateMap], class: usize) -> String {
    let mut names: Vec<String> = Vec::new();
    for map in maps {
        let name = Task::named(&map.task).ok().and_then(|task| task.labels.get(class).cloned());
        let name = name.unwrap_or_else(|| format!("class {class}"));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" / ")
}

fn row(maps: &[StateMap], by: &str, (names, first): (&[String], usize), kind: &dyn Fn(&MapPoint) -> usize) -> String {
    let mut html = format!("<div class=\"whole\">\n<h3>Marks {by}</h3>\n<ul class=\"legend\">\n");
    for (index, name) in (first..).zip(names) {
        let _ = writeln!(
            html,
            "<li><svg viewBox=\"-6 -6 12 12\" aria-hidden=\"true\"><path class=\"{}\" d=\"M0 0{}\"/></svg>{}</li>",
            class(index),
            mark(index),
            escape(name)
        );
    }
    html.push_str("</ul>\n<div class=\"maps\">\n");
    for map in maps {
        let label = format!("Map of the hidden states of {}, {by}", map.run);
        let _ =
            write!(html, "<div>\n<p class=\"panel\">{}</p>\n{}</div>\n", escape(&map.run), panel(map, kind, &label));
    }
    html.push_str("</div>\n</div>\n");
    html
}

fn panel(map: &StateMap, kind: &dyn Fn(&MapPoint) -> usize, label: &str) -> String {
    let finite: Vec<&MapPoint> = map.points.iter().filter(|point| point.x.is_finite() && point.y.is_finite()).collect();
    let step = finite.len().div_ceil(MOST).max(1);
    let range = |value: fn(&MapPoint) -> f64| {
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        finite.iter().fold(ends, |(low, high), point| (low.min(value(point)), high.max(value(point))))
    };
    let ((left, right), (bottom, top)) = (range(|point| point.x), range(|point| point.y));
    // One scale for both directions, so that the map is not distorted.
    let extent = (right - left).max(top - bottom);
    let scale = if extent > 0.0 { (SIDE - 2.0 * MARGIN) / extent } else { 1.0 };
    let mut paths: Vec<String> = Vec::new();
    for point in finite.iter().step_by(step) {
        let index = kind(point);
        if paths.len() <= index {
            paths.resize(index + 1, String::new());
        }
        let x = SIDE / 2.0 + (point.x - (left + right) / 2.0) * scale;
        let y = SIDE / 2.0 - (point.y - (bottom + top) / 2.0) * scale;
        let _ = write!(paths[index], "M{x:.1} {y:.1}{}", mark(index));
    }
    let drawn = paths.iter().enumerate().filter(|(_, path)| !path.is_empty());
    let drawn: String = drawn.map(|(i, path)| format!("<path class=\"{}\" d=\"{path}\"/>\n", class(i))).collect();
    format!(
        "<svg viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\" aria-label=\"{}\">\n\
         <rect class=\"border\" x=\"0.5\" y=\"0.5\" width=\"{side}\" height=\"{side}\"/>\n{drawn}</svg>\n",
        escape(label),
        side = SIDE - 1.0,
    )
}

/// Returns the style classes of mark `index`: its color, and a dot, filled or drawn shape.
fn class(index: usize) -> String {
    let way = ["dots", "lines", "fill", "lines", "fill", "lines"][index % 6];
    format!("k{} {way}", index % 6)
}

/// Returns the shape of mark `index` as a path from its center: dot, cross, triangle, plus, square or diamond.
fn mark(index: usize) -> &'static str {
    [
        "h0",
        "m-2-2l4 4m0-4l-4 4",
        "m0-3l2.8 4.8h-5.6z",
        "m-2.8 0h5.6m-2.8-2.8v5.6",
        "m-2.1-2.1h4.2v4.2h-4.2z",
        "m0-3l3 3-3 3-3-3z",
    ][index % 6]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn points_fill_the_panel_without_distortion() {
        let point = |x, y, class| MapPoint { x, y, level: "clean".to_owned(), class };
        let points = vec![point(0.0, 0.0, 0), point(10.0, 5.0, 0), point(f64::NAN, 0.0, 1)];
        let map = StateMap { run: "a".to_owned(), points, ..StateMap::default() };
        let svg = panel(&map, &|point| point.class, "label");
        // An extent of 10 on 280 units gives 28 per unit. y is centered, 2.5 on each side of the middle.
        assert!(svg.contains("M10.0 220.0h0M290.0 80.0h0"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("k1"));
        let alone = StateMap { points: vec![point(3.0, 3.0, 0)], ..map };
        assert!(panel(&alone, &|_| 0, "").contains("M150.0 150.0h0"));
        assert!(!html(&[StateMap::default()]).contains("NaN"));
    }

    #[test]
    fn large_maps_are_thinned_and_named() {
        let mut maps = synthetic::maps();
        let page = html(&maps);
        assert!(page.contains("unacceptable</li>") && page.contains("character</li>"));
        assert!(!caption(&maps).contains("At most") && caption(&maps).contains("by UMAP"));
        maps[0].points = maps[0].points.iter().cycle().take(4000).cloned().collect();
        assert!(caption(&maps).contains("At most 1500"));
        assert_eq!(panel(&maps[0], &|_| 0, "").matches('M').count(), 4000usize.div_ceil(3));
    }
}

//! A minimal SVG writer with the few shapes that the figures need. The page's style sheet sets colors by class.

use std::fmt::Write;

use crate::markup::escape;

/// The point of a text that is placed at its position.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing of a fixed size in user units (about CSS pixels at full width).
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Svg { width, height, body: String::new() }
    }

    pub(crate) fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        let _ = writeln!(self.body, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
    }

    /// Draws a rectangle with a tooltip. `style` sets properties that a class cannot, such as a computed opacity.
    pub(crate) fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4], style: &str, tip: &str) {
        let style = if style.is_empty() { String::new() } else { format!(r#" style="{style}""#) };
        let tip = escape(tip);
        let _ = writeln!(
            self.body,
            r#"<rect class="{class}"{style} x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"><title>{tip}</title></rect>"#
        );
    }

    pub(crate) fn circle(&mut self, class: &str, x: f64, y: f64, radius: f64, tip: &str) {
        let tip = escape(tip);
        let _ = writeln!(
            self.body,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>{tip}</title></circle>"#
        );
    }

    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, x: f64, y: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        let _ =
            writeln!(self.body, r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#);
    }

    /// Draws text that reads upward, centered at (x, y).
    pub(crate) fn upright(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.body,
            r#"<text class="{class}" text-anchor="middle" transform="translate({x:.1} {y:.1}) rotate(-90)">{text}</text>"#
        );
    }

    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.body, r#"<polyline class="{class}" points="{}"/>"#, points.join(" "));
    }

    /// Returns the drawing. Screen readers read `label`.
    pub(crate) fn finish(self, label: &str) -> String {
        let Svg { width, height, body } = self;
        let label = escape(label);
        format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{label}\">\n{body}</svg>\n")
    }
}

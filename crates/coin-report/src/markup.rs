//! Escaping of text for HTML and SVG, and a scrolling box for wide content.

use coin_core::quote::printable;

/// Text made safe for HTML and SVG, in attributes too. Control characters, and those that would turn the direction of what
/// follows, are written out.
pub(crate) fn escape(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Wraps content in a box that scrolls sideways. Screen readers read `label`.
pub(crate) fn scroll(label: &str, content: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n{content}</div>\n", escape(label))
}

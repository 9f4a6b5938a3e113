//! Tests of the page's legibility: the contrast of its colors in both schemes, by WCAG 2.1.
//!
//! The contrast of two colors is (L1 + 0.05) / (L2 + 0.05), where L1 is the relative luminance of the lighter color and L2 that
//! of the darker (linearized sRGB, weights 0.2126, 0.7152, 0.0722). Text needs 4.5, and the parts of a figure need 3.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("style.css");

type Color = [f64; 3];

/// Returns the color variables of the scheme that begins at `start` in the style sheet.
fn scheme(start: &str) -> BTreeMap<&'static str, Color> {
    let block = STYLE.split_once(start).unwrap().1.split_once('}').unwrap().0;
    let declarations = block.split(';').filter_map(|line| line.trim().rsplit('\n').next()?.trim().split_once(": #"));
    let color = |hex: &str| {
        let channel = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        [channel(0), channel(2), channel(4)]
    };
    declarations.map(|(name, hex)| (name, color(hex))).collect()
}

fn contrast(a: Color, b: Color) -> f64 {
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    let luminance = |[r, g, b]: Color| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    a.max(b) / a.min(b)
}

#[test]
fn contrasts_by_hand() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
    // #767676 is the lightest gray that passes 4.5 on white, with 4.54.
    assert!((contrast([0x76 as f64 / 255.0; 3], [1.0; 3]) - 4.54).abs() < 0.005);
}

#[test]
fn text_and_figures_can_be_told_from_the_page_in_both_schemes() {
    for (name, start) in [("light", ":root {"), ("dark", "dark) {\n  :root {")] {
        let colors = scheme(start);
        let check = |front: &str, back: &str, least: f64| {
            let found = contrast(colors[front], colors[back]);
            assert!(found >= least, "{name}: {front} on {back} has contrast {found:.2}, needs {least}");
        };
        for back in ["--paper", "--band"] {
            ["--ink", "--soft"].iter().for_each(|front| check(front, back, 4.5));
        }
        for (front, back) in
            [("--plus", "--paper"), ("--minus", "--paper"), ("--plus", "--plus-band"), ("--minus", "--minus-band")]
        {
            check(front, back, 4.5);
        }
        for index in 0..6 {
            check(&format!("--r{index}"), "--paper", 3.0);
            check(&format!("--k{index}"), "--paper", 3.0);
        }
        for heat in ["--heat", "--more", "--less"] {
            for step in 0..=100 {
                let opacity = f64::from(step) / 100.0;
                let front = if opacity > crate::figures::heatmap::STRONG { "--on-heat" } else { "--on-pale" };
                let back = [0, 1, 2].map(|c| opacity * colors[heat][c] + (1.0 - opacity) * colors["--paper"][c]);
                let found = contrast(colors[front], back);
                assert!(found >= 4.5, "{name}: {front} on {heat} at opacity {opacity} has contrast {found:.2}");
            }
        }
    }
}

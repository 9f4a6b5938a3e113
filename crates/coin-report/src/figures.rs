//! The page's figures, as SVG.

pub(crate) mod bars;
pub(crate) mod cosine;
pub(crate) mod curves;
mod frame;
pub(crate) mod heatmap;
pub(crate) mod maps;
pub(crate) mod spread;
mod svg;

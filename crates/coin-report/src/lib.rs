//! Reports of robustness evaluations: tables for a terminal, as Markdown and as HTML, figures, and the page that contains them.
//!
//! | | |
//! |---|---|
//! | [`terminal`] | a summary on a terminal |
//! | [`Report`] | one page, as HTML or Markdown: [`Report::write_html`], [`Report::write_markdown`] |
//! | [`ExperimentReport`] | the arms of an experiment in one table and one page |
//! | [`Curve`] | learning curves, for the page |
//! | [`tables`] | a builder for each table; a [`Table`] is rendered as text, as Markdown or as HTML |
//! | [`level_title`], [`group_title`] | display names of levels and task groups |
//!
//! The numbers come from `coin-eval` and `coin-analysis`; nothing is measured here.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The synthetic runs are shared with the tests in `tests/`, which use this crate from outside.
#[cfg(test)]
extern crate self as coin_report;

mod curve;
mod error;
mod experiment;
mod figures;
mod markup;
mod page;
mod report;
mod runs;
mod table;
pub mod tables;
mod terminal;
mod titles;

pub use curve::{Curve, CurvePoint, HeldOutPoint};
pub use error::ReportError;
pub use experiment::ExperimentReport;
pub use report::Report;
pub use table::Table;
pub use terminal::terminal;
pub use titles::{group_title, level_title};

#[cfg(test)]
#[path = "../tests/synthetic/mod.rs"]
pub(crate) mod synthetic;

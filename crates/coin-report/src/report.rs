//! The contents of a report.

use coin_analysis::StateMap;
use coin_eval::Summary;
use coin_eval::flips::Flips;
use serde_json::{Map as JsonMap, Value};

use crate::curve::Curve;

/// The contents of a report. Every part except the summary may be empty, and empty parts are omitted from the page.
///
/// ```
/// use coin_eval::Summary;
/// use coin_report::{Curve, CurvePoint, Report};
///
/// let point = CurvePoint {
///     step: 0, loss_generation: 2.5, loss_contrastive: None, accuracy: None, similarity_positive: None,
///     similarity_negative: None,
/// };
/// let curve = Curve { run: "cit".to_owned(), points: vec![point], held_out: Vec::new() };
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("report.html");
/// let summary = Summary::new(serde_json::Map::new(), Vec::new());
/// Report { curves: vec![curve], ..Report::new(summary) }.write_html(&path)?;
/// assert!(std::fs::read_to_string(path)?.contains("Learning curves"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    /// The metrics. A summary without runs gives a report of curves only.
    pub summary: Summary,
    /// Learning curves of the training runs.
    pub curves: Vec<Curve>,
    /// Answers that change under perturbed instructions, for the same runs as the summary.
    pub flips: Flips,
    /// Maps of hidden states.
    pub maps: Vec<StateMap>,
    /// Names and settings of several runs, shown side by side. If empty, the summary's settings are shown.
    pub settings: Vec<(String, JsonMap<String, Value>)>,
}

impl Report {
    /// Creates a report with only `summary`.
    pub fn new(summary: Summary) -> Report {
        Report { summary, curves: Vec::new(), flips: Flips::default(), maps: Vec::new(), settings: Vec::new() }
    }
}

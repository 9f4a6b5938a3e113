//! What a report shows.

use coin_analysis::StateMap;
use coin_eval::Summary;
use coin_eval::flips::Flips;
use serde_json::{Map as JsonMap, Value};

use crate::curve::Curve;

/// Everything a report can show. All but the summary may be empty; what is empty has no section.
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
    /// The metrics; one without runs gives a report of curves alone.
    pub summary: Summary,
    /// What was measured in training.
    pub curves: Vec<Curve>,
    /// Answers that change under perturbed instructions, of the same runs as the summary's.
    pub flips: Flips,
    /// Maps of hidden states.
    pub maps: Vec<StateMap>,
    /// Name and settings of several runs, shown side by side; where empty, the summary's settings are shown.
    pub settings: Vec<(String, JsonMap<String, Value>)>,
}

impl Report {
    /// A report of `summary` alone.
    pub fn new(summary: Summary) -> Report {
        Report { summary, curves: Vec::new(), flips: Flips::default(), maps: Vec::new(), settings: Vec::new() }
    }
}

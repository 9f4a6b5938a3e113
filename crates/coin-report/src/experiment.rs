//! The report of an experiment: every arm in one table and one page.

use coin_eval::metrics::ExperimentSummary;
use serde_json::{Map, Value};

use crate::curve::Curve;

/// The contents of the report of an experiment.
#[derive(Debug, Clone)]
pub struct ExperimentReport {
    /// The results.
    pub summary: ExperimentSummary,
    /// Learning curves of the arms with the first seed. May be empty.
    pub curves: Vec<Curve>,
    /// The arms with their settings, shown side by side. May be empty.
    pub settings: Vec<(String, Map<String, Value>)>,
}

/// An experiment of two arms, two levels and two seeds, for tests.
#[cfg(test)]
pub(crate) fn example() -> ExperimentSummary {
    use coin_eval::Bootstrap;
    use coin_eval::metrics::{
        ArmDifference, ArmRow, ArmSummary, EXPERIMENT_SCHEMA, EXPERIMENT_VERSION, Interval, PERTURBED, PValue, UNSEEN,
    };
    let arm = |name: &str, accuracy: f64, std: f64, compared: bool| {
        let row = |level: &str| {
            let (accuracy, gain) = if level == "clean" { (0.8, 0.0) } else { (accuracy, accuracy - 0.6) };
            let around = |center: f64| Interval { low: center - 0.05, high: center + 0.05 };
            let p = PValue { value: 0.01, holm: Some(0.02) };
            let difference = ArmDifference {
                accuracy: gain,
                accuracy_interval: around(gain),
                accuracy_p: p,
                std: std - 0.1,
                std_interval: around(std - 0.1),
                std_p: p,
                worst_instruction: gain + 0.05,
                seeds: vec![gain - 0.02, gain + 0.02],
            };
            ArmRow {
                level: level.to_owned(),
                levels: vec![if level == "clean" { level } else { "textfooler" }.to_owned()],
                accuracy,
                accuracy_interval: around(accuracy),
                std,
                worst_instruction: accuracy - std,
                seeds: vec![accuracy - 0.02, accuracy + 0.02],
                difference: compared.then_some(difference),
            }
        };
        let rows = ["clean", "textfooler", PERTURBED, UNSEEN].map(row).to_vec();
        ArmSummary { name: name.to_owned(), trained_levels: Vec::new(), rows }
    };
    ExperimentSummary {
        schema: EXPERIMENT_SCHEMA.to_owned(),
        version: EXPERIMENT_VERSION,
        tool_version: "0.1.0".to_owned(),
        name: "small".to_owned(),
        baseline: "cit".to_owned(),
        seeds: vec![1, 2],
        levels: vec!["clean".to_owned(), "textfooler".to_owned()],
        bootstrap: Bootstrap::default(),
        arms: vec![arm("cit", 0.6, 0.1, false), arm("coin", 0.7, 0.05, true)],
        settings: Map::new(),
    }
}

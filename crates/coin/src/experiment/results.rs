//! The comparison of the arms of an experiment.

use std::path::Path;

use anyhow::{Context, Result, bail};
use coin_eval::folder::Evaluated;
use coin_eval::metrics::{EXPERIMENT_SCHEMA, EXPERIMENT_VERSION, ExperimentSummary};
use coin_eval::statistics::{Arm as ArmAnswers, Part, compare_arms};
use coin_report::ExperimentReport;

use super::{Experiment, Unit};
use crate::learning_curves;

impl Experiment {
    /// Compares the arms from the answers of all units.
    ///
    /// # Errors
    /// A unit is not finished, its files cannot be read, or two arms answered different prompts with the same seed.
    pub fn collect(&self) -> Result<ExperimentReport> {
        let read = |unit: Unit| Ok((unit.answers(&self.out)?, unit));
        let answers: Vec<(Evaluated, Unit)> = self.units().into_iter().map(read).collect::<Result<_>>()?;
        for (first, unit) in &answers {
            for (other, _) in answers.iter().filter(|(_, other)| other.seed == unit.seed) {
                if let Some(place) = first.texts.contradicts(&other.texts) {
                    bail!("{} and {} answered different examples ({place})", first.name, other.name);
                }
            }
        }
        let arms: Vec<ArmAnswers> = self
            .arms
            .iter()
            .map(|arm| {
                let parts = |seed: &u64| {
                    let own = answers.iter().filter(|(_, unit)| unit.arm == arm.name && unit.seed == *seed);
                    own.map(|(read, unit)| Part { records: &read.records, levels: Some(unit.settings.levels.clone()) })
                        .collect()
                };
                let seeds = self.seeds.iter().map(parts).collect();
                ArmAnswers { name: arm.name.clone(), seeds, trained_levels: arm.trained_levels.clone() }
            })
            .collect();
        let tasks = self.world.tasks()?;
        let found = compare_arms(&arms, &self.baseline, &self.seeds, &tasks, self.bootstrap)?;
        let settings = serde_json::to_value(self.resolved()?)?.as_object().cloned().unwrap_or_default();
        let summary = ExperimentSummary {
            schema: EXPERIMENT_SCHEMA.to_owned(),
            version: EXPERIMENT_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            name: self.name.clone(),
            baseline: self.baseline.clone(),
            seeds: self.seeds.clone(),
            levels: self.levels.clone(),
            bootstrap: self.bootstrap,
            arms: found,
            settings,
        };
        let of_first_seed = answers.iter().filter(|(_, unit)| Some(&unit.seed) == self.seeds.first());
        let trained = of_first_seed.filter(|(_, unit)| unit.settings.run.is_some());
        let curve = |(_, unit): &(Evaluated, Unit)| {
            let name = Path::new(&unit.name).parent().map_or(unit.name.clone().into(), Path::to_string_lossy);
            learning_curves::read(&unit.training(&self.out), &name).with_context(|| unit.name.clone())
        };
        let curves = trained.map(curve).collect::<Result<_>>()?;
        let settings = self.arms.iter().map(|arm| {
            let mut table = arm.resolved()?;
            table.remove("name");
            Ok((arm.name.clone(), serde_json::to_value(table)?.as_object().cloned().unwrap_or_default()))
        });
        Ok(ExperimentReport { summary, curves, settings: settings.collect::<Result<_>>()? })
    }

    /// Writes `table.md`, `summary.json` and `report.html`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, report: &ExperimentReport) -> Result<()> {
        let _held = self.claim()?;
        report.write_markdown(self.out.join("table.md"))?;
        report.write_html(self.out.join("report.html"))?;
        Ok(report.summary.write(self.out.join("summary.json"))?)
    }
}

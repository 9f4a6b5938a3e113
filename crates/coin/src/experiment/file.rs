//! The experiment file, in TOML. Unknown keys are errors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use coin_core::file::is_plain_name;
use coin_core::quote::cut;
use coin_eval::Bootstrap;
use coin_eval::levels::CLEAN;
use coin_eval::parser::AnswerParser;
use serde::{Deserialize, Serialize};

use super::arm::{Arm, Augment};
use super::{Experiment, WorldTable};

/// Maximum number of characters of a TOML error message. Lists of expected keys are shorter.
const MOST_QUOTED: usize = 1_000;

/// The experiment file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExperimentFile {
    /// The experiment's name, for the tables. Default: the name of the output folder.
    name: Option<String>,
    /// Output folder, unless the command names another.
    out: Option<PathBuf>,
    seeds: Vec<u64>,
    baseline: String,
    /// Bootstrap draws for intervals and p-values. Default 1000.
    draws: Option<usize>,
    world: WorldTable,
    #[serde(default)]
    evaluation: EvaluationTable,
    model: Option<toml::Value>,
    data: Option<toml::Value>,
    lora: Option<toml::Value>,
    objective: Option<toml::Value>,
    train: Option<toml::Value>,
    #[serde(default, rename = "arm")]
    arms: Vec<ArmTable>,
}

/// Tables of a run file.
#[derive(Debug)]
struct RunTables {
    model: Option<toml::Value>,
    data: Option<toml::Value>,
    lora: Option<toml::Value>,
    objective: Option<toml::Value>,
    train: Option<toml::Value>,
}

impl RunTables {
    fn into_table(self) -> toml::Table {
        let tables = [
            ("model", self.model),
            ("data", self.data),
            ("lora", self.lora),
            ("objective", self.objective),
            ("train", self.train),
        ];
        tables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// `[[arm]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArmTable {
    name: String,
    /// Attacks on the training wordings.
    augment: Option<toml::Value>,
    model: Option<toml::Value>,
    data: Option<toml::Value>,
    lora: Option<toml::Value>,
    objective: Option<toml::Value>,
    /// `false`: the arm is the base model. A table: keys of `[train]`.
    train: Option<toml::Value>,
}

/// `[evaluation]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationTable {
    /// Maximum number of examples per task. Default 50.
    pub samples: usize,
    /// Levels to evaluate. Default: all levels of the world. `clean` is always evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<Vec<String>>,
    /// Method that reads a class from an answer, such as `released`, the default.
    pub scorer: AnswerParser,
    /// Maximum number of generated tokens per prompt. Default 7 (the paper's).
    pub max_new_tokens: usize,
}

impl Default for EvaluationTable {
    fn default() -> Self {
        EvaluationTable { samples: 50, levels: None, scorer: AnswerParser::Released, max_new_tokens: 7 }
    }
}

/// Parses and checks an experiment file. Errors name it `origin`.
pub(super) fn parse(text: &str, origin: &str, out: Option<&Path>) -> Result<Experiment> {
    let file: ExperimentFile =
        toml::from_str(text).map_err(|error| anyhow::anyhow!("{origin}: {}", one_line(&error.to_string())))?;
    check(file, origin, out).map_err(|error| match error.to_string().starts_with(origin) {
        true => error,
        false => error.context(origin.to_owned()),
    })
}

/// Returns a message of the TOML parser on one line.
fn one_line(message: &str) -> String {
    let whole = message.trim().replace('\n', ", ");
    match whole.char_indices().nth(MOST_QUOTED) {
        None => whole,
        Some((end, _)) => format!("{}…", &whole[..end]),
    }
}

fn check(file: ExperimentFile, origin: &str, out: Option<&Path>) -> Result<Experiment> {
    let Some(out) = out.map(Path::to_owned).or(file.out).filter(|out| !out.as_os_str().is_empty()) else {
        bail!("no output folder: set `out`, or give --out");
    };
    let folder = || out.file_name().map_or("experiment".into(), |name| name.to_string_lossy().into_owned());
    let name = file.name.unwrap_or_else(folder);
    if file.seeds.is_empty() {
        bail!("seeds is empty, expected at least one seed");
    }
    if let Some(seed) = repeated(file.seeds.iter()) {
        bail!("seeds names {seed} twice");
    }
    let evaluation = file.evaluation;
    for (key, value) in [("samples", evaluation.samples), ("max_new_tokens", evaluation.max_new_tokens)] {
        if value == 0 {
            bail!("evaluation.{key} is 0, expected at least 1");
        }
    }
    let bootstrap =
        file.draws.map_or(Bootstrap::default(), |replicates| Bootstrap { replicates, ..Bootstrap::default() });
    bootstrap.check().context("draws")?;
    let world = file.world.absolute()?;
    let levels = levels(&evaluation, &world, &file.seeds)?;
    if file.arms.is_empty() {
        bail!("there is no [[arm]], expected at least one");
    }
    for arm in &file.arms {
        if !is_plain_name(&arm.name) {
            bail!("arm `{}`: expected a name of letters, digits, `_`, `-` and `.`", cut(&arm.name));
        }
    }
    // Some file systems do not distinguish capitals.
    if let Some(name) = repeated(file.arms.iter().map(|arm| arm.name.to_lowercase())) {
        bail!("two arms are called `{}`", cut(&name));
    }
    let names: Vec<&str> = file.arms.iter().map(|arm| arm.name.as_str()).collect();
    if !names.contains(&file.baseline.as_str()) {
        bail!("baseline = `{}`: no arm has this name; the arms are {}", cut(&file.baseline), names.join(", "));
    }
    let (model, data, lora, objective, train) = (file.model, file.data, file.lora, file.objective, file.train);
    let defaults = RunTables { model, data, lora, objective, train }.into_table();
    let mut arms = Vec::new();
    for arm in file.arms {
        let origin = format!("{origin}: arm `{}`", cut(&arm.name));
        let trained = arm.train.as_ref() != Some(&toml::Value::Boolean(false));
        let train = match arm.train {
            Some(toml::Value::Boolean(_)) => None,
            other => other,
        };
        let own = RunTables { model: arm.model, data: arm.data, lora: arm.lora, objective: arm.objective, train };
        let augment = arm.augment.map(|value| Augment::read(&value)).transpose().context(origin.clone())?;
        arms.push(Arm::new(arm.name, trained, augment, &defaults, own.into_table(), &world, &levels, &origin)?);
    }
    Ok(Experiment { name, out, seeds: file.seeds, baseline: file.baseline, bootstrap, world, evaluation, levels, arms })
}

/// The evaluated levels, `clean` first.
fn levels(evaluation: &EvaluationTable, world: &WorldTable, seeds: &[u64]) -> Result<Vec<String>> {
    let known = world.levels(seeds)?;
    let Some(chosen) = &evaluation.levels else { return Ok(known) };
    if let Some(level) = repeated(chosen.iter()) {
        bail!("evaluation.levels names `{}` twice", cut(level));
    }
    if let Some(level) = chosen.iter().find(|level| !known.contains(level)) {
        bail!("evaluation.levels: unknown level `{}`, expected some of {}", cut(level), known.join(", "));
    }
    Ok(known.into_iter().filter(|level| level == CLEAN || chosen.contains(level)).collect())
}

/// The first value that occurs twice.
fn repeated<T: Ord + Clone>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = BTreeSet::new();
    values.into_iter().find(|value| !seen.insert(value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "out = 'run'\nseeds = [1, 2]\nbaseline = 'cit'\n[world]\nkind = 'demo'\n[train]\nsteps = 4\n\
                         [[arm]]\nname = 'base'\ntrain = false\n[[arm]]\nname = 'cit'\nobjective.kind = 'cit'\n\
                         [[arm]]\nname = 'long'\nobjective.kind = 'cit'\ntrain.steps = 9\n";

    fn message(text: &str) -> String {
        format!("{:#}", parse(text, "e.toml", None).unwrap_err())
    }

    #[test]
    fn arms_override_the_defaults() {
        let experiment = parse(SMALL, "e.toml", Some(Path::new("other"))).unwrap();
        assert_eq!((experiment.name.as_str(), experiment.out.as_path()), ("other", Path::new("other")));
        let names: Vec<String> = experiment.units().into_iter().map(|unit| unit.name).collect();
        assert_eq!(names[..4], ["base/seed-1", "cit/seed-1", "long/seed-1", "base/seed-2"]);
        let steps = experiment.units().iter().map(|unit| unit.settings.run.as_ref()?.train.steps).collect::<Vec<_>>();
        assert_eq!(steps[..3], [None, Some(4), Some(9)]);
        let unit = &experiment.units()[4];
        let run = unit.settings.run.as_ref().unwrap();
        assert_eq!((run.train.seed, run.train.batch_pairs, run.train.learning_rate), (2, 32, 2e-3));
        assert_eq!(run.data.pairs, Path::new("world/seed-2/pairs-256.jsonl"));
    }

    #[test]
    fn every_level_is_left_out_once_if_run_files_can_augment() {
        let text = format!("{SMALL}augment = 'all but the level evaluated'\n");
        let experiment = match parse(&text, "e.toml", None) {
            Ok(experiment) => experiment,
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains("augment is not supported by this build"), "{message}");
                return;
            }
        };
        let units: Vec<_> =
            experiment.units().into_iter().filter(|unit| unit.arm == "long" && unit.seed == 1).collect();
        let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        let expected =
            ["character", "word", "sentence", "semantic"].map(|level| format!("long/without-{level}/seed-1"));
        assert_eq!(names, expected);
        assert_eq!(units[1].settings.levels, ["clean", "textfooler"]);
        assert!(experiment.arms[2].trained_levels.is_empty());
        let seen = format!("{SMALL}augment = ['textbugger', 'stresstest']\n");
        let arms = parse(&seen, "e.toml", None).unwrap().arms;
        assert_eq!(arms[2].trained_levels, ["deepwordbug", "checklist"]);
    }

    #[test]
    fn wrong_files_are_refused_by_name() {
        for (from, to, words) in [
            ("seeds = [1, 2]", "seeds = []", "seeds is empty"),
            ("seeds = [1, 2]", "seeds = [1, 2, 1]", "seeds names 1 twice"),
            ("seeds = [1, 2]", "seeds = [-1]", "invalid value"),
            ("baseline = 'cit'", "baseline = 'sit'", "the arms are base, cit, long"),
            ("kind = 'demo'", "kind = 'dmeo'", "expected `demo` or `files`"),
            ("kind = 'demo'", "kind = 'demo'\nmodel = 'x'", "unknown field `model`"),
            ("out = 'run'\n", "", "set `out`, or give --out"),
            ("name = 'base'", "name = 'cit'", "two arms are called `cit`"),
            ("name = 'base'", "name = '../x'", "expected a name of letters"),
            ("steps = 4", "stesp = 4", "unknown field `stesp`"),
            ("objective.kind = 'cit'", "objective.kind = 'sit'", "expected `cit` or `coin`"),
            ("steps = 4", "seed = 4", "`train.seed` is set by the experiment"),
            ("[train]", "[evaluation]\nsamples = 0\n[train]", "evaluation.samples is 0"),
            ("[train]", "[evaluation]\nlevels = ['word']\n[train]", "unknown level `word`, expected some of clean, "),
            ("out = 'run'", "out = 'run'\ndraws = 3", "draws: 3 bootstrap replicates"),
            ("[train]", "[trian]", "unknown field `trian`"),
            ("train = false", "train = true\naugment = ['deepwordbag']", "unknown attack `deepwordbag`"),
            ("train = false", "train = false\naugment = ['checklist']", "is not trained"),
            ("train = false", "augment = 'all'", "all but the level evaluated"),
        ] {
            assert!(SMALL.contains(from), "{from}");
            let message = message(&SMALL.replacen(from, to, 1));
            assert!(message.starts_with("e.toml") && message.contains(words), "{message}");
        }
    }
}

//! The arms of an experiment, and the runs that an arm consists of.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use coin_core::quote::cut;
use coin_eval::levels::CLEAN;
use coin_perturb::{ATTACK_NAMES, Level, attack_named};
use coin_train::RunConfig;

use super::WorldTable;

/// The value of an arm's `augment` for training without the attacks of the level that is evaluated.
pub const LEAVE_LEVEL_OUT: &str = "all but the level evaluated";

/// Keys of a run file that the experiment sets.
const IMPOSED: [(&str, &str, &str); 3] =
    [("model", "path", "`world`"), ("data", "pairs", "`world`"), ("train", "seed", "`seeds`")];

/// The attacks with which an arm perturbs its training wordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Augment {
    /// These attacks.
    Attacks(Vec<String>),
    /// For each evaluated level, all attacks of other levels.
    AllButTheLevelEvaluated,
}

impl Augment {
    /// Reads the value of the key `augment`.
    pub(super) fn read(value: &toml::Value) -> Result<Self> {
        if value.as_str() == Some(LEAVE_LEVEL_OUT) {
            return Ok(Augment::AllButTheLevelEvaluated);
        }
        let names =
            value.as_array().and_then(|names| names.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>());
        let Some(names) = names.filter(|names| !names.is_empty()) else {
            bail!(
                "augment = {}: expected a list of attacks or \"{LEAVE_LEVEL_OUT}\"; the attacks are {}",
                cut(&value.to_string()),
                ATTACK_NAMES.join(", ")
            );
        };
        for name in &names {
            attack_named(name).context("augment")?;
        }
        Ok(Augment::Attacks(names.into_iter().map(str::to_owned).collect()))
    }
}

/// One training setting of an arm: the whole arm, or the arm without the attacks of one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The level whose attacks are left out.
    pub without: Option<Level>,
    /// The settings of the training run, without seed and paths. `None` if the base model is evaluated.
    pub run: Option<RunConfig>,
    /// The evaluated levels at which this variant counts.
    pub levels: Vec<String>,
}

/// One arm of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// The arm's name.
    pub name: String,
    /// Its training settings: one, or one for each left-out level.
    pub variants: Vec<Variant>,
    /// Settings with the model and the devices of every variant.
    pub(super) base: RunConfig,
    /// The evaluated levels whose attacks are used in training and whose results come from that training.
    pub trained_levels: Vec<String>,
}

impl Arm {
    /// Resolves an arm: `own` replaces keys of the file's `defaults`, which replace those of the `world`.
    #[expect(clippy::too_many_arguments, reason = "called once, with the parts of one file")]
    pub(super) fn new(
        name: String,
        trained: bool,
        augment: Option<Augment>,
        defaults: &toml::Table,
        own: toml::Table,
        world: &WorldTable,
        levels: &[String],
        origin: &str,
    ) -> Result<Self> {
        for table in [defaults, &own] {
            for (outer, key, by) in IMPOSED {
                if table.get(outer).is_some_and(|table| table.get(key).is_some()) {
                    bail!("{origin}: `{outer}.{key}` is set by the experiment, from {by}");
                }
            }
        }
        let mut table = world.defaults();
        merge(&mut table, defaults.clone());
        merge(&mut table, own);
        world.complete(&mut table);
        let variants = match augment {
            Some(_) if !trained => bail!("{origin}: augment has no effect, because the arm is not trained"),
            None => {
                let run = parsed(&table, None, origin)?;
                vec![Variant { without: None, run: trained.then_some(run), levels: levels.to_vec() }]
            }
            Some(Augment::Attacks(attacks)) => {
                let run = parsed(&table, Some(&attacks), origin)?;
                vec![Variant { without: None, run: Some(run), levels: levels.to_vec() }]
            }
            Some(Augment::AllButTheLevelEvaluated) => {
                let mut variants = Vec::new();
                for (level, evaluated) in by_level(levels).with_context(|| origin.to_owned())? {
                    let run = parsed(&table, Some(&attacks_without(level)?), origin)?;
                    variants.push(Variant { without: Some(level), run: Some(run), levels: evaluated });
                }
                variants
            }
        };
        let base = match variants.iter().find_map(|variant| variant.run.clone()) {
            Some(run) => run,
            None => parsed(&table, None, origin)?,
        };
        let mut arm = Arm { name, variants, base, trained_levels: Vec::new() };
        arm.trained_levels = arm.levels_trained_on(levels)?;
        Ok(arm)
    }

    /// Returns the evaluated levels with an attack in the training of the run whose result counts there.
    fn levels_trained_on(&self, levels: &[String]) -> Result<Vec<String>> {
        let mut trained = Vec::new();
        for level in levels.iter().filter(|level| *level != CLEAN) {
            for variant in self.variants.iter().filter(|variant| variant.levels.contains(level)) {
                let Some(run) = &variant.run else { continue };
                let Ok(evaluated) = attack_named(level).map(|attack| attack.level()) else { continue };
                let attacks = attacks_of(run)?;
                if attacks.iter().any(|name| attack_named(name).is_ok_and(|attack| attack.level() == evaluated)) {
                    trained.push(level.clone());
                }
            }
        }
        Ok(trained)
    }

    /// The settings of the arm, for the resolved experiment and the report: without seed and paths.
    pub(super) fn resolved(&self) -> Result<toml::Table> {
        let mut table = toml::Table::new();
        table.insert("name".to_owned(), self.name.clone().into());
        let Some(run) = self.variants.first().and_then(|variant| variant.run.as_ref()) else {
            table.insert("train".to_owned(), false.into());
            return Ok(table);
        };
        let mut run = toml::Table::try_from(run)?;
        run.remove("out");
        for (outer, key, _) in IMPOSED {
            if let Some(inner) = run.get_mut(outer).and_then(toml::Value::as_table_mut) {
                inner.remove(key);
            }
        }
        if self.variants.iter().any(|variant| variant.without.is_some()) {
            // Each variant has other attacks.
            if let Some(attacks) = run.get_mut("data").and_then(|data| data.get_mut("augment")?.as_table_mut()) {
                attacks.remove("attacks");
            }
            table.insert("augment".to_owned(), LEAVE_LEVEL_OUT.into());
        }
        table.extend(run);
        Ok(table)
    }
}

/// Groups the perturbed levels by the level of the text that their attack works at. `clean` counts for every group.
fn by_level(levels: &[String]) -> Result<Vec<(Level, Vec<String>)>> {
    let mut groups: Vec<(Level, Vec<String>)> = Vec::new();
    for level in levels.iter().filter(|level| *level != CLEAN) {
        let Ok(attack) = attack_named(level) else {
            bail!(
                "augment = \"{LEAVE_LEVEL_OUT}\": the level `{}` is not named by an attack, so its attacks are not known; choose \
                 others in evaluation.levels",
                cut(level)
            );
        };
        match groups.iter_mut().find(|(known, _)| *known == attack.level()) {
            Some((_, group)) => group.push(level.clone()),
            None => groups.push((attack.level(), vec![CLEAN.to_owned(), level.clone()])),
        }
    }
    match groups.is_empty() {
        true => bail!("augment = \"{LEAVE_LEVEL_OUT}\": no perturbed level is evaluated"),
        false => Ok(groups),
    }
}

/// The names of all attacks that do not work at `level`.
fn attacks_without(level: Level) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in ATTACK_NAMES {
        if attack_named(name)?.level() != level {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The attacks on the training wordings of a run.
fn attacks_of(run: &RunConfig) -> Result<BTreeSet<String>> {
    let table = toml::Table::try_from(run)?;
    let attacks = table.get("data").and_then(|data| data.get("augment")?.get("attacks")?.as_array());
    Ok(attacks.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

/// Parses the tables of a run file, with the attacks of its augmentation.
fn parsed(table: &toml::Table, attacks: Option<&[String]>, origin: &str) -> Result<RunConfig> {
    let mut table = table.clone();
    let mut imposed = toml::Table::new();
    imposed.insert("out".to_owned(), "training".into());
    for (outer, key, value) in [("model", "path", "base"), ("data", "pairs", "pairs.jsonl")] {
        imposed.insert(outer.to_owned(), toml::Table::from_iter([(key.to_owned(), value.into())]).into());
    }
    merge(&mut table, imposed);
    let data = table.entry("data").or_insert_with(|| toml::Table::new().into());
    match (attacks, data.as_table_mut()) {
        (Some(attacks), Some(data)) => {
            let list = toml::Value::try_from(attacks)?;
            let augment = toml::Table::from_iter([("attacks".to_owned(), list)]);
            merge(data, toml::Table::from_iter([("augment".to_owned(), augment.into())]));
        }
        // The defaults may contain settings of an augmentation that only some arms have.
        (None, Some(data)) if data.get("augment").is_some_and(|augment| augment.get("attacks").is_none()) => {
            data.remove("augment");
        }
        _ => {}
    }
    let text = toml::to_string(&table).with_context(|| origin.to_owned())?;
    RunConfig::parse(&text, origin, &[]).map_err(|error| {
        let message = error.to_string();
        match attacks.is_some() && message.contains("unknown field `augment`") {
            true => {
                anyhow::anyhow!("{origin}: augment is not supported by this build: run files have no [data.augment]")
            }
            false => error.into(),
        }
    })
}

/// Replaces keys of `table` by those of `over`. Tables are merged, other values are replaced.
pub(super) fn merge(table: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => merge(inner, value),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// The settings of a run of an arm with one seed, with paths relative to the experiment's folder.
pub(super) fn run_of(run: &RunConfig, world: &WorldTable, unit: &Path, seed: u64) -> RunConfig {
    let mut run = run.clone();
    run.out = unit.join("training");
    run.train.seed = seed;
    run.data.pairs = world.pairs(&run, seed);
    run.model.path = world.model();
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_level_is_left_out_once() {
        let levels = names(&["clean", "deepwordbug", "textfooler", "checklist", "stresstest", "semantic"]);
        let groups = by_level(&levels).unwrap();
        let shown: Vec<(String, usize)> = groups.iter().map(|(level, of)| (level.to_string(), of.len())).collect();
        let expected = [("character", 2), ("word", 2), ("sentence", 3), ("semantic", 2)];
        assert_eq!(shown, expected.map(|(level, count)| (level.to_owned(), count)));
        assert_eq!(
            attacks_without(Level::Word).unwrap(),
            ["deepwordbug", "textbugger", "checklist", "stresstest", "semantic"]
        );
        let message = by_level(&names(&["clean", "slang"])).unwrap_err().to_string();
        assert!(message.contains("`slang` is not named by an attack"), "{message}");
        assert!(by_level(&names(&["clean"])).is_err());
    }

    #[test]
    fn tables_are_merged_and_lists_are_replaced() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let mut found = table("a = { b = 1, c = [1, 2] }\nd = 1");
        merge(&mut found, table("a = { c = [3] }\ne = 2"));
        assert_eq!(found, table("a = { b = 1, c = [3] }\nd = 1\ne = 2"));
    }
}

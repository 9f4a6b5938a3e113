//! `coin perturb`

mod against;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use coin::core::quote::cut;
use coin::data::{Component, Task};
use coin::perturb::audit::AuditRecord;
use coin::perturb::{Budget, FrozenSet, LabelWords, Recipe, attack_named, attack_within, files, perturb_set};
use coin::report::Table;

use super::{check_out, shown};
use crate::failure::{Failure, OrFail, bad_input};

/// Maximum number of instructions that are listed for an attack.
const NAMED: usize = 20;

/// Arguments of `coin perturb`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Attacks, comma separated.
    #[arg(long, value_delimiter = ',', required_unless_present = "verify")]
    attack: Vec<String>,
    /// Clean instructions: {task: [..]} or {"clean": {task: [..]}}.
    #[arg(long, required_unless_present = "verify")]
    input: Option<PathBuf>,
    /// Seed of the perturbations.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Words to protect in every task, in addition to the tasks' label words; comma separated.
    #[arg(long, value_delimiter = ',')]
    protect: Vec<String>,
    /// Severity of the attacks on words and characters: a share of the content words (`0.5`), or a maximum of words (`3words`) or
    /// characters (`20characters`); for checklist the number of characters to append. Default: the attack's own.
    #[arg(long, allow_hyphen_values = true)]
    budget: Option<Budget>,
    /// Part of the prompt that the texts belong to, recorded in the recipe: system, instruction, demonstrations or input.
    #[arg(long, default_value = "instruction")]
    component: Component,
    /// File to write, with FILE.audit.jsonl and FILE.recipe.json in the same folder.
    #[arg(long, required_unless_present = "verify")]
    out: Option<PathBuf>,
    #[command(flatten)]
    against: against::SearchArguments,
    /// Only check that FILE has the hashes in FILE.recipe.json.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["attack", "input", "seed", "protect", "budget", "component", "out", "model"])]
    verify: Option<PathBuf>,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match (&self.verify, &self.input, &self.out) {
            (Some(path), ..) => verify(path),
            (None, Some(input), Some(out)) => self.perturb(input, out),
            _ => bad_input("expected --input and --out, or --verify"),
        }
    }

    fn perturb(&self, input: &Path, out: &Path) -> Result<(), Failure> {
        let mut written = vec![out.to_owned(), files::audit_path(out), files::recipe_path(out)];
        if self.against.is_given() {
            written.extend([files::search_log_path(out), against::partial_log(out)]);
        }
        for file in &written {
            check_out(file, &[("--input", input)])?;
        }
        if self.protect.iter().any(|word| word.trim().is_empty()) {
            return bad_input("--protect: expected words, found an empty word");
        }
        let names: BTreeSet<&String> = self.attack.iter().collect();
        let attacks = names
            .into_iter()
            .map(|name| match self.budget {
                Some(budget) => attack_within(name, budget),
                None => attack_named(name),
            })
            .collect::<Result<Vec<_>, _>>()
            .input()?;
        let clean = files::read_clean(input).input()?;
        let label_words: LabelWords = clean
            .keys()
            .map(|name| {
                let mut words = Task::named(name).map(|task| task.label_words()).unwrap_or_else(|_| {
                    let name = cut(name);
                    eprintln!("coin: `{name}` is not a known task: only the words of --protect are protected in it");
                    Default::default()
                });
                words.extend(self.protect.iter().cloned());
                (name.clone(), words)
            })
            .collect();
        let mut log = None;
        let (set, audit, recipe) = match self.against.is_given() {
            true if self.budget.is_some() => {
                return bad_input("--budget applies to random perturbations only; limit a search with --queries");
            }
            true => {
                let found;
                (found, log) = self
                    .against
                    .run(&clean, &attacks, &label_words, self.seed, out)
                    .map(|(found, log)| (found, Some(log)))?;
                (found.set, found.audit, found.recipe)
            }
            false => {
                let set = perturb_set(&clean, &attacks, &label_words, self.seed).input()?;
                let audit = set.audit(&label_words);
                let recipe = Recipe::new(&set, &attacks, &label_words, self.seed);
                (set, audit, recipe)
            }
        };
        let recipe = recipe.of_component(self.component);
        files::write(out, &set, &audit, &recipe).work()?;
        if let Some(log) = log {
            let name = files::search_log_path(out);
            std::fs::rename(&log, &name).with_context(|| format!("cannot write {}", name.display())).work()?;
        }
        println!("{}", table(&set, &audit));
        for line in unchanged(&set, &audit) {
            println!("{line}");
        }
        println!("{} perturbed instructions written to {}", audit.len(), shown(out));
        Ok(())
    }
}

fn verify(path: &Path) -> Result<(), Failure> {
    let (set, recipe) = files::verify(path).input()?;
    let attacks: Vec<&str> = set.attacks().collect();
    println!("{}: unchanged since it was written, with seed {} and {}", shown(path), recipe.seed, attacks.join(", "));
    Ok(())
}

/// The instructions that an attack did not change, one line per attack.
fn unchanged(set: &FrozenSet, audit: &[AuditRecord]) -> Vec<String> {
    let of = |attack: &str| {
        let left = audit.iter().filter(|record| record.attack == attack && record.unchanged);
        let name = |record: &AuditRecord| {
            let empty = if record.clean.trim().is_empty() { " (empty)" } else { "" };
            format!("{} {}{empty}", cut(&record.task), record.index + 1)
        };
        let named: Vec<String> = left.map(name).collect();
        let more = named.len().saturating_sub(NAMED);
        let shown = named[..named.len() - more].join(", ");
        let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!named.is_empty()).then(|| format!("{attack} left unchanged: {shown}{and_more}"))
    };
    set.attacks().filter_map(of).collect()
}

/// The effect of the attacks, one row each; shares are means over instructions.
fn table(set: &FrozenSet, audit: &[AuditRecord]) -> String {
    let columns = ["attack", "instructions", "unchanged", "words changed", "edit distance", "labels intact"];
    let row = |attack: &str| {
        let records: Vec<&AuditRecord> = audit.iter().filter(|record| record.attack == attack).collect();
        // A set has at least one instruction.
        let mean = |value: fn(&AuditRecord) -> f64| {
            records.iter().map(|record| value(record)).sum::<f64>() / records.len().max(1) as f64
        };
        let intact = records.iter().filter(|record| record.labels_intact).count();
        vec![
            attack.to_owned(),
            records.len().to_string(),
            records.iter().filter(|record| record.unchanged).count().to_string(),
            format!("{:.1} %", 100.0 * mean(|record| record.share_changed)),
            format!("{:.1}", mean(|record| record.edit_distance as f64)),
            format!("{intact} of {}", records.len()),
        ]
    };
    Table { columns: columns.map(str::to_owned).to_vec(), rows: set.attacks().map(row).collect() }.to_text()
}

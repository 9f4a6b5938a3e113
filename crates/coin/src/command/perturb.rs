//! `coin perturb`

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use coin::data::Task;
use coin::perturb::frozen::LabelWords;
use coin::perturb::{Recipe, attack_named, files, perturb_set};

use crate::failure::{Failure, OrFail};

/// Arguments of `coin perturb`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Attacks, comma separated.
    #[arg(long, value_delimiter = ',', required = true)]
    attack: Vec<String>,
    /// Clean instructions: {task: [..]} or {"clean": {task: [..]}}.
    #[arg(long)]
    input: PathBuf,
    /// Seed of the perturbations.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Words that must survive in every task, beside the tasks' label words; comma separated.
    #[arg(long, value_delimiter = ',')]
    protect: Vec<String>,
    /// File to write; FILE.audit.jsonl and FILE.recipe.json go beside it.
    #[arg(long)]
    out: PathBuf,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let names: BTreeSet<&String> = self.attack.iter().collect();
        let attacks = names.into_iter().map(|name| attack_named(name)).collect::<Result<Vec<_>, _>>().input()?;
        let clean = files::read_clean(&self.input).input()?;
        let label_words: LabelWords = clean
            .keys()
            .map(|name| {
                let mut words = Task::named(name).map(|task| task.label_words()).unwrap_or_else(|_| {
                    eprintln!("coin: `{name}` is no known task: only --protect words are protected in it");
                    Default::default()
                });
                words.extend(self.protect.iter().cloned());
                (name.clone(), words)
            })
            .collect();
        let set = perturb_set(&clean, &attacks, &label_words, self.seed).input()?;
        let audit = set.audit(&label_words);
        let recipe = Recipe::new(&set, &attacks, &label_words, self.seed);
        files::write(&self.out, &set, &audit, &recipe).work()?;
        println!("{} perturbed instructions written to {}", audit.len(), self.out.display());
        Ok(())
    }
}

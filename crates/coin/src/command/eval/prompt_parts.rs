//! The parts of a prompt other than the example: instruction, system text and demonstrations. Levels change one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use coin::core::quote::printable;
use coin::data::glue::Split;
use coin::data::{Component, Demonstration, Instance};
use coin::eval::InstructionSet;
use coin::eval::context::{self, PromptContext};
use coin::eval::levels::CLEAN;
use coin::perturb::audit::AuditRecord;
use coin::perturb::{Instructions, LabelWords, attack_named, perturb_set};
use sha2::{Digest, Sha256};

use super::task_choice::Chosen;
use super::{from_file, instruction_set, with_clean};
use crate::command::choice::{choices, name};
use crate::failure::{Failure, OrFail, bad_input};

/// The default levels of components that this command perturbs.
const MADE_HERE: [&str; 3] = ["deepwordbug", "textfooler", "checklist"];

/// The options for the parts of a prompt.
#[derive(Debug, Args)]
#[command(next_help_heading = "Prompts")]
pub struct PromptParts {
    /// File of instructions, {level: {task: [..]}} [default: built-in instructions at five levels].
    #[arg(long)]
    prompts: Option<PathBuf>,
    /// Levels, comma separated [default: all levels of the prompts file]. `clean` is always evaluated.
    #[arg(long, value_delimiter = ',')]
    attacks: Vec<String>,
    /// Part of the prompt that the levels change.
    #[arg(long, value_parser = choices::<Component>(), default_value = name(Component::Instruction))]
    component: Component,
    /// System text at the beginning of every prompt.
    #[arg(long)]
    system: Option<String>,
    /// Demonstrations per prompt, balanced over the classes as far as possible.
    #[arg(long, default_value_t = 0)]
    shots: usize,
    /// Split that demonstrations are drawn from.
    #[arg(long, value_parser = choices::<Split>(), default_value = name(Split::Train))]
    shots_from: Split,
}

/// The parts of an evaluation's prompts.
pub struct Built {
    /// The instructions.
    pub instructions: InstructionSet,
    /// System text and demonstrations, at every level.
    pub context: PromptContext,
    /// The evaluated examples by task.
    pub examples: BTreeMap<String, Vec<Instance>>,
    /// The texts that were perturbed here, each with its clean form; empty for the instructions of a file.
    pub made: Vec<AuditRecord>,
}

impl PromptParts {
    /// The component that the levels change.
    pub fn component(&self) -> Component {
        self.component
    }

    /// The prompts file.
    pub fn prompts(&self) -> Option<&Path> {
        self.prompts.as_deref()
    }

    /// The hash of the prompts file.
    pub fn prompts_sha256(&self) -> Result<Option<String>, Failure> {
        let hash = |path: &PathBuf| -> std::io::Result<String> {
            let digest = Sha256::digest(std::fs::read(path)?);
            Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        self.prompts.as_ref().map(hash).transpose().work()
    }

    /// Demonstrations per task.
    pub fn shots(&self) -> usize {
        self.shots
    }

    /// The split that demonstrations are drawn from, or `None` without demonstrations.
    pub fn shots_from(&self) -> Option<Split> {
        (self.shots > 0).then_some(self.shots_from)
    }

    /// The evaluated levels, `clean` first.
    pub fn levels(&self, instructions: &InstructionSet) -> Vec<String> {
        match (self.attacks.is_empty(), from_file(self.component())) {
            (false, _) => with_clean(&self.attacks),
            (true, true) => with_clean(&instructions.level_names().into_iter().map(str::to_owned).collect::<Vec<_>>()),
            (true, false) => with_clean(&MADE_HERE.map(str::to_owned)),
        }
    }

    /// Reads, draws and perturbs the parts.
    pub fn build(&self, chosen: &Chosen, seed: u64) -> Result<Built, Failure> {
        match self.component {
            Component::System if self.system.is_none() => return bad_input("--component system needs --system"),
            Component::System if self.system.as_ref().is_some_and(|system| system.trim().is_empty()) => {
                return bad_input("--system is empty; --component system needs a text that the levels can change");
            }
            Component::Demonstrations if self.shots == 0 => {
                return bad_input("--component demonstrations needs --shots");
            }
            _ => {}
        }
        let instructions = instruction_set(self.prompts.as_deref())?;
        let mut examples = chosen.examples.clone();
        let mut around = PromptContext::default();
        let label_words: LabelWords = chosen.tasks.iter().map(|task| (task.name.clone(), task.label_words())).collect();
        let levels = self.levels(&instructions);
        let mut made = Vec::new();
        if let Some(system) = &self.system {
            around.system.insert(CLEAN.to_owned(), system.clone());
            if self.component == Component::System {
                // One text serves all tasks, so the label words of all of them are kept.
                let all = label_words.values().flatten().cloned().collect();
                let clean = [("system".to_owned(), vec![system.clone()])].into();
                let (sets, records) = perturbed(&clean, &levels, &[("system".to_owned(), all)].into(), seed)?;
                made = records;
                around.system = sets
                    .into_iter()
                    .map(|(level, mut texts)| (level, texts.remove("system").unwrap_or_default().concat()))
                    .collect();
            }
        }
        if self.shots > 0 {
            let mut clean: BTreeMap<String, Vec<Demonstration>> = BTreeMap::new();
            for task in &chosen.tasks {
                let there = &chosen.shown[&task.name];
                let evaluated = examples.entry(task.name.clone()).or_default();
                let of_training = self.shots_from == Split::Train;
                // An evaluated example must not be shown with its answer, even if it is also in the training file.
                let candidates = if of_training { context::without_twins(there, evaluated) } else { there.clone() };
                if candidates.len() < there.len() {
                    let (twins, name) = (there.len() - candidates.len(), printable(&task.name));
                    eprintln!(
                        "coin: {name}: {twins} training rows are also evaluated and are not used as demonstrations"
                    );
                }
                let (shown, taken) = context::demonstrations(task, &candidates, self.shots, seed).input()?;
                if !of_training {
                    *evaluated = context::without_twins(evaluated, &taken);
                }
                clean.insert(task.name.clone(), shown);
            }
            let inputs = |shown: &Vec<Demonstration>| shown.iter().map(|shown| shown.input.clone()).collect::<Vec<_>>();
            let texts: Instructions = clean.iter().map(|(task, shown)| (task.clone(), inputs(shown))).collect();
            let levels = if self.component == Component::Demonstrations { &levels[..] } else { &[] };
            let (sets, records) = perturbed(&texts, levels, &label_words, seed)?;
            made.extend(records);
            for (level, tasks) in sets {
                for (task, inputs) in tasks {
                    let answers = clean[&task].iter().map(|shown| shown.answer.clone());
                    let shown = inputs.into_iter().zip(answers).map(|(input, answer)| Demonstration { input, answer });
                    around.demonstrations.entry(task).or_default().insert(level.clone(), shown.collect());
                }
            }
        }
        Ok(Built { instructions, context: around, examples, made })
    }
}

/// The clean texts and, for each other level in `levels`, the texts perturbed by the attack of that name, with a record of each.
fn perturbed(
    clean: &Instructions,
    levels: &[String],
    label_words: &LabelWords,
    seed: u64,
) -> Result<(BTreeMap<String, Instructions>, Vec<AuditRecord>), Failure> {
    let attacks = levels.iter().filter(|level| *level != CLEAN).map(|level| attack_named(level));
    let attacks = attacks.collect::<Result<Vec<_>, _>>().input()?;
    if attacks.is_empty() {
        return Ok(([(CLEAN.to_owned(), clean.clone())].into(), Vec::new()));
    }
    let set = perturb_set(clean, &attacks, label_words, seed).input()?;
    Ok((set.sets().clone(), set.audit(label_words)))
}

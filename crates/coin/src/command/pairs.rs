//! `coin pairs`

mod inspect;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use coin::core::quote::{cut, printable};
use coin::data::glue::{self, Split};
use coin::data::induction::{self, Part};
use coin::data::pairs::{CheckReport, Negatives, PairBuilder, RewordedSide, RewordingCounts, Variation};
use coin::data::{Pair, ReadOptions, ReadReport, Task, TemplateSet, Worded, flan, pairs, t0};
use coin::perturb::Augmentation;

use super::choice::{choices, name};
use super::model_arguments::data_folder;
use super::{check_out, distinct, shown};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;

/// Sub-commands of `coin pairs`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Builds pairs from GLUE's training rows and templates, or from instruction data with several wordings.
    Build(Build),
    /// Takes some of the pairs in a file, in whole couples: the first ones, or with --seed a random selection in random order.
    Take(Take),
    /// Counts tasks, answers and repetitions, and lists invalid couples; exits with 1 if there are any.
    Check(Check),
    /// Shows the tokens of pairs and which of them are learned.
    Inspect(inspect::Arguments),
}

/// The format of the data, as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// GLUE's folders (TSV, CSV, JSON lines, or the hub's Parquet), filled into templates
    Glue,
    /// T0's files, one JSON lines file per template: the wordings come with the data
    T0,
    /// instruction induction: instructions by several people, with input/output examples
    Induction,
    /// the FLAN collection's files (Parquet or JSON lines, with filled templates); needs FLAN's --templates
    Flan,
}

/// Maximum number of pairs per task. More is a typing error.
const MOST_PAIRS: usize = 100_000_000;

/// Maximum number of instances per FLAN task, the same as FLAN's limit per data set.
const FLAN_INSTANCES: usize = 30_000;

/// Arguments of `coin pairs build`.
#[derive(Debug, Args)]
pub struct Build {
    /// Folder of the data, or the name of a data set on the hub, such as `org/name` or `org/name@revision`.
    #[arg(long)]
    data: String,
    /// Uses only the cache for names on the hub, without network access.
    #[arg(long)]
    offline: bool,
    /// Format of the data.
    #[arg(long, value_enum, default_value_t = Source::Glue)]
    format: Source,
    /// Templates in FLAN's format, for GLUE (default: the demo's templates) and for FLAN.
    #[arg(long)]
    templates: Option<PathBuf>,
    /// Tasks, comma separated. Default cola,sst2,rte for GLUE, and all tasks for the other formats.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
    /// Pairs per task; a multiple of twice the paraphrases.
    #[arg(long, default_value_t = 1000)]
    pairs: usize,
    /// Maximum number of pairs in total: the first ones after the tasks are mixed. Default all.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Paraphrases per instance, each in a separate pair.
    #[arg(long, default_value_t = 1)]
    paraphrases: usize,
    /// Choice of hard negatives.
    #[arg(long, value_parser = choices::<Negatives>(), default_value = name(Negatives::Random))]
    negatives: Negatives,
    /// Varies the system text instead of the instruction: a file with one text per line.
    #[arg(long, value_name = "FILE")]
    vary_system: Option<PathBuf>,
    /// Varies the demonstrations instead of the instruction, with this number of them before each input.
    #[arg(long, value_name = "K", conflicts_with = "vary_system")]
    vary_demonstrations: Option<usize>,
    /// Rewords templates with these attacks, comma separated: perturbed wordings to train with. Only for GLUE.
    #[arg(long, value_name = "ATTACK", value_delimiter = ',', conflicts_with_all = ["vary_system", "vary_demonstrations"])]
    augment: Vec<String>,
    /// Share of the wordings that are reworded; the others stay clean.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "augment")]
    augment_share: f64,
    /// The wordings that may be reworded.
    #[arg(long, value_parser = choices::<RewordedSide>(), default_value = name(RewordedSide::Both), requires = "augment")]
    augment_wordings: RewordedSide,
    /// Seed of the rewording. Default: that of --seed.
    #[arg(long, value_name = "N", requires = "augment")]
    augment_seed: Option<u64>,
    /// Leaves out rows that cannot be read and counts them, instead of refusing the file.
    #[arg(long)]
    skip_bad: bool,
    /// Seed for the choice of templates and negatives and for the order.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

/// The default tasks of GLUE.
const GLUE_TASKS: [&str; 3] = ["cola", "sst2", "rte"];

/// Arguments of `coin pairs take`.
#[derive(Debug, Args)]
pub struct Take {
    /// Pairs: JSON lines, the released CSV, or Parquet.
    file: PathBuf,
    /// Number of pairs to take, an even number. If the file has fewer, all are taken.
    #[arg(long)]
    pairs: usize,
    /// Seed to draw couples at random, in random order. Without it, the first couples are taken in file order.
    #[arg(long)]
    seed: Option<u64>,
    /// Leaves out rows that cannot be read, with their partners, and counts them.
    #[arg(long)]
    skip_bad: bool,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `coin pairs check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Pairs: JSON lines, the released CSV, or Parquet.
    file: PathBuf,
    /// Leaves out rows that cannot be read, with their partners, and counts them.
    #[arg(long)]
    skip_bad: bool,
    /// Also reports the result of holding out N pairs of training (data.validation_pairs in a run file).
    #[arg(long, value_name = "N")]
    validation_pairs: Option<usize>,
    /// Prints the whole report as JSON.
    #[arg(long)]
    json: bool,
}

impl Command {
    /// True if the command writes a file.
    pub fn writes(&self) -> bool {
        matches!(self, Command::Build(_) | Command::Take(_))
    }

    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Command::Build(arguments) => arguments.run(),
            Command::Take(arguments) => arguments.run(),
            Command::Check(arguments) => arguments.run(),
            Command::Inspect(arguments) => arguments.run(),
        }
    }
}

impl Take {
    fn run(self) -> Result<(), Failure> {
        check_pairs_file(&self.out, &[("file that is read", &self.file)])?;
        if self.pairs == 0 || !self.pairs.is_multiple_of(2) {
            return bad_input(format!("--pairs {}: expected an even number, at least 2", self.pairs));
        }
        let (mut all, skipped) = pairs::read_with(&self.file, &ReadOptions { skip_bad: self.skip_bad }).input()?;
        say_skipped(&self.file.display().to_string(), &skipped);
        let found = all.len();
        if let Some(seed) = self.seed {
            pairs::shuffle_couples(&mut all, seed, 0).input()?;
        }
        all.truncate(self.pairs);
        pairs::write_jsonl(&self.out, &all).work()?;
        println!("{} of {found} pairs written to {}", all.len(), shown(&self.out));
        Ok(())
    }
}

/// Like [`check_out`], for a file of pairs.
fn check_pairs_file(out: &Path, inputs: &[(&str, &Path)]) -> Result<(), Failure> {
    check_out(out, inputs)?;
    if out.extension().is_some_and(|ending| ending == "csv" || ending == "parquet") {
        return bad_input(format!("--out {}: pairs are written as JSON lines, expected .jsonl", out.display()));
    }
    Ok(())
}

impl Check {
    fn run(self) -> Result<(), Failure> {
        if let Some(count) = self.validation_pairs.filter(|count| !count.is_multiple_of(2)) {
            return bad_input(format!("--validation-pairs {count}: expected an even number: pairs come in couples"));
        }
        let (read, skipped) = pairs::read_with(&self.file, &ReadOptions { skip_bad: self.skip_bad }).input()?;
        say_skipped(&self.file.display().to_string(), &skipped);
        let report = CheckReport::new(&read);
        let split = self.validation_pairs.map(|count| HeldOutCounts::new(&read, count));
        match self.json {
            true => {
                let mut json = serde_json::to_value(&report).work()?;
                if let Some(split) = &split {
                    json["held_out"] = split.json();
                }
                println!("{json:#}");
            }
            false => {
                print(&report);
                if let Some(split) = &split {
                    split.print();
                }
            }
        }
        match report.is_sound() {
            true => Ok(()),
            false => Err(Failure::Work(anyhow::anyhow!(
                "{}: not all couples consist of valid hard negatives",
                self.file.display()
            ))),
        }
    }
}

/// Counts of the pairs that a training run holds out.
struct HeldOutCounts {
    /// Pairs held out under preset `paper`: the last ones.
    last: usize,
    /// Of these, pairs whose instance also occurs in training.
    leaking: usize,
    /// Pairs held out under preset `strict`, in whole groups.
    whole: usize,
    /// Pairs that `strict` leaves out of training.
    left_out: usize,
}

impl HeldOutCounts {
    fn new(all: &[Pair], count: usize) -> Self {
        let (last, whole) = (pairs::hold_out_last(all, count), pairs::hold_out(all, count));
        let (last, leaking) = (last.validation.len(), last.leaking);
        HeldOutCounts { last, leaking, whole: whole.validation.len(), left_out: whole.left_out.len() }
    }

    fn json(&self) -> serde_json::Value {
        let HeldOutCounts { last, leaking, whole, left_out } = self;
        serde_json::json!({"last": last, "leaking": leaking, "whole": whole, "left_out": left_out})
    }

    fn print(&self) {
        let HeldOutCounts { last, leaking, whole, left_out } = self;
        println!("preset paper: {leaking} of the last {last} pairs share their instance with training pairs");
        println!("preset strict: {whole} pairs are held out by whole instances, {left_out} are left out of training");
    }
}

/// Reports how the quote characters of tab-separated files were read.
fn say_forms(report: &ReadReport) {
    for form in &report.forms {
        eprintln!("coin: {}", printable(form));
    }
}

/// Reports the rows left out.
pub(super) fn say_skipped(what: &str, report: &ReadReport) {
    say_forms(report);
    for (line, why) in &report.skipped {
        eprintln!("coin: {what}: line {line} left out: {why}");
    }
    if report.skipped_count > 0 {
        eprintln!("coin: {what}: {} of {} rows left out", report.skipped_count, report.rows);
    }
}

/// Prints the report as text.
fn print(report: &CheckReport) {
    let tasks = if report.tasks.len() == 1 { "task" } else { "tasks" };
    println!("{} pairs of {} {tasks}, longest text {} characters", report.pairs, report.tasks.len(), report.longest);
    for (task, counts) in &report.tasks {
        let name = if task.is_empty() { "(no task)".into() } else { cut(task) };
        let answers: Vec<String> =
            counts.answers.iter().map(|(answer, count)| format!("{} {count}", cut(answer))).collect();
        let answers =
            if answers.is_empty() { format!("{} different targets", counts.targets) } else { answers.join(", ") };
        println!("{name:<20} {:>8}  {answers}", counts.pairs);
    }
    println!("{} pairs repeat an earlier one, {} texts have two targets", report.duplicates, report.contradictions);
    println!(
        "{} different instances; couples with common instances form {} groups, the largest of {} pairs",
        report.instances, report.groups, report.largest_group
    );
    if report.without_keywords > 0 {
        println!(
            "{} pairs have no keywords: their instances are recognized by their texts only, which misses inputs of fewer than 8 words",
            report.without_keywords
        );
    }
    // Couples and pairs are counted from 1 here, like lines.
    let list = |places: &[usize]| {
        let shown: Vec<String> = places.iter().take(10).map(|place| (place + 1).to_string()).collect();
        let more = if places.len() > 10 { ", .." } else { "" };
        format!("{}{more}", shown.join(", "))
    };
    for (places, what) in [
        (&report.couples_without_negative, "couples have one target, so no hard negative"),
        (&report.couples_of_two_tasks, "couples are of two tasks"),
        (&report.equal_wordings, "pairs have two equal texts"),
        (&report.empty, "pairs have an empty text"),
    ] {
        if !places.is_empty() {
            println!("{} {what}: {}", places.len(), list(places));
        }
    }
}

impl Build {
    fn run(self) -> Result<(), Failure> {
        let inputs = [("--templates", &self.templates), ("--vary-system", &self.vary_system)];
        let inputs = inputs.iter().filter_map(|(name, path)| Some((*name, path.as_deref()?)));
        check_pairs_file(&self.out, &inputs.collect::<Vec<_>>())?;
        if !self.augment.is_empty() && self.format != Source::Glue {
            return bad_input(
                "--augment rewords templates, which only --format glue fills; the other formats come with filled texts",
            );
        }
        if self.pairs == 0 {
            return bad_input("--pairs must be at least 2");
        }
        if self.pairs > MOST_PAIRS {
            return bad_input(format!("--pairs {}: expected at most {MOST_PAIRS}", self.pairs));
        }
        if let Some(limit) = self.limit.filter(|limit| *limit == 0 || !limit.is_multiple_of(2)) {
            return bad_input(format!("--limit {limit}: expected an even number, at least 2: pairs come in couples"));
        }
        let (tasks, format) = (self.glue_tasks(), self.format);
        let wanted = |name: &str| match format {
            Source::Glue => glue::is_file_of(name, &tasks, Split::Train),
            Source::T0 => name.ends_with(".jsonl"),
            Source::Induction => name.ends_with(".json"),
            // Files without examples before the question and with the list of answers, which the templates contain.
            Source::Flan => name.contains("flan_zsopt") && (name.ends_with(".parquet") || name.ends_with(".jsonl")),
        };
        let data = data_folder("--data", &self.data, &wanted, self.offline)?;
        if let (Ok(to), Ok(from)) = (self.out.canonicalize(), data.canonicalize())
            && to.strip_prefix(from).is_ok_and(|name| wanted(&name.to_string_lossy()))
        {
            return bad_input(format!("--out {}: is a file of --data, which would be overwritten", self.out.display()));
        }
        let lists = match self.format {
            Source::Glue => self.of_glue(&data, &tasks)?,
            Source::T0 => {
                let t0 = t0::read(&data).input()?;
                for (file, why) in &t0.left_out {
                    eprintln!("{file}: left out: {why}");
                }
                self.of_worded(&t0.datasets)?
            }
            Source::Induction => self.of_worded(&induction::read(&data, Part::Induce).input()?)?,
            Source::Flan => self.of_flan(&data)?,
        };
        let mut all = pairs::interleave(lists, self.seed).input()?;
        all.truncate(self.limit.unwrap_or(usize::MAX));
        pairs::write_jsonl(&self.out, &all).work()?;
        println!("{} pairs written to {}", all.len(), shown(&self.out));
        Ok(())
    }

    fn glue_tasks(&self) -> Vec<String> {
        if self.tasks.is_empty() { GLUE_TASKS.map(str::to_owned).to_vec() } else { distinct(&self.tasks) }
    }

    /// Builds pairs of GLUE tasks from templates, one list per task.
    fn of_glue(&self, data: &Path, tasks: &[String]) -> Result<Vec<Vec<Pair>>, Failure> {
        let templates = match &self.templates {
            Some(path) => TemplateSet::read(path).input()?,
            None => TemplateSet::demo(),
        };
        let variation = match (&self.vary_system, self.vary_demonstrations) {
            (Some(path), _) => {
                let text = coin::core::file::read_to_string(path).input()?;
                Variation::System(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
            }
            (None, Some(count)) => Variation::Demonstrations(count),
            (None, None) => Variation::Instruction,
        };
        let builder = PairBuilder::new(&templates, self.seed)
            .with_paraphrases(self.paraphrases)
            .with_negatives(self.negatives)
            .with_variation(variation);
        let augmentation = match self.augment.is_empty() {
            true => None,
            false => Some(Augmentation::new(&self.augment, self.augment_share).input()?),
        };
        let builder = match &augmentation {
            Some(reword) => {
                builder.with_rewording(reword, self.augment_wordings, self.augment_seed.unwrap_or(self.seed))
            }
            None => builder,
        };
        let mut reworded = RewordingCounts::new();
        let mut lists = Vec::new();
        let bar = progress::bar("pairs", tasks.len() as u64);
        for name in tasks {
            let task = Task::named(name).input()?;
            let options = ReadOptions { skip_bad: self.skip_bad };
            let (instances, read) = glue::read_with(data, name, Split::Train, &options).input()?;
            say_skipped(name, &read);
            let (pairs, report) = builder.build(&task, &instances, self.pairs).input()?;
            bar.say(&format!(
                "{name}: {} pairs from {} of {} rows, {} templates used, {} excluded",
                report.pairs, report.rows_used, report.rows, report.templates_used, report.templates_excluded
            ));
            let balance: Vec<String> = report.answers.iter().map(|(answer, rows)| format!("{answer} {rows}")).collect();
            bar.say(&format!(
                "{name}: rows by answer: {}; {} duplicates, {} without a possible negative",
                balance.join(", "),
                report.duplicates,
                report.without_negative
            ));
            if report.pairs > report.rows_used * self.paraphrases {
                bar.say(&format!(
                    "{name}: rows occur in several pairs; training holds out whole instances only under preset strict"
                ));
            }
            for (attack, (drawn, unchanged)) in report.reworded {
                let counts = reworded.entry(attack).or_default();
                *counts = (counts.0 + drawn, counts.1 + unchanged);
            }
            lists.push(pairs);
            bar.inc(1);
        }
        bar.clear();
        for (attack, (drawn, unchanged)) in reworded {
            eprintln!("{attack}: drawn for {drawn} wordings, of which it left {unchanged} unchanged");
        }
        Ok(lists)
    }

    /// Builds pairs of FLAN's tasks, one list per task.
    fn of_flan(&self, data: &Path) -> Result<Vec<Vec<Pair>>, Failure> {
        let Some(templates) = &self.templates else {
            return bad_input("--format flan needs --templates: the values in a text are recovered with its template");
        };
        let templates = TemplateSet::read(templates).input()?;
        let flan = flan::read(data, &templates, FLAN_INSTANCES).input()?;
        eprintln!("{}", flan.report);
        self.of_worded(&flan.tasks)
    }

    /// Builds pairs of tasks whose wordings come with the data, one list per task.
    fn of_worded<W: Worded>(&self, sources: &[W]) -> Result<Vec<Vec<Pair>>, Failure> {
        let templates = self.templates.is_some() && self.format != Source::Flan;
        if templates || self.vary_system.is_some() || self.vary_demonstrations.is_some() {
            return bad_input(
                "--templates needs --format glue or flan, and --vary-.. needs glue: data in the other formats contains its wordings",
            );
        }
        let known: Vec<&str> = sources.iter().map(Worded::task).collect();
        if let Some(unknown) = self.tasks.iter().find(|task| !known.contains(&task.as_str())) {
            return bad_input(format!("--tasks: unknown task `{unknown}`, expected one of: {}", known.join(", ")));
        }
        let mut lists = Vec::new();
        let wanted = |one: &&W| self.tasks.is_empty() || self.tasks.iter().any(|task| task == one.task());
        let bar = progress::bar("pairs", sources.iter().filter(wanted).count() as u64);
        for source in sources.iter().filter(wanted) {
            match pairs::from_worded(source, self.pairs, self.seed) {
                Ok((pairs, report)) => {
                    bar.say(&format!(
                        "{}: {} pairs from {} of {} instances in {} wordings",
                        report.task, report.pairs, report.instances_used, report.instances, report.wordings
                    ));
                    lists.push(pairs);
                }
                // Without --tasks, a task that gives no couples is reported and left out. A requested task must give some.
                Err(error) if self.tasks.is_empty() => bar.say(&format!("left out: {error}")),
                Err(error) => return Err(Failure::Input(error.into())),
            }
            bar.inc(1);
        }
        bar.clear();
        match lists.is_empty() {
            true => bad_input(format!("{}: no task gives couples", self.data)),
            false => Ok(lists),
        }
    }
}

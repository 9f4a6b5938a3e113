//! `coin eval`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use coin::data::glue::{self, Split};
use coin::data::{DataError, Instance, Task};
use coin::eval::levels::CLEAN;
use coin::eval::{Evaluation, InstructionSet, Ledger, Preset, Summary, metrics, results, table};
use coin::model_folder;
use serde_json::json;

use super::model_arguments::{ModelArguments, data_folder, warn};
use super::{distinct, out_folder};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;

/// Whose details are followed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PresetName {
    /// The same examples at every level, and the training marker.
    Strict,
    /// The released program's.
    Paper,
}

/// Arguments of `coin eval`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// GLUE folder, DIR/{CoLA,SST-2,..}/dev.tsv and other forms, or a data set on the hub, such as `nyu-mll/glue`.
    #[arg(long)]
    glue: String,
    /// Instructions: {level: {task: [..]}}; our own clean and semantic ones where absent.
    #[arg(long)]
    prompts: Option<PathBuf>,
    /// Folder to write to.
    #[arg(long)]
    out: PathBuf,
    /// Tasks, comma separated; all ten where absent.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<String>,
    /// Levels, comma separated; all in the prompts file where absent. `clean` is always run.
    #[arg(long, value_delimiter = ',')]
    attacks: Vec<String>,
    /// Examples per task.
    #[arg(long, default_value_t = 300)]
    samples: usize,
    /// Seed of the choice of examples.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Whose details are followed.
    #[arg(long, value_enum, default_value_t = PresetName::Strict)]
    preset: PresetName,
    /// Generates all 7 tokens instead of stopping once the outcome is decided.
    #[arg(long)]
    full_decode: bool,
    /// Reports tasks whose files are absent instead of failing.
    #[arg(long)]
    allow_missing: bool,
    /// Tokens generated per prompt at most; 7 is the released program's. A tokenizer with few pieces needs more to
    /// write a label word.
    #[arg(long, default_value_t = 7)]
    max_new_tokens: usize,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let device = self.model.device()?;
        let (model_dir, adapter_dir) = self.model.folders()?;
        let instructions = match &self.prompts {
            Some(path) => InstructionSet::read(path).input()?,
            None => InstructionSet::glue(),
        };
        let names: Vec<String> = match self.tasks.is_empty() {
            true => Task::glue().into_iter().map(|task| task.name).collect(),
            false => distinct(&self.tasks),
        };
        let wanted = |name: &str| glue::is_file_of(name, &names, Split::Validation);
        let data = data_folder("--glue", &self.glue, &wanted, self.model.offline)?;
        let mut tasks = Vec::new();
        let mut examples: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
        for name in names {
            let task = Task::named(&name).input()?;
            match glue::read(&data, &name, Split::Validation) {
                Ok(instances) => {
                    examples.insert(name, instances);
                    tasks.push(task);
                }
                Err(error @ DataError::NotFound { .. }) if self.allow_missing => eprintln!("coin: left out: {error}"),
                Err(error) => return Err(error).input(),
            }
        }
        if tasks.is_empty() {
            return bad_input("no task left to evaluate");
        }
        let mut levels: Vec<String> = match self.attacks.is_empty() {
            true => instructions.level_names().into_iter().map(str::to_owned).collect(),
            false => distinct(&self.attacks),
        };
        if !levels.iter().any(|level| level == CLEAN) {
            levels.insert(0, CLEAN.to_owned());
        }
        let preset = match self.preset {
            PresetName::Strict => Preset::Strict,
            PresetName::Paper => Preset::Paper,
        };
        let evaluation = Evaluation {
            levels,
            samples: self.samples,
            seed: self.seed,
            preset,
            marker: preset.marker().to_owned(),
            full_decode: self.full_decode,
            max_new_tokens: self.max_new_tokens,
            ..Evaluation::new(tasks, instructions)
        };
        let format = self.model.format();
        let (mut model, warnings) =
            model_folder::for_evaluation(&model_dir, adapter_dir.as_deref(), format, &device).input()?;
        warn(&warnings);
        let instances = |task: &Task| Ok(examples.get(&task.name).cloned().unwrap_or_default());
        // Everything that can be wrong with the input is found before the first file is written.
        let texts = evaluation.input_texts(&instances).input()?;
        evaluation.check(&model, &instances).input()?;

        out_folder(&self.out)?;
        // Results of an earlier evaluation must not stand beside this one's.
        let old = self.out.join("results");
        if old.is_dir() {
            std::fs::remove_dir_all(&old).work()?;
        }
        let mut ledger = Ledger::create(self.out.join("ledger.jsonl")).work()?;
        let bar = progress::bar("evaluate", 0);
        let records = evaluation
            .run(&mut model, &instances, &mut ledger, &mut |done, total| {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            })
            .work()?;
        bar.finish();
        let run = metrics::score(run_name(&self), &records).work()?;
        results::write_examples(&self.out, &records, evaluation.max_new_tokens, |record| texts.get(record)).work()?;
        results::write_accuracies(&self.out, &run).work()?;
        let settings = json!({
            "command": "eval",
            "model": self.model.model,
            "adapter": self.model.adapter,
            "dtype": format.dtype,
            "quantization": format.quantization,
            "prompts": self.prompts,
            "glue": self.glue,
            "tasks": evaluation.tasks.iter().map(|task| &task.name).collect::<Vec<_>>(),
            "levels": evaluation.levels,
            "marker": evaluation.marker,
            "device": self.model.device,
            "samples": self.samples,
            "seed": self.seed,
            "preset": format!("{:?}", self.preset).to_lowercase(),
            "full_decode": self.full_decode,
            "max_new_tokens": self.max_new_tokens,
        });
        let summary = Summary::new(settings.as_object().cloned().unwrap_or_default(), vec![run]);
        summary.write(self.out.join("summary.json")).work()?;
        println!("{}", table::terminal(&summary));
        println!("Numbers: {}", self.out.join("summary.json").display());
        Ok(())
    }
}

/// The adapter's run folder names a run, or else the model's.
fn run_name(arguments: &Arguments) -> String {
    let folder = match &arguments.model.adapter {
        Some(adapter) => match Path::new(adapter) {
            folder if folder.ends_with("adapter") => folder.parent().unwrap_or(folder),
            folder => folder,
        },
        None => Path::new(&arguments.model.model),
    };
    folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

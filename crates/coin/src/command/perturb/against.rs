//! Search for perturbations against a model.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use coin::data::Task;
use coin::data::glue::{self, Split};
use coin::eval::{LanguageModel, TaskAccuracy};
use coin::model::{FloatType, Quantization};
use coin::model_folder;
use coin::perturb::search::{Search, SearchPlan, SearchRecord, SearchedSet, Step, json_lines, search_set};
use coin::perturb::{Attack, Instructions, LabelWords, files};

use crate::command::choice::{choices, name};
use crate::command::model_arguments::{ModelArguments, data_folder, warn};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;

/// Arguments of the search against a model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search against a model, instead of drawing at random")]
pub struct SearchArguments {
    /// Model: a folder in Hugging Face's layout, or a name on the hub.
    #[arg(long)]
    model: Option<String>,
    /// PEFT adapter: a folder, or a name on the hub.
    #[arg(long, requires = "model")]
    adapter: Option<String>,
    /// Dtype of weights and activations.
    #[arg(long, value_parser = choices::<FloatType>(), default_value = name(FloatType::F32))]
    dtype: FloatType,
    /// Quantizes the weights of the linear layers.
    #[arg(long, value_parser = choices::<Quantization>(), requires = "model")]
    quantize: Option<Quantization>,
    /// Device to compute on.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Uses only the cache for names on the hub, without network access.
    #[arg(long)]
    offline: bool,
    /// GLUE folder, or a data set on the hub, whose examples the instructions are scored on.
    #[arg(long, requires = "model")]
    glue: Option<String>,
    /// Number of examples per task that an instruction is scored on.
    #[arg(long, default_value_t = 50, requires = "model")]
    samples: usize,
    /// Maximum number of texts scored in the search for one instruction; unlimited by default.
    #[arg(long, requires = "model")]
    queries: Option<usize>,
    /// Maximum number of tokens generated per prompt.
    #[arg(long, default_value_t = 7)]
    max_new_tokens: usize,
}

impl SearchArguments {
    /// True if a model is given.
    pub fn is_given(&self) -> bool {
        self.model.is_some()
    }

    /// Runs the search. The second value is the path of the log, [`partial_log`] of `out`, with a line for every scored text.
    pub fn run(
        &self,
        clean: &Instructions,
        attacks: &[Box<dyn Attack>],
        label_words: &LabelWords,
        seed: u64,
        out: &Path,
    ) -> Result<(SearchedSet, PathBuf), Failure> {
        let (Some(model), Some(glue)) = (&self.model, &self.glue) else {
            return bad_input("--model requires --glue, whose examples the instructions are scored on");
        };
        let arguments = ModelArguments {
            model: model.clone(),
            adapter: self.adapter.clone(),
            dtype: self.dtype,
            quantize: self.quantize,
            device: self.device.clone(),
            offline: self.offline,
        };
        if self.queries == Some(0) || self.max_new_tokens == 0 {
            return bad_input("--queries and --max-new-tokens must be at least 1");
        }
        let names: Vec<String> = clean.keys().cloned().collect();
        let data =
            data_folder("--glue", glue, &|name| glue::is_file_of(name, &names, Split::Validation), arguments.offline)?;
        let mut tasks = BTreeMap::new();
        for name in &names {
            let instances = glue::read(&data, name, Split::Validation).input()?;
            let accuracy = TaskAccuracy::new(Task::named(name).input()?, &instances, self.samples, seed).input()?;
            tasks.insert(name.clone(), accuracy.with_max_new_tokens(self.max_new_tokens));
        }
        let device = arguments.device()?;
        let (folder, adapter) = arguments.folders()?;
        let (mut model, warnings) = model_folder::for_evaluation(
            &folder,
            adapter.as_deref(),
            arguments.format(),
            &device,
            model_folder::engine_options(&device),
        )
        .input()?;
        warn(&warnings);
        let scorer = format!("accuracy on at most {} examples a task, model {}", self.samples, model.fingerprint());
        let search = Search { query_budget: self.queries, ..Search::default() };
        let plan = SearchPlan { clean, attacks, label_words, seed, search: &search, scorer: &scorer };

        let path = partial_log(out);
        let writing = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(std::fs::File::create(&path).with_context(writing).input()?);
        let bar = progress::bar("search", (clean.values().map(Vec::len).sum::<usize>() * attacks.len()) as u64);
        let model = std::cell::RefCell::new(&mut model);
        let scorer_for = |task: &str| {
            let accuracy = tasks.get(task).cloned().ok_or_else(|| anyhow::anyhow!("task `{task}` has no examples"))?;
            let model = &model;
            Ok(move |texts: &[String]| accuracy.of_each(&mut **model.borrow_mut(), texts).map_err(anyhow::Error::new))
        };
        let found = {
            let mut write = json_lines(&mut file);
            let mut log = |record: &SearchRecord| {
                if record.step == Step::Clean {
                    bar.inc(1);
                    bar.message(&format!("{} {} {}", record.attack, record.task, record.index + 1));
                }
                write(record)
            };
            search_set(&plan, scorer_for, &mut log).work()?
        };
        let written = file.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        written.with_context(writing).work()?;
        bar.clear();
        for searched in &found.searches {
            println!(
                "{} {} {}: {:.1} % -> {:.1} % after {} queries",
                searched.attack,
                searched.task,
                searched.index + 1,
                100.0 * searched.outcome.clean_score,
                100.0 * searched.outcome.final_score,
                searched.outcome.queries
            );
        }
        Ok((found, path))
    }
}

/// The path of the log during a search. The log of an earlier search is kept until the new set is written. The log of an
/// interrupted search remains there.
pub fn partial_log(out: &Path) -> PathBuf {
    let mut name = OsString::from(files::search_log_path(out));
    name.push(".partial");
    PathBuf::from(name)
}

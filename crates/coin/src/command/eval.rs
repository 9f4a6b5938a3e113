//! `coin eval`

mod prompt_check;
mod prompt_parts;
mod remote;
mod task_choice;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use coin::data::{Component, Task};
use coin::eval::levels::CLEAN;
use coin::eval::llama::LlamaModel;
use coin::eval::openai::{OpenAiModel, Usage};
use coin::eval::parser::AnswerParser;
use coin::eval::{
    Bootstrap, Evaluation, InstructionSet, LanguageModel, Ledger, LongPrompts, Plan, Preset, Record, Summary, folder,
    metrics, statistics,
};
use coin::perturb::audit::AuditRecord;
use coin::stoppable::Stoppable;
use coin::{model_folder, report};
use prompt_check::PromptCheck;
use prompt_parts::{Built, PromptParts};
use remote::RemoteArguments;
use serde_json::json;
use task_choice::TaskChoice;

use super::choice::{choices, name};
use super::model_arguments::{ModelArguments, warn};
use super::{as_text, check_intervals, check_out_folder, claim_out_folder, distinct, shown};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;
use crate::signals::Signals;

/// Arguments of `coin eval`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    tasks: TaskChoice,
    #[command(flatten)]
    parts: PromptParts,
    /// Output folder. If it contains the ledger of the same evaluation, the evaluation resumes.
    #[arg(long)]
    out: PathBuf,
    /// Starts again instead of resuming from the ledger in the output folder.
    #[arg(long)]
    fresh: bool,
    /// Examples per task.
    #[arg(long, default_value_t = 300)]
    samples: usize,
    /// Seed of the choice of examples and demonstrations, and of perturbations made by this command.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Details of sampling and prompt format.
    #[arg(long, value_parser = choices::<Preset>(), default_value = name(Preset::Strict))]
    preset: Preset,
    /// Method that reads a class from an answer.
    #[arg(long, value_parser = choices::<AnswerParser>(), default_value = name(AnswerParser::Released))]
    scorer: AnswerParser,
    /// Generates all tokens instead of stopping once the outcome is decided.
    #[arg(long)]
    full_decode: bool,
    /// Maximum number of generated tokens per prompt; 7 is the value of the released program. A tokenizer with a small vocabulary
    /// needs more for a label word.
    #[arg(long, default_value_t = 7)]
    max_new_tokens: usize,
    /// Treatment of prompts that are too long for the model.
    #[arg(long, value_parser = choices::<LongPrompts>(), default_value = name(LongPrompts::Refuse))]
    long_prompts: LongPrompts,
    /// Maximum number of prompts per batch.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Bootstrap draws for 95 % intervals, 40 to 1,000,000; 0 for none.
    #[arg(long, default_value_t = Bootstrap::default().replicates)]
    intervals: usize,
    /// Tasks, comma separated, whose hidden states are saved in `representations.safetensors` and mapped in the report.
    #[arg(long, value_delimiter = ',')]
    representations: Vec<String>,
    #[command(flatten)]
    remote: RemoteArguments,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        check_intervals(self.intervals)?;
        if self.batch_size == Some(0) {
            return bad_input("--batch-size must be at least 1");
        }
        if self.remote.is_given() && self.long_prompts != LongPrompts::Refuse {
            return bad_input("--long-prompts: only the server knows the length of a prompt");
        }
        if self.remote.is_chat() && !self.scorer.generates() {
            return bad_input("--scorer: a chat server does not return likelihoods of given words");
        }
        check_out_folder(&self.out, &folder::ENTRIES)?;
        // A missing model is reported before the data are read.
        let local = match self.remote.is_given() {
            true => None,
            false => Some((self.model.device()?, self.model.folders()?)),
        };
        let chosen = self.tasks.read(self.model.offline, self.parts.shots_from())?;
        let Built { instructions, context, examples, made } = self.parts.build(&chosen, self.seed)?;
        let checked = self.check_prompts(&instructions, &chosen, &made)?;
        let evaluation = Evaluation {
            levels: self.parts.levels(&instructions),
            component: self.parts.component(),
            context,
            samples: self.samples,
            seed: self.seed,
            preset: self.preset,
            marker: self.preset.marker().to_owned(),
            parser: self.scorer,
            full_decode: self.full_decode,
            max_new_tokens: self.max_new_tokens,
            long_prompts: self.long_prompts,
            // A server does not return hidden states.
            hidden: !self.remote.is_given(),
            ..Evaluation::new(chosen.tasks.clone(), instructions)
        };
        let mut model = match (self.remote.model(&self.model.model)?, local) {
            (Some(remote), _) => Model::Remote(Box::new(remote)),
            (None, Some((device, folders))) => Model::Local(Box::new(self.open(&device, &folders)?)),
            (None, None) => return bad_input("--model or --endpoint is required"),
        };
        // Every error in the input is found before the first file is written.
        let mut plan =
            evaluation.plan(&|task: &Task| Ok(examples.get(&task.name).cloned().unwrap_or_default())).input()?;
        plan.fit(model.get()).input()?;
        if let Some(stray) =
            self.representations.iter().find(|name| chosen.tasks.iter().all(|task| task.name != **name))
        {
            return bad_input(format!("--representations {stray}: the task is not evaluated"));
        }
        if plan.left_out() > 0 {
            eprintln!("coin: warning: examples left out because they are too long for the model: {}", plan.left_out());
        }
        let _held = claim_out_folder(&self.out, &folder::ENTRIES)?;
        let signals = Signals::watch("stopping after this batch; its answers are kept")?;
        let mut kept = 0;
        let mut asked = Stoppable::new(model.get(), signals.stop());
        let answered = self.answer(&plan, &evaluation.tasks, &mut asked, &mut kept);
        let stopped = asked.stopped();
        if let Model::Remote(remote) = &model {
            eprintln!("coin: {}", remote::describe(&remote.usage()));
        }
        if stopped {
            return Err(signals.failure(&self.what_is_kept(kept, plan.total())));
        }
        let records = answered?;
        if !self.representations.is_empty() {
            let bar = progress::bar("hidden states", 0);
            let tasks = distinct(&self.representations);
            let mut asked = Stoppable::new(model.get(), signals.stop());
            let progress = &mut |done, total| bar.at(done as u64, total as u64);
            let written = folder::write_states(&self.out, &plan, &mut asked, &tasks, &records, progress);
            if asked.stopped() {
                return Err(signals.failure(&self.what_is_kept(kept, plan.total())));
            }
            written.work()?;
            bar.finish();
        }
        self.write(&plan, &evaluation, &mut model, &chosen, checked, &records)
    }

    /// Checks the instructions of a file or the texts `made` here, whichever the levels change, and warns of faults.
    fn check_prompts(
        &self,
        set: &InstructionSet,
        chosen: &task_choice::Chosen,
        made: &[AuditRecord],
    ) -> Result<PromptCheck, Failure> {
        let (levels, component) = (self.parts.levels(set), self.parts.component());
        let (found, warnings) = match self.parts.prompts() {
            _ if !from_file(component) => PromptCheck::of_records(made, &levels, component),
            Some(file) => PromptCheck::new(set, &chosen.tasks, &levels, Some(file)).input()?,
            None => return Ok(PromptCheck::default()),
        };
        warn(&warnings);
        Ok(found)
    }

    /// Loads the model in a folder.
    fn open(&self, device: &Device, (folder, adapter): &(PathBuf, Option<PathBuf>)) -> Result<LlamaModel, Failure> {
        let mut engine = model_folder::engine_options(device);
        engine.batch_size = self.batch_size.unwrap_or(engine.batch_size);
        let format = self.model.format();
        let opened = model_folder::for_evaluation(folder, adapter.as_deref(), format, device, engine);
        let (model, warnings) = opened.input()?;
        warn(&warnings);
        Ok(model)
    }

    /// The part of a stopped evaluation's message that describes the kept answers and how to resume.
    fn what_is_kept(&self, kept: usize, total: usize) -> String {
        let ledger = self.out.join(folder::LEDGER);
        let fresh = if self.fresh { " without --fresh" } else { "" };
        format!("with {kept} of {total} answers, kept in {}; the same command{fresh} resumes there", ledger.display())
    }

    /// Generates the answers that are missing in the ledger. Sets `kept` to the number of answers in the ledger.
    fn answer(
        &self,
        plan: &Plan<'_>,
        tasks: &[Task],
        model: &mut dyn LanguageModel,
        kept: &mut usize,
    ) -> Result<Vec<Record>, Failure> {
        let path = self.out.join(folder::LEDGER);
        let mut ledger = if self.fresh { Ledger::create(path).work()? } else { Ledger::open(path).input()? };
        let there = ledger.found().len();
        // If the ledger is refused, the folder stays unchanged.
        match plan.accepts(&*model, &ledger) {
            Err(coin::eval::EvalError::OtherLedger { path, message }) => {
                let advice = "use --fresh to start again, or choose another --out";
                return bad_input(format!("{}: {message}; {advice}", path.display()));
            }
            other => other.work()?,
        }
        if there < plan.total() {
            folder::begin(&self.out, plan, tasks).work()?;
        }
        if there > 0 {
            eprintln!("coin: {there} answers are in {} already", ledger.path().display());
        }
        let bar = progress::bar("evaluate", 0);
        let outcome = plan.run(model, &mut ledger, &mut |done, total| {
            *kept = done;
            bar.at(done as u64, total as u64);
        });
        bar.finish();
        outcome.work()
    }

    fn write(
        &self,
        plan: &Plan<'_>,
        evaluation: &Evaluation,
        model: &mut Model,
        chosen: &task_choice::Chosen,
        checked: PromptCheck,
        records: &[Record],
    ) -> Result<(), Failure> {
        let title = run_name(&self.model);
        let run = match self.intervals {
            0 => metrics::score_tasks(title, records, &evaluation.tasks),
            replicates => {
                let bootstrap = Bootstrap { replicates, ..Bootstrap::default() };
                statistics::score_with_intervals(title, records, &evaluation.tasks, bootstrap)
            }
        };
        let run = run.work()?;
        let shots = self.parts.shots();
        folder::finish(&self.out, plan, records, &run, shots).work()?;
        let near =
            records.iter().filter(|record| record.margin.is_some_and(|margin| margin < metrics::NEAR_TIE)).count();
        let format = self.model.format();
        let here = !self.remote.is_given();
        let settings = json!({
            "command": "eval",
            "model": self.model.model,
            "adapter": self.model.adapter,
            "fingerprint": model.get().fingerprint(),
            "endpoint": self.remote.endpoint(),
            "usage": model.usage(),
            "dtype": here.then_some(format.dtype),
            "quantization": format.quantization,
            "prompts": self.parts.prompts().map(as_text),
            "glue": chosen.glue,
            "tasks": evaluation.tasks.iter().map(|task| format!("{} version {}", task.name, task.version)).collect::<Vec<_>>(),
            "levels": evaluation.levels,
            "component": evaluation.component,
            "system": evaluation.context.system.get(CLEAN),
            "shots": shots,
            "marker": evaluation.marker,
            "device": here.then_some(&self.model.device),
            "task_files": chosen.task_files.iter().map(as_text).collect::<Vec<_>>(),
            "prompts_sha256": self.parts.prompts_sha256()?,
            "shots_from": self.parts.shots_from(),
            "intervals": self.intervals,
            "request": self.remote.request(),
            "samples": self.samples,
            "seed": self.seed,
            "preset": evaluation.preset,
            "scorer": evaluation.parser,
            "full_decode": self.full_decode,
            "max_new_tokens": self.max_new_tokens,
            "long_prompts": evaluation.long_prompts,
            "left_out": plan.left_out(),
            "shortened": records.iter().filter(|record| record.shortened).count(),
            "near_ties": here.then_some(near),
        });
        let mut settings = settings.as_object().cloned().unwrap_or_default();
        if !checked.is_empty() {
            settings.insert("prompts_check".to_owned(), checked.to_json());
        }
        if !chosen.skipped.is_empty() {
            settings.insert("skipped_rows".to_owned(), json!(chosen.skipped));
        }
        let unfinished = records.iter().filter(|record| record.is_unfinished_thought()).count();
        if unfinished > 0 {
            warn(&[format!(
                "{unfinished} of {} answers are thoughts that do not end within {} tokens; raise --max-new-tokens",
                records.len(),
                evaluation.max_new_tokens
            )]);
        }
        let summary = Summary::new(settings, vec![run]);
        summary.write(self.out.join("summary.json")).work()?;
        println!("{}", report::terminal(&summary));
        if near > 0 {
            println!(
                "{near} answers contain a near-tie: two tokens whose logits differ by less than {}",
                metrics::NEAR_TIE
            );
        }
        println!("Numbers: {}", shown(&self.out.join("summary.json")));
        Ok(())
    }
}

/// The evaluated model.
enum Model {
    Local(Box<LlamaModel>),
    Remote(Box<OpenAiModel>),
}

impl Model {
    fn get(&mut self) -> &mut dyn LanguageModel {
        match self {
            Model::Local(model) => &mut **model,
            Model::Remote(model) => &mut **model,
        }
    }

    fn usage(&self) -> Option<Usage> {
        match self {
            Model::Local(_) => None,
            Model::Remote(model) => Some(model.usage()),
        }
    }
}

/// The name of the run: that of the adapter's run folder, otherwise that of the model.
fn run_name(arguments: &ModelArguments) -> String {
    let folder = match &arguments.adapter {
        Some(adapter) => match Path::new(adapter) {
            folder if folder.ends_with("adapter") => folder.parent().unwrap_or(folder),
            folder => folder,
        },
        None => Path::new(&arguments.model),
    };
    folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The instructions of a file, or the built-in ones.
fn instruction_set(prompts: Option<&Path>) -> Result<InstructionSet, Failure> {
    match prompts {
        Some(path) => InstructionSet::read(path).input(),
        None => Ok(InstructionSet::glue()),
    }
}

/// `levels` with `clean` first.
fn with_clean(levels: &[String]) -> Vec<String> {
    let mut levels = distinct(levels);
    levels.retain(|level| level != CLEAN);
    levels.insert(0, CLEAN.to_owned());
    levels
}

/// True if the levels of `component` come from the prompts file; otherwise this command perturbs it.
fn from_file(component: Component) -> bool {
    component == Component::Instruction
}

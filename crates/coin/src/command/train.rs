//! `coin train`

use std::path::{Path, PathBuf};

use clap::Args;
use coin::core::CoreError;
use coin::hub::Files;
use coin::learning_curves;
use coin::loss::collective::{NetworkCollective, NetworkOptions};
use coin::report::Report;
use coin::train::{MemoryEstimate, Progress, RunConfig, RunOptions, TrainError, TrainOutcome, Trainer};
use coin::{data_parallel, device};

use super::model_arguments::{folder, warn};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;
use crate::signals::Signals;

/// Arguments of `coin train`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run file.
    #[arg(long)]
    config: PathBuf,
    /// Overrides a key of the run file, such as `train.seed=7`. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Resumes from the newest checkpoint of the run folder, if there is one.
    #[arg(long)]
    resume: bool,
    /// Checks everything and prints the resolved configuration, layers, steps and memory instead of training.
    #[arg(long)]
    dry_run: bool,
    /// Uses only the cache for names on the hub, without network access.
    #[arg(long)]
    offline: bool,
    /// Number of processes of a data-parallel run. Start each with its `--rank` and all with the same `--address`.
    #[arg(long, value_name = "N", requires_all = ["rank", "address"])]
    ranks: Option<usize>,
    /// Rank of this process, from 0 to `--ranks` minus 1. Rank 0 writes the run folder.
    #[arg(long, value_name = "R", requires = "ranks")]
    rank: Option<usize>,
    /// Address at which rank 0 listens for the other processes. Use a trusted network only.
    #[arg(long, value_name = "HOST:PORT", requires = "ranks")]
    address: Option<String>,
}

impl Arguments {
    /// True if this process is one of the `--ranks` of a run.
    pub fn joins_ranks(&self) -> bool {
        self.ranks.is_some()
    }

    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        if let Some((rank, ranks)) = self.rank.zip(self.ranks).filter(|(rank, ranks)| rank >= ranks) {
            return bad_input(format!("--rank {rank}: expected a number below --ranks {ranks}, counted from 0"));
        }
        let mut config = RunConfig::read(&self.config, &self.set).input()?;
        let of_hub = |option, path: &Path, files| folder(option, &path.to_string_lossy(), files, self.offline);
        let model = of_hub("model.path", &config.model.path, Files::Model)?;
        let adapter = config.model.adapter.as_deref().map(|path| of_hub("model.adapter", path, Files::Adapter));
        config.model.fetched = Some((model, adapter.transpose()?));
        let devices = device::all_named(&config.train.device).input()?;
        if self.ranks.is_some() && devices.len() > 1 {
            return bad_input("--ranks needs one device per process, but train.device names several");
        }
        let out = config.out.clone();
        if out.exists() && !out.is_dir() {
            return bad_input(format!("out = {}: expected a folder, found a file", out.display()));
        }
        let trainer = Trainer::new(config, &devices[0]).input()?;
        warn(trainer.warnings());
        let changed = trainer.changed();
        for (count, what) in [
            (changed.shortened, "texts are longer than data.max_tokens; the middle of their prompt is cut"),
            (changed.cut, "texts are longer than data.max_tokens; the end of their answer is cut"),
            (changed.skipped, "pairs are left out because they or their partners are longer than data.max_tokens"),
        ] {
            if count > 0 {
                eprintln!("coin: {count} {what}");
            }
        }
        warn(&trainer.contrast_warnings().input()?);
        if self.dry_run {
            print!("{}", trainer.resolved().work()?);
            println!();
            print!("{}", MemoryEstimate::table(&trainer));
            return Ok(());
        }
        trainer.check_folder(self.resume).input()?;
        if self.resume && trainer.is_finished().input()? {
            println!("{}: the run is finished; there is nothing left to do", out.display());
            return Ok(());
        }
        let signals = Signals::watch("stopping after this step, with a checkpoint")?;
        let steps = trainer.steps();
        let bar = progress::bar("train", steps as u64);
        let mut held_out = Vec::new();
        let options = RunOptions { resume: self.resume, stop: Some(signals.stop()) };
        let show = |event: &Progress| {
            progress::training(&bar, event);
            if let Progress::Validation(metrics) = event {
                held_out.push(metrics.clone());
            }
        };
        let outcome = match self.ranks.zip(self.rank).zip(self.address) {
            Some(((ranks, rank), address)) => {
                let session = trainer.session().input()?;
                let meeting = NetworkOptions { session, ..NetworkOptions::new(address, rank, ranks) };
                let collective = NetworkCollective::connect(&meeting).work()?;
                trainer.run_as(&collective, options, show)
            }
            None => data_parallel::run(trainer, &devices, options, show),
        };
        let outcome = outcome.map_err(|error| match error {
            TrainError::Core(CoreError::Locked { .. } | CoreError::ForeignFolder { .. }) => {
                Failure::Input(error.into())
            }
            _ => Failure::Work(error.into()),
        })?;
        bar.finish();
        let stopped = match outcome {
            TrainOutcome::Finished(_) => None,
            TrainOutcome::Stopped(step) => {
                let kept = format!("after step {step} of {steps}, with a checkpoint; resume with --resume");
                Some(signals.failure(&kept))
            }
        };
        if self.rank.is_some_and(|rank| rank > 0) {
            return stopped.map_or(Ok(()), Err);
        }
        for metrics in held_out {
            println!(
                "held out, after step {}: generation loss {:.4}, ranking accuracy {} (hard negative {}), cosine {:.4} (negatives {})",
                metrics.step,
                metrics.loss_generation,
                progress::percent(metrics.contrastive_accuracy, 1),
                progress::percent(metrics.hard_negative_accuracy, 1),
                metrics.similarity_positive,
                progress::number(metrics.similarity_negative, 4)
            );
        }
        let report = write_report(&out);
        if stopped.is_none() {
            println!("adapter written to {}", out.join("adapter").display());
            if report.is_ok() {
                println!("learning curves in {}", out.join("report.html").display());
            }
        }
        // The adapter is written even if the report is not.
        if let Err(failure) = report {
            warn(&[format!("the report could not be written: {failure}")]);
        }
        stopped.map_or(Ok(()), Err)
    }
}

/// Writes `report.html` of the run folder `out`.
fn write_report(out: &Path) -> Result<(), Failure> {
    let name = out.file_name().map_or("run".to_owned(), |name| name.to_string_lossy().into_owned());
    let curves = vec![learning_curves::read(out, &name).work()?];
    let summary = learning_curves::settings_only(out).work()?;
    Report { curves, ..Report::new(summary) }.write_html(out.join("report.html")).work()
}

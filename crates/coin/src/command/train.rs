//! `coin train`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use coin::hub::Files;
use coin::train::estimate::MemoryEstimate;
use coin::train::{Outcome, Progress, RunConfig, RunOptions, Trainer};

use super::device_named;
use super::model_arguments::{folder, warn};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;

/// Arguments of `coin train`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run file.
    #[arg(long)]
    config: PathBuf,
    /// Changes a key of the run file, such as `train.seed=7`; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Goes on from the newest checkpoint of the run folder, if there is one.
    #[arg(long)]
    resume: bool,
    /// Checks everything and prints the resolved configuration, the layers, the steps and the memory instead of training.
    #[arg(long)]
    dry_run: bool,
    /// Takes names on the hub from the cache, without network.
    #[arg(long)]
    offline: bool,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let mut config = RunConfig::read(&self.config, &self.set).input()?;
        let of_hub = |option, path: &Path, files| folder(option, &path.to_string_lossy(), files, self.offline);
        let model = of_hub("model.path", &config.model.path, Files::Model)?;
        let adapter = config.model.adapter.as_deref().map(|path| of_hub("model.adapter", path, Files::Adapter));
        config.model.fetched = Some((model, adapter.transpose()?));
        let device = device_named(&config.train.device)?;
        let out = config.out.clone();
        if out.exists() && !out.is_dir() {
            return bad_input(format!("out = {}: a file is in the way, expected a folder", out.display()));
        }
        let trainer = Trainer::new(config, &device).input()?;
        warn(trainer.warnings());
        let (shortened, texts) = trainer.shortened();
        if shortened > 0 {
            eprintln!(
                "coin: {shortened} of {texts} texts are longer than data.max_tokens and lose their prompt's middle"
            );
        }
        if self.dry_run {
            print!("{}", trainer.resolved().work()?);
            println!();
            print!("{}", MemoryEstimate::table(&trainer));
            return Ok(());
        }
        trainer.check_folder(self.resume).input()?;
        let stop = watch_signals()?;
        let bar = progress::bar("train", trainer.steps() as u64);
        let mut held_out = Vec::new();
        let options = RunOptions { resume: self.resume, stop: Some(&stop) };
        let outcome = trainer
            .run(options, |event| {
                progress::training(&bar, event);
                if let Progress::Validation(metrics) = event {
                    held_out.push(metrics.clone());
                }
            })
            .work()?;
        bar.finish();
        for metrics in held_out {
            println!(
                "held out, step {}: generation loss {:.4}, ranking accuracy {:.1}% (hard negative {:.1}%), cosine {:.4} (negatives {:.4})",
                metrics.step,
                metrics.loss_generation,
                metrics.contrastive_accuracy * 100.0,
                metrics.hard_negative_accuracy * 100.0,
                metrics.similarity_positive,
                metrics.similarity_negative
            );
        }
        match outcome {
            Outcome::Finished(_) => println!("adapter written to {}", out.join("adapter").display()),
            Outcome::Stopped(step) => println!("stopped after step {step}; go on with --resume"),
        }
        Ok(())
    }
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process at once.
fn watch_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("coin: stopping after this step, with a checkpoint");
    })
    .work()?;
    Ok(stop)
}

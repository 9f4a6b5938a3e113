//! `coin demo`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use coin::demo::{Demo, DemoProgress};
use coin::report;

use super::{claim_out_folder, device_named, shown};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;
use crate::signals::Signals;

/// Arguments of `coin demo`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Output folder.
    #[arg(long, default_value = "coin-demo")]
    out: PathBuf,
    /// Seed of pairs, adapters, order, dropout, perturbations and choice of examples.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Device to compute on.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Evaluates 300 examples per task, as in the paper, instead of 50.
    #[arg(long)]
    full: bool,
    /// Optimizer steps of each training run [default: 200].
    #[arg(long)]
    steps: Option<usize>,
    /// Evaluation examples per task [default: 50].
    #[arg(long, conflicts_with = "full")]
    samples: Option<usize>,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let device = device_named(&self.device)?;
        if self.out.to_str().is_none() {
            let out = self.out.display();
            return bad_input(format!(
                "--out {out}: not UTF-8, but the run files in the folder contain this path as text"
            ));
        }
        let mut demo = Demo::new(&self.out);
        demo.seed = self.seed;
        demo.device.clone_from(&self.device);
        demo.steps = self.steps.unwrap_or(demo.steps);
        demo.samples = if self.full { 300 } else { self.samples.unwrap_or(demo.samples) };
        for (name, value) in [("--steps", demo.steps), ("--samples", demo.samples)] {
            if value == 0 {
                return bad_input(format!("{name} must be at least 1"));
            }
        }
        demo.check().with_context(|| format!("--out {}", self.out.display())).input()?;
        // Fails before any work if the folder cannot be created or is locked; the demo claims it again.
        drop(claim_out_folder(&self.out, &Demo::ENTRIES)?);
        let signals = Signals::watch("stopping after this step or batch")?;
        let start = Instant::now();
        let mut current: Option<(String, progress::Bar)> = None;
        let summary = demo
            .run(&device, signals.stop(), |event| {
                let (title, total) = match &event {
                    DemoProgress::Training(name, _) => (format!("tune {name}"), 0),
                    DemoProgress::Evaluating(name, _, total) => (format!("evaluate {name}"), *total as u64),
                };
                if current.as_ref().is_none_or(|(known, _)| *known != title) {
                    if let Some((_, bar)) = current.take() {
                        bar.finish();
                    }
                    let bar = progress::bar(&title, total);
                    current = Some((title, bar));
                }
                let Some((_, bar)) = &current else { return };
                match event {
                    DemoProgress::Training(_, event) => progress::training(bar, event),
                    DemoProgress::Evaluating(_, done, total) => bar.at(done as u64, total as u64),
                }
            })
            .work()?;
        if let Some((_, bar)) = current.take() {
            bar.finish();
        }
        let Some(summary) = summary else {
            let out = self.out.display();
            return Err(signals.failure(&format!(
                "before the demo ended; {out} keeps the files written so far, without a summary, and the next coin demo starts from the beginning"
            )));
        };
        println!("{}", report::terminal(&summary));
        println!("Report:  {}", shown(&self.out.join("report.html")));
        println!("Numbers: {}", shown(&self.out.join("summary.json")));
        eprintln!("done in {:.0} s", start.elapsed().as_secs_f64());
        Ok(())
    }
}

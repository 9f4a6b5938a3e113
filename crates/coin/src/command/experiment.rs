//! `coin experiment`
//!
//! Every unit (an arm with a seed) runs in a process of its own, a hidden form of this command, so that units share no thread
//! pool and a failed one does not affect the others. The process receives its settings as the first line of standard input,
//! and reports its progress on standard output. The line `stop` asks it to stop at a safe point. If standard input ends, the
//! parent is gone, and the process ends immediately.

mod processes;

use std::io::{BufRead, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Args;
use coin::device;
use coin::experiment::{Experiment, Share, Unit, UnitProgress, UnitSettings};
use coin::report::tables;
use signal_hook::consts::SIGTERM;

use self::processes::{Ended, Processes};
use super::model_arguments::warn;
use super::shown;
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;
use crate::signals::Signals;

/// Arguments of `coin experiment`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The experiment file.
    #[arg(long, required_unless_present = "unit")]
    config: Option<PathBuf>,
    /// Output folder, instead of the one in the file. Finished runs in it are not repeated.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number of runs at the same time. Each has an equal share of the processor's cores.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Runs only the I-th of N shares of the runs, as a member of a job array. The member that finishes the last run writes the
    /// tables; otherwise the same command without this option does.
    #[arg(long, value_name = "I/N")]
    only: Option<Share>,
    /// Runs one unit, whose settings are the first line of standard input. Used by the command itself.
    #[arg(long, hide = true, conflicts_with_all = ["config", "out", "jobs", "only"])]
    unit: bool,
}

/// The share of a unit's progress that is training, in percent.
const TRAINING: u64 = 60;

impl Arguments {
    /// True if several processes of a launcher may run the command: each has its share.
    pub fn is_share(&self) -> bool {
        self.unit || self.only.is_some()
    }

    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let Some(config) = self.config.as_deref().filter(|_| !self.unit) else { return run_unit() };
        if self.jobs == 0 {
            return bad_input("--jobs must be at least 1");
        }
        let experiment = Experiment::read(config, self.out.as_deref()).input()?;
        let units = experiment.units();
        for unit in &units {
            device::all_named(&unit.settings.device).with_context(|| format!("arm `{}`", unit.arm)).input()?;
        }
        experiment.check().input()?;
        drop(experiment.claim().input()?);
        let out = &experiment.out;
        let of_share = |place: usize| self.only.is_none_or(|share| share.contains(place));
        let open = units.iter().enumerate().filter(|(place, unit)| of_share(*place) && !unit.is_finished(out));
        let open: Vec<&Unit> = open.map(|(_, unit)| unit).collect();
        experiment.prepare(&open).work()?;
        if !open.is_empty() {
            run_units(&open, units.len(), out, self.jobs)?;
        }
        let missing: Vec<&str> =
            units.iter().filter(|unit| !unit.is_finished(out)).map(|unit| unit.name.as_str()).collect();
        if !missing.is_empty() {
            let finished = units.len() - missing.len();
            println!("{finished} of {} runs are finished; missing: {}", units.len(), missing.join(", "));
            return Ok(());
        }
        let report = experiment.collect().work()?;
        experiment.write(&report).work()?;
        println!("{}", tables::arms(&report.summary).to_text());
        for (title, name) in [("Table:  ", "table.md"), ("Report: ", "report.html"), ("Numbers:", "summary.json")] {
            println!("{title} {}", shown(&out.join(name)));
        }
        Ok(())
    }
}

/// Runs the units in processes, `jobs` at a time. A failed unit does not stop the others.
fn run_units(open: &[&Unit], all: usize, out: &Path, jobs: usize) -> Result<(), Failure> {
    let signals = Signals::watch("stopping every run at a safe point")?;
    let total = 100 * open.len() as u64;
    let bar = progress::bar("experiment", total);
    let mut processes = Processes::new(out, jobs);
    let (mut waiting, mut failed, mut ended) = (open.iter(), Vec::new(), 0);
    // The progress of every unit in percent, and a description of the running ones.
    let mut percents = vec![0; open.len()];
    let mut stopping = false;
    loop {
        if signals.stop().load(Ordering::Relaxed) && !stopping {
            stopping = true;
            processes.stop();
        }
        while !stopping && processes.has_room() {
            let Some(unit) = waiting.next() else { break };
            let place = open.len() - waiting.len() - 1;
            processes.start(place, &unit.settings).with_context(|| unit.name.clone()).work()?;
        }
        if processes.is_empty() {
            break;
        }
        for event in processes.events() {
            match event {
                processes::Event::Progress(place, done) => {
                    percents[place] = percent(&done, open[place].settings.run.is_some());
                    bar.message(&describe(&open[place].name, &done));
                }
                processes::Event::Line(place, line) => bar.say(&format!("{}: {line}", open[place].name)),
                processes::Event::Ended(place, Ended { success, refused, message }) => {
                    ended += 1;
                    if success {
                        percents[place] = 100;
                        bar.say(&format!("coin: {} is finished ({ended} of {})", open[place].name, open.len()));
                    } else if !stopping {
                        failed.push((refused, format!("{}: {message}", open[place].name)));
                    }
                }
            }
        }
        bar.at(percents.iter().sum(), total);
    }
    bar.finish();
    if stopping {
        let finished = all - open.iter().filter(|unit| !unit.is_finished(out)).count();
        return Err(signals.failure(&format!(
            "with {finished} of {all} runs finished; {} keeps them and the parts of the others, and the same command resumes there",
            out.display()
        )));
    }
    let refused = failed.iter().all(|(refused, _)| *refused);
    let messages: Vec<String> = failed.into_iter().map(|(_, message)| message).collect();
    match messages.as_slice() {
        [] => Ok(()),
        [message] if refused => bad_input(message),
        messages if refused => bad_input(messages.join("; ")),
        messages => {
            let (count, of, messages) = (messages.len(), open.len(), messages.join("; "));
            Err(Failure::Work(anyhow::anyhow!(
                "{count} of {of} runs failed: {messages}; the same command repeats only what is missing"
            )))
        }
    }
}

/// The progress of a unit in percent.
fn percent(done: &UnitProgress, trains: bool) -> u64 {
    let before = if trains { TRAINING } else { 0 };
    let share = |done: usize, total: usize, of: u64| of * done as u64 / total.max(1) as u64;
    match done {
        UnitProgress::Training(done, total) => share(*done, *total, TRAINING),
        UnitProgress::Evaluating(done, total) => before + share(*done, *total, 100 - before),
        UnitProgress::Warning(_) => 0,
    }
}

fn describe(name: &str, done: &UnitProgress) -> String {
    match done {
        UnitProgress::Training(done, total) => format!("{name}: step {done} of {total}"),
        UnitProgress::Evaluating(done, total) => format!("{name}: answer {done} of {total}"),
        UnitProgress::Warning(warning) => format!("{name}: {warning}"),
    }
}

/// Runs the unit whose settings are the first line of standard input.
fn run_unit() -> Result<(), Failure> {
    let mut line = String::new();
    stdin().lock().read_line(&mut line).context("cannot read the unit's settings").input()?;
    let text: String = serde_json::from_str(&line).context("the first line is not a unit's settings").input()?;
    let settings: UnitSettings = toml::from_str(&text).context("the first line is not a unit's settings").input()?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if line == processes::STOP {
                asked.store(true, Ordering::Relaxed);
            }
        }
        std::process::exit(1);
    });
    let finished = settings.run(&stop, &mut |event| match event {
        UnitProgress::Training(done, total) => println!("{} {done} {total}", processes::TRAINING),
        UnitProgress::Evaluating(done, total) => println!("{} {done} {total}", processes::EVALUATING),
        UnitProgress::Warning(warning) => warn(&[warning]),
    });
    match finished.work()? {
        true => Ok(()),
        false => Err(Failure::Stopped { signal: SIGTERM as u8, message: "stopped at a safe point".to_owned() }),
    }
}

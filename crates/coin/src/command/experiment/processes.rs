//! The processes of the units of an experiment.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use coin::experiment::{UnitProgress, UnitSettings};

/// The line that asks a process to stop at a safe point.
pub const STOP: &str = "stop";

/// The first word of a line about finished optimizer steps.
pub const TRAINING: &str = "training";

/// The first word of a line about finished answers.
pub const EVALUATING: &str = "evaluating";

/// Maximum time between two looks at signals.
const WAIT: Duration = Duration::from_millis(50);

/// What a process reports. The number is the place of its unit.
pub enum Event {
    /// Its progress.
    Progress(usize, UnitProgress),
    /// A line on its standard error.
    Line(usize, String),
    /// Its end.
    Ended(usize, Ended),
}

/// The end of a process.
pub struct Ended {
    /// True if the unit is finished.
    pub success: bool,
    /// True if the process refused its input.
    pub refused: bool,
    /// The error message. Empty after a success.
    pub message: String,
}

/// The running processes.
pub struct Processes {
    folder: PathBuf,
    most: usize,
    /// The place of each running unit, and the standard input of its process, which ends when this is dropped.
    running: Vec<(usize, ChildStdin)>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Processes {
    /// No process yet. At most `most` will run at the same time, in `folder`.
    pub fn new(folder: &Path, most: usize) -> Self {
        let (sender, receiver) = channel();
        Processes { folder: folder.to_owned(), most, running: Vec::new(), sender, receiver }
    }

    /// True if another process may start.
    pub fn has_room(&self) -> bool {
        self.running.len() < self.most
    }

    /// True if no process runs.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Asks every process to stop at a safe point.
    pub fn stop(&mut self) {
        for (_, stdin) in &mut self.running {
            // A process that has ended cannot read.
            let _ = writeln!(stdin, "{STOP}").and_then(|()| stdin.flush());
        }
    }

    /// Starts the process of the unit at `place`.
    pub fn start(&mut self, place: usize, unit: &UnitSettings) -> Result<()> {
        let mut command = Command::new(own_program()?);
        command.args(["experiment", "--unit"]).current_dir(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Results do not depend on the number of threads.
        if self.most > 1 && std::env::var_os(THREADS).is_none() {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            command.env(THREADS, (cores / self.most).max(1).to_string());
        }
        // A signal from the terminal reaches only this process, which asks the others to stop.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().context("cannot start a process")?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            anyhow::bail!("a process was started without pipes");
        };
        let settings = serde_json::to_string(&toml::to_string(unit).context("cannot write the settings")?)?;
        // If this fails, the process has ended, and its end is reported with its message.
        let _ = writeln!(stdin, "{settings}").and_then(|()| stdin.flush());
        self.running.push((place, stdin));
        let sender = self.sender.clone();
        thread::spawn(move || watch(place, child, stdout, stderr, &sender));
        Ok(())
    }

    /// Waits a moment for events, and returns those that came.
    pub fn events(&mut self) -> Vec<Event> {
        let first = self.receiver.recv_timeout(WAIT).ok();
        let events: Vec<Event> = first.into_iter().chain(self.receiver.try_iter()).collect();
        for event in &events {
            if let Event::Ended(place, _) = event {
                self.running.retain(|(running, _)| running != place);
            }
        }
        events
    }
}

/// The file of this program. On Linux it stays the same if the program is replaced by another version in the meantime.
fn own_program() -> Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    match cfg!(target_os = "linux") && running.exists() {
        true => Ok(running.to_owned()),
        false => std::env::current_exe().context("cannot find the program's own file"),
    }
}

/// The variable with the number of threads of a process's pool.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Sends what a process reports, and its end.
fn watch(
    place: usize,
    mut child: Child,
    stdout: impl Read,
    stderr: impl Read + Send + 'static,
    sender: &Sender<Event>,
) {
    let lines_to = sender.clone();
    let errors = thread::spawn(move || {
        let mut last: Option<String> = None;
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // The last line of a failed process is its error, which is reported at its end.
            if let Some(line) = last.replace(line) {
                let _ = lines_to.send(Event::Line(place, line));
            }
        }
        last
    });
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some(progress) = parse(&line) {
            let _ = sender.send(Event::Progress(place, progress));
        }
    }
    let last = errors.join().unwrap_or_default();
    let ended = match child.wait() {
        Ok(status) if status.success() => {
            if let Some(line) = last {
                let _ = sender.send(Event::Line(place, line));
            }
            Ended { success: true, refused: false, message: String::new() }
        }
        Ok(status) => {
            let message = last.map(|line| line.strip_prefix("coin: ").unwrap_or(&line).to_owned());
            let message = message.unwrap_or_else(|| format!("the process ended with {status}"));
            Ended { success: false, refused: status.code() == Some(2), message }
        }
        Err(error) => Ended { success: false, refused: false, message: error.to_string() },
    };
    let _ = sender.send(Event::Ended(place, ended));
}

/// Parses a line of progress.
fn parse(line: &str) -> Option<UnitProgress> {
    let mut words = line.split(' ');
    let (kind, done, total) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    match kind {
        TRAINING => Some(UnitProgress::Training(done, total)),
        EVALUATING => Some(UnitProgress::Evaluating(done, total)),
        _ => None,
    }
}

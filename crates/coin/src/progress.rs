//! Progress of long commands on standard error: a bar on a terminal, otherwise lines at intervals.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coin::core::quote::printable;
use coin::train::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Number of lines for a job without a terminal, unless it is slow.
const LINES: u64 = 20;

/// Minimum time between two lines, except for the last.
const SHORTEST: Duration = Duration::from_secs(1);

/// Maximum time between two lines of a slow job.
const LONGEST: Duration = Duration::from_secs(60);

/// The progress of one job. Clones refer to the same job.
#[derive(Debug, Clone)]
pub struct Bar {
    bar: ProgressBar,
    lines: Arc<Mutex<Lines>>,
}

/// A bar with `total` units; [`Bar::at`] can change the total.
pub fn bar(title: &str, total: u64) -> Bar {
    let style = ProgressStyle::with_template("{prefix:>16} [{bar:30}] {pos}/{len} {elapsed} ({eta} left) {msg}");
    let bar = ProgressBar::new(total).with_prefix(title.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    Bar::new(bar, style, Lines::new(title, Unit::Count))
}

/// A bar that counts bytes, with the name of a file as its message.
pub fn bytes() -> Bar {
    let style = ProgressStyle::with_template("{msg:>32} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} ({eta} left)");
    Bar::new(ProgressBar::new(0), style, Lines::new("download", Unit::Bytes))
}

impl Bar {
    fn new(bar: ProgressBar, style: Result<ProgressStyle, impl Sized>, lines: Lines) -> Bar {
        let bar = match style {
            Ok(style) => bar.with_style(style.progress_chars("=> ")),
            Err(_) => bar,
        };
        Bar { bar, lines: Arc::new(Mutex::new(lines)) }
    }

    /// Sets the finished units and the total.
    pub fn at(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.bar.is_hidden()
            && let Some(line) = self.lines().at(done, total, Instant::now())
        {
            eprintln!("{line}");
        }
    }

    /// Adds `more` finished units.
    pub fn inc(&self, more: u64) {
        self.at(self.bar.position() + more, self.bar.length().unwrap_or(0));
    }

    /// Starts another part of the job, such as a file, with `done` of its `total` units finished.
    pub fn begin(&self, name: &str, done: u64, total: u64) {
        self.message(name);
        self.lines().begin(name, done);
        self.at(done, total);
    }

    /// Shows `message` after the bar.
    pub fn message(&self, message: &str) {
        self.bar.set_message(printable(message).into_owned());
    }

    /// Writes a line above the bar.
    pub fn say(&self, line: &str) {
        match self.bar.is_hidden() {
            true => eprintln!("{line}"),
            false => self.bar.println(line),
        }
    }

    /// Ends the bar and leaves it on the terminal.
    pub fn finish(&self) {
        self.bar.finish();
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The unit of a job's progress.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Count,
    Bytes,
}

/// The lines that are written without a terminal.
#[derive(Debug)]
struct Lines {
    title: String,
    unit: Unit,
    created: Instant,
    /// The time when the job's work started, and the units finished before it.
    first: Option<(Instant, u64)>,
    /// The time of the last line, and the units finished then.
    last: Option<(Instant, u64)>,
}

impl Lines {
    fn new(title: &str, unit: Unit) -> Lines {
        Lines { title: title.to_owned(), unit, created: Instant::now(), first: None, last: None }
    }

    fn begin(&mut self, name: &str, done: u64) {
        let now = Instant::now();
        self.title = format!("download {}", printable(name));
        (self.first, self.last) = (Some((now, done)), Some((now, done)));
    }

    /// True if a line is due: after each twentieth of the job, after a minute without a line, and at the end.
    fn due(&mut self, done: u64, total: u64, now: Instant) -> bool {
        // A resumed job first reports units that are not its own work. Another job first reports one finished unit.
        let first = *self.first.get_or_insert(if done == 1 { (self.created, 0) } else { (now, done) });
        let (at, before) = *self.last.get_or_insert(first);
        let due = done > before
            && (done == total || done - before >= total.div_ceil(LINES).max(1) || now.duration_since(at) >= LONGEST);
        if due {
            self.last = Some((now, done));
        }
        due
    }

    /// Returns the line if one is due.
    fn at(&mut self, done: u64, total: u64, now: Instant) -> Option<String> {
        let last = self.last.map_or(self.created, |(at, _)| at);
        if self.first.is_some() && done < total && now.duration_since(last) < SHORTEST || !self.due(done, total, now) {
            return None;
        }
        let (start, before) = self.first.unwrap_or((now, 0));
        let seconds = now.duration_since(start).as_secs_f64();
        let rate = (done - before) as f64 / seconds.max(1e-9);
        let count = |count: u64| match self.unit {
            Unit::Count => count.to_string(),
            Unit::Bytes => indicatif::HumanBytes(count).to_string(),
        };
        let rate_shown = match self.unit {
            Unit::Count => rounded(rate),
            Unit::Bytes => indicatif::HumanBytes(rate as u64).to_string(),
        };
        let title = &self.title;
        let done_shown = format!("{title}: {} of {}", count(done), count(total));
        Some(match total.checked_sub(done) {
            Some(left) if left > 0 => {
                let percent = 100 * done / total;
                format!("{done_shown} ({percent} %), {rate_shown} a second, {} left", time(left as f64 / rate))
            }
            Some(_) => format!("{done_shown} in {}, {rate_shown} a second", time(seconds)),
            // A server may not report the size of a file.
            None => format!("{title}: {}, {rate_shown} a second", count(done)),
        })
    }
}

/// A rate with three significant digits.
fn rounded(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate if rate >= 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

/// A time in a readable unit.
fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A measure with this number of decimals, or `-` if it is undefined because no pair had a negative.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// A share in percent; see [`number`].
pub fn percent(share: Option<f64>, decimals: usize) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.decimals$}%", share * 100.0))
}

/// Shows the progress of a training run on `bar`, or as lines of text if standard error is not a terminal.
pub fn training(bar: &Bar, event: &Progress) {
    if bar.bar.is_hidden() {
        return training_lines(bar, event);
    }
    match event {
        Progress::Step(step, total) => {
            bar.at(step.step as u64 + 1, *total as u64);
            bar.message(&format!(
                "generation {:.3}  contrastive {}  ranking {}  rate {:.1e}",
                step.loss_generation,
                number(step.loss_contrastive, 3),
                percent(step.contrastive_accuracy, 0),
                step.lr
            ));
        }
        Progress::Resumed(step) => {
            bar.bar.set_position(*step as u64);
            bar.bar.reset_eta();
            bar.say(&format!("{:>16} after step {step}", "resumed"));
        }
        Progress::Checkpoint(step) => bar.say(&format!("{:>16} after step {step}", "checkpoint")),
        Progress::Validation(metrics) => bar.say(&format!(
            "{:>16} after step {}: generation {:.4}, ranking accuracy {}",
            "held out",
            metrics.step,
            metrics.loss_generation,
            percent(metrics.contrastive_accuracy, 1)
        )),
    }
}

/// The same as lines: one for some of the steps, and one for each other event.
fn training_lines(bar: &Bar, event: &Progress) {
    match event {
        Progress::Step(step, total) => {
            if bar.lines().due(step.step as u64 + 1, *total as u64, Instant::now()) {
                eprintln!(
                    "step {}/{total}: generation {:.4}, contrastive {}, ranking {}, rate {:.1e}, {:.2} s a step, {} left",
                    step.step + 1,
                    step.loss_generation,
                    number(step.loss_contrastive, 4),
                    percent(step.contrastive_accuracy, 0),
                    step.lr,
                    step.seconds,
                    time(step.seconds * (total - step.step - 1) as f64)
                );
            }
        }
        Progress::Resumed(step) => eprintln!("resumed after step {step}"),
        Progress::Checkpoint(step) => eprintln!("checkpoint after step {step}"),
        Progress::Validation(metrics) => eprintln!(
            "held out after step {}: generation {:.4}, ranking {}",
            metrics.step,
            metrics.loss_generation,
            percent(metrics.contrastive_accuracy, 1)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_twenty_lines_with_rate_and_time_left() {
        let (start, mut lines) = (Instant::now(), Lines::new("evaluate", Unit::Count));
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(lines.at(0, 900, at(0)), None);
        let shown: Vec<String> = (1..=900).filter_map(|done| lines.at(done, 900, at(done / 10))).collect();
        assert_eq!(shown.len(), 20);
        assert_eq!(shown[0], "evaluate: 45 of 900 (5 %), 11.2 a second, 76 s left");
        assert_eq!(shown[19], "evaluate: 900 of 900 in 2 min, 10.0 a second");
    }

    #[test]
    fn units_finished_before_a_resumed_job_do_not_count() {
        let (start, mut lines) = (Instant::now(), Lines::new("evaluate", Unit::Count));
        assert_eq!(lines.at(600, 1000, start), None);
        let line = lines.at(700, 1000, start + Duration::from_secs(100)).unwrap();
        assert_eq!(line, "evaluate: 700 of 1000 (70 %), 1.00 a second, 5 min left");
    }

    #[test]
    fn a_slow_job_writes_a_line_a_minute() {
        let (start, mut lines) = (Instant::now(), Lines::new("search", Unit::Count));
        let times = (0..=100).filter_map(|done| lines.at(done, 100_000, start + Duration::from_secs(7 * done)));
        assert_eq!(times.count(), 11);
    }

    #[test]
    fn bytes_and_times_have_readable_units() {
        let (start, mut lines) = (Instant::now(), Lines::new("download", Unit::Bytes));
        assert_eq!(lines.at(0, 1 << 30, start), None);
        let line = lines.at(1 << 28, 1 << 30, start + Duration::from_secs(64)).unwrap();
        assert_eq!(line, "download: 256.00 MiB of 1.00 GiB (25 %), 4.00 MiB a second, 3 min left");
        assert_eq!([30.0, 300.0, 9000.0].map(time), ["30 s", "5 min", "2.5 h"]);
    }
}

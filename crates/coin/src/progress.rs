//! Progress on standard error, for every long command alike: a bar on a terminal, and elsewhere a line every so often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coin::core::quote::printable;
use coin::train::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Lines that are written for a job where there is no terminal, unless it is slow.
const LINES: u64 = 20;

/// A quick job writes no line sooner than this after the last, except at its end.
const SHORTEST: Duration = Duration::from_secs(1);

/// A slow job writes a line after this time, whatever it has done.
const LONGEST: Duration = Duration::from_secs(60);

/// The progress of one job. Clones are of the same job.
#[derive(Debug, Clone)]
pub struct Bar {
    bar: ProgressBar,
    lines: Arc<Mutex<Lines>>,
}

/// A bar of `total` units, which may be told later.
pub fn bar(title: &str, total: u64) -> Bar {
    let style = ProgressStyle::with_template("{prefix:>16} [{bar:30}] {pos}/{len} {elapsed} (left {eta}) {msg}");
    let bar = ProgressBar::new(total).with_prefix(title.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    Bar::new(bar, style, Lines::new(title, Unit::Count))
}

/// A bar of bytes whose message is a file's name.
pub fn bytes() -> Bar {
    let style = ProgressStyle::with_template("{msg:>32} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} (left {eta})");
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

    /// `done` of `total` units are done.
    pub fn at(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.bar.is_hidden()
            && let Some(line) = self.lines().at(done, total, Instant::now())
        {
            eprintln!("{line}");
        }
    }

    /// `more` units are done.
    pub fn inc(&self, more: u64) {
        self.at(self.bar.position() + more, self.bar.length().unwrap_or(0));
    }

    /// Another part of the job begins, such as a file: `done` of its `total` units are done.
    pub fn begin(&self, name: &str, done: u64, total: u64) {
        self.message(name);
        self.lines().begin(name, done);
        self.at(done, total);
    }

    /// Shows `message` behind the bar.
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

    /// Leaves the bar as it is.
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

/// The unit in which a job is counted.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Count,
    Bytes,
}

/// Which lines are written where there is no terminal.
#[derive(Debug)]
struct Lines {
    title: String,
    unit: Unit,
    created: Instant,
    /// When the job's own work began, and how much had been done before.
    first: Option<(Instant, u64)>,
    /// When the last line was written, and how much was done then.
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

    /// Whether a line is due: after each twentieth of the job, after a minute without one, and at the end.
    fn due(&mut self, done: u64, total: u64, now: Instant) -> bool {
        // A resumed job first says how much there is, which is not its own work; another one first says that one unit is done.
        let first = *self.first.get_or_insert(if done == 1 { (self.created, 0) } else { (now, done) });
        let (at, before) = *self.last.get_or_insert(first);
        let due = done > before
            && (done == total || done - before >= total.div_ceil(LINES).max(1) || now.duration_since(at) >= LONGEST);
        if due {
            self.last = Some((now, done));
        }
        due
    }

    /// The line that is due, if one is.
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
                format!("{done_shown} ({percent} %), {rate_shown} a second, left {}", time(left as f64 / rate))
            }
            Some(_) => format!("{done_shown} in {}, {rate_shown} a second", time(seconds)),
            // A server may not tell a file's size.
            None => format!("{title}: {}, {rate_shown} a second", count(done)),
        })
    }
}

/// Three digits, as far as there are any.
fn rounded(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate if rate >= 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

/// Seconds as a person says them.
fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A measure with so many decimals, or `-` where it was not measured because no pair had a negative.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// A share in percent, as [`number`].
pub fn percent(share: Option<f64>, decimals: usize) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.decimals$}%", share * 100.0))
}

/// Shows a training run on `bar`; where standard error is no terminal, as lines of plain text.
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

/// The same for a log: a line for some of the steps, and one for everything else.
fn training_lines(bar: &Bar, event: &Progress) {
    match event {
        Progress::Step(step, total) => {
            if bar.lines().due(step.step as u64 + 1, *total as u64, Instant::now()) {
                eprintln!(
                    "step {}/{total}: generation {:.4}, contrastive {}, ranking {}, rate {:.1e}, {:.2} s a step, left {}",
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
    fn a_job_has_some_twenty_lines_with_rate_and_time_left() {
        let (start, mut lines) = (Instant::now(), Lines::new("evaluate", Unit::Count));
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(lines.at(0, 900, at(0)), None);
        let shown: Vec<String> = (1..=900).filter_map(|done| lines.at(done, 900, at(done / 10))).collect();
        assert_eq!(shown.len(), 20);
        assert_eq!(shown[0], "evaluate: 45 of 900 (5 %), 11.2 a second, left 76 s");
        assert_eq!(shown[19], "evaluate: 900 of 900 in 2 min, 10.0 a second");
    }

    #[test]
    fn what_was_there_before_counts_neither_as_work_nor_as_time() {
        let (start, mut lines) = (Instant::now(), Lines::new("evaluate", Unit::Count));
        assert_eq!(lines.at(600, 1000, start), None);
        let line = lines.at(700, 1000, start + Duration::from_secs(100)).unwrap();
        assert_eq!(line, "evaluate: 700 of 1000 (70 %), 1.00 a second, left 5 min");
    }

    #[test]
    fn a_slow_job_writes_a_line_a_minute() {
        let (start, mut lines) = (Instant::now(), Lines::new("search", Unit::Count));
        let times = (0..=100).filter_map(|done| lines.at(done, 100_000, start + Duration::from_secs(7 * done)));
        assert_eq!(times.count(), 11);
    }

    #[test]
    fn bytes_and_times_are_said_as_people_do() {
        let (start, mut lines) = (Instant::now(), Lines::new("download", Unit::Bytes));
        assert_eq!(lines.at(0, 1 << 30, start), None);
        let line = lines.at(1 << 28, 1 << 30, start + Duration::from_secs(64)).unwrap();
        assert_eq!(line, "download: 256.00 MiB of 1.00 GiB (25 %), 4.00 MiB a second, left 3 min");
        assert_eq!([30.0, 300.0, 9000.0].map(time), ["30 s", "5 min", "2.5 h"]);
    }
}

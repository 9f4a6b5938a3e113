//! Progress on standard error: bars on a terminal, and elsewhere lines for training and nothing for the rest.

use std::time::Duration;

use coin::train::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `total` units with a message behind it.
pub fn bar(title: &str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>16} [{bar:30}] {pos}/{len} {elapsed} (left {eta}) {msg}");
    let bar = ProgressBar::new(total).with_prefix(title.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// A bar of bytes whose message is a file's name.
pub fn bytes() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>32} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} (left {eta})");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
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
pub fn training(bar: &ProgressBar, event: &Progress) {
    if bar.is_hidden() {
        return lines(event);
    }
    match event {
        Progress::Step(step, total) => {
            bar.set_length(*total as u64);
            bar.set_position(step.step as u64 + 1);
            bar.set_message(format!(
                "generation {:.3}  contrastive {}  ranking {}  rate {:.1e}",
                step.loss_generation,
                number(step.loss_contrastive, 3),
                percent(step.contrastive_accuracy, 0),
                step.lr
            ));
        }
        Progress::Resumed(step) => {
            bar.set_position(*step as u64);
            bar.reset_eta();
            bar.println(format!("{:>16} after step {step}", "resumed"));
        }
        Progress::Checkpoint(step) => bar.println(format!("{:>16} after step {step}", "checkpoint")),
        Progress::Validation(metrics) => bar.println(format!(
            "{:>16} after step {}: generation {:.4}, ranking accuracy {}",
            "held out",
            metrics.step,
            metrics.loss_generation,
            percent(metrics.contrastive_accuracy, 1)
        )),
    }
}

/// The same for a log: twenty lines for the steps of a run, and one for everything else.
fn lines(event: &Progress) {
    match event {
        Progress::Step(step, total) => {
            if (step.step + 1).is_multiple_of(total.div_ceil(20)) || step.step + 1 == *total {
                eprintln!(
                    "step {}/{total}: generation {:.4}, contrastive {}, ranking {}, rate {:.1e}, {:.2} s a step, left {:.0} s",
                    step.step + 1,
                    step.loss_generation,
                    number(step.loss_contrastive, 4),
                    percent(step.contrastive_accuracy, 0),
                    step.lr,
                    step.seconds,
                    step.seconds * (total - step.step - 1) as f64
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

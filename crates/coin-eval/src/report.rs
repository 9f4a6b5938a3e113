//! The report: one page that shows a summary, as HTML or Markdown.
//!
//! The HTML page needs no other file: its style and its figures (SVG) are part of it. It follows the reader's light or
//! dark scheme and prints. Changes are shown as they are, whichever run they favor.

mod bars;
mod cosine;
mod curves;
mod frame;
mod heatmap;
mod html;
mod markdown;
mod spread;
mod svg;

use std::path::Path;

use crate::EvalError;
use crate::summary::{AVERAGE, Summary};
use crate::table::{last_two, percent, signed};

/// What one run measured while it was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The run's name; the color is that of the run of this name in the summary.
    pub run: String,
    /// In the order of the steps.
    pub points: Vec<CurvePoint>,
    /// Evaluations on held-out pairs, in the order of the steps; may be empty.
    pub held_out: Vec<HeldOutPoint>,
}

/// What one optimizer step measured on its own batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The step, from 0.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Contrastive loss before its weight, in nats; none where the run has none.
    pub loss_contrastive: Option<f64>,
    /// Share of pairs whose positive ranks first.
    pub accuracy: Option<f64>,
    /// Mean cosine of positives.
    pub similarity_positive: Option<f64>,
    /// Mean cosine of negatives.
    pub similarity_negative: Option<f64>,
}

/// One evaluation on held-out pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutPoint {
    /// Optimizer steps done before it.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Share of pairs whose positive ranks first.
    pub accuracy: f64,
}

/// Writes the report as one self-contained HTML page. `curves` may be empty; a summary without runs gives a report of
/// curves alone.
///
/// # Errors
/// [`EvalError::Invalid`] if there is neither run nor curve; [`EvalError::Io`] if the file cannot be written.
pub fn write_html(path: impl AsRef<Path>, summary: &Summary, curves: &[Curve]) -> Result<(), EvalError> {
    check(summary, curves)?;
    coin_data::file::replace(path.as_ref(), |file| file.write_all(html::page(summary, curves).as_bytes()))
        .map_err(EvalError::io(path.as_ref()))
}

/// Writes the report as Markdown, tables only; the last values of `curves` are given in a table.
///
/// # Errors
/// As [`write_html`].
pub fn write_markdown(path: impl AsRef<Path>, summary: &Summary, curves: &[Curve]) -> Result<(), EvalError> {
    check(summary, curves)?;
    coin_data::file::replace(path.as_ref(), |file| file.write_all(markdown::page(summary, curves).as_bytes()))
        .map_err(EvalError::io(path.as_ref()))
}

fn check(summary: &Summary, curves: &[Curve]) -> Result<(), EvalError> {
    match summary.runs.is_empty() && curves.iter().all(|curve| curve.points.is_empty()) {
        true => Err(EvalError::Invalid("there is no run to report".to_owned())),
        false => Ok(()),
    }
}

/// What the summary says in one or two sentences, gains and losses alike.
fn headline(summary: &Summary) -> String {
    let average = |run: &crate::summary::RunSummary| run.level(AVERAGE).cloned();
    if let Some((before, last)) = last_two(summary)
        && let (Some(a), Some(b)) = (average(before), average(last))
    {
        return format!(
            "{last}: {} % accuracy on average over all levels, {before}: {} % (change {} points). Spread over \
             instructions (standard deviation): {last} {}, {before} {} points (change {}).",
            percent(b.accuracy),
            percent(a.accuracy),
            signed(b.accuracy - a.accuracy),
            percent(b.std),
            percent(a.std),
            signed(b.std - a.std),
            last = last.name,
            before = before.name,
        );
    }
    let Some(run) = summary.runs.first() else {
        return "Training only: what the tuned models answer has not been evaluated.".to_owned();
    };
    let shown = average(run).map_or(String::new(), |measures| {
        format!(
            "{} % accuracy on average over all levels, ± {} over instructions.",
            percent(measures.accuracy),
            percent(measures.std)
        )
    });
    format!("{}: {shown}", run.name)
}

/// Name and value of every setting, nested tables as dotted names.
fn settings(summary: &Summary) -> Vec<[String; 2]> {
    fn collect(name: &str, value: &serde_json::Value, rows: &mut Vec<[String; 2]>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    collect(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, value, rows);
                }
            }
            serde_json::Value::Array(values) => {
                let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                rows.push([name.to_owned(), values.iter().map(text).collect::<Vec<_>>().join(", ")]);
            }
            serde_json::Value::String(text) => rows.push([name.to_owned(), text.clone()]),
            other => rows.push([name.to_owned(), other.to_string()]),
        }
    }
    let mut rows = Vec::new();
    for (key, value) in &summary.settings {
        collect(key, value, &mut rows);
    }
    rows.push(["tool_version".to_owned(), summary.tool_version.clone()]);
    rows
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ledger::Record;
    use crate::levels::LEVELS;

    /// Three runs over ten tasks, five levels, six instructions and forty examples, from fixed pseudo-random answers.
    pub(crate) fn synthetic() -> Summary {
        let run = |name: &str, skill: f64, loss: f64, spread: f64| {
            let mut records = Vec::new();
            let mut state = name.len() as u64 * 7919;
            let mut uniform = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 11) as f64 / (1u64 << 53) as f64
            };
            for (t, task) in coin_data::Task::glue().into_iter().enumerate() {
                for (l, level) in LEVELS.iter().enumerate() {
                    for instruction in 0..6 {
                        let wobble = spread * (uniform() - 0.5) * (1 + l) as f64;
                        let share = skill - 0.02 * t as f64 - loss * [0.0, 1.0, 0.8, 0.15, 0.5][l] + wobble;
                        for row in 0..40 {
                            let (right, unread) = (uniform() < share, uniform() < 0.1);
                            records.push(Record {
                                task: task.name.clone(),
                                level: (*level).to_owned(),
                                instruction,
                                row,
                                pred: if right {
                                    1
                                } else if unread {
                                    -1
                                } else {
                                    0
                                },
                                gold: 1,
                                cosine_to_clean: (l > 0)
                                    .then(|| 0.99 - (loss * 0.8 * uniform()) as f32 as f64)
                                    .map(|v| v as f32),
                                ..Record::default()
                            });
                        }
                    }
                }
            }
            crate::metrics::score(name, &records).unwrap()
        };
        let settings = serde_json::json!({
            "preset": "strict", "seed": 42, "samples": 40, "levels": LEVELS,
            "objective": {"temperature": 0.05, "lambda": 1000, "pooling": "last"}
        });
        let serde_json::Value::Object(settings) = settings else { unreachable!() };
        Summary::new(
            settings,
            vec![run("base", 0.8, 0.25, 0.1), run("cit", 0.92, 0.2, 0.08), run("coin", 0.88, 0.1, 0.04)],
        )
    }

    pub(crate) fn synthetic_curves() -> Vec<Curve> {
        let points = |contrastive: bool| {
            let loss = |step: u64| 0.4 + 2.0 * (-(step as f64) / 30.0).exp() + 0.05 * (step as f64 * 1.7).sin();
            let point = |step| CurvePoint {
                step,
                loss_generation: loss(step) + if contrastive { 0.03 } else { 0.0 },
                loss_contrastive: contrastive.then(|| 3.0 * (-(step as f64) / 40.0).exp() + 0.2),
                accuracy: contrastive.then(|| 1.0 - 0.5 * (-(step as f64) / 50.0).exp()),
                similarity_positive: contrastive.then_some(0.9),
                similarity_negative: contrastive.then_some(0.8 - step as f64 * 0.005),
            };
            (0..200).map(point).collect()
        };
        let held_out = (0..=8).map(|eighth| HeldOutPoint {
            step: 25 * eighth,
            loss_generation: 0.5 + 1.8 * (-(eighth as f64)).exp(),
            accuracy: 0.5 + 0.05 * eighth as f64,
        });
        vec![
            Curve { run: "cit".to_owned(), points: points(false), held_out: Vec::new() },
            Curve { run: "coin".to_owned(), points: points(true), held_out: held_out.collect() },
        ]
    }

    #[test]
    fn html_is_self_contained_and_shows_every_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        write_html(&path, &synthetic(), &synthetic_curves()).unwrap();
        if let Ok(kept) = std::env::var("COIN_KEEP_REPORT") {
            write_html(kept, &synthetic(), &synthetic_curves()).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap();
        for outside in ["http://", "https://", "src=", "@import", "url(", "<link", "<script"] {
            assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
        }
        for part in
            ["prefers-color-scheme", "@media print", "mnli_mismatched", "objective.temperature", "coin\u{a0}−\u{a0}cit"]
        {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert_eq!(page.matches("<figure").count(), page.matches("<figcaption").count());
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn names_are_escaped() {
        let mut summary = synthetic();
        summary.runs[2].name = "<b>&".to_owned();
        assert!(!html::page(&summary, &[]).contains("<b>&"));
    }

    #[test]
    fn a_single_run_without_cosines_is_reported_too() {
        let mut summary = synthetic();
        summary.runs.truncate(1);
        for row in &mut summary.runs[0].levels {
            row.measures.cosine = None;
        }
        let page = html::page(&summary, &[]);
        assert!(page.contains("base: ") && !page.contains("Cosine by level"));
        assert!(markdown::page(&summary, &[]).contains("## By perturbation level"));
        summary.runs.clear();
        let page = html::page(&summary, &synthetic_curves());
        assert!(page.contains("Training only") && page.contains("<circle class=\"r1\"") && !page.contains("NaN"));
        assert!(markdown::page(&summary, &synthetic_curves()).contains("| coin | 199 |"));
        assert!(write_html("never.html", &summary, &[]).unwrap_err().to_string().contains("no run"));
    }

    #[test]
    fn the_headline_shows_losses_as_losses() {
        let mut summary = synthetic();
        summary.runs.swap(1, 2);
        let text = headline(&summary);
        assert!(text.starts_with("cit: ") && text.contains("(change −"), "{text}");
    }
}

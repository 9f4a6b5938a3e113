//! `coin pairs inspect`

use std::fmt::Write;
use std::path::PathBuf;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::Args;
use coin::data::tokenize::{Boundary, TokenRow, TokenizeOptions, Truncation};
use coin::data::{PromptTemplate, pairs};
use coin::model::{LlamaConfig, TextTokenizer};
use coin::train::config::TrainPreset;

use crate::command::choice::{choices, name};
use crate::failure::{Failure, OrFail, bad_input};

/// Arguments of `coin pairs inspect`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Pairs: JSON lines, the released CSV, or Parquet.
    file: PathBuf,
    /// Folder of the model with the tokenizer.
    #[arg(long)]
    model: PathBuf,
    /// First pair to show, counted from 1.
    #[arg(long, default_value_t = 1)]
    row: usize,
    /// Number of pairs to show.
    #[arg(long, default_value_t = 2)]
    count: usize,
    /// Preset for boundary and truncation.
    #[arg(long, value_parser = choices::<TrainPreset>(), default_value = name(TrainPreset::Strict))]
    preset: TrainPreset,
    /// Maximum length of a row, in tokens.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Text for the model, with `{instruction}` in place of the pair's text.
    #[arg(long)]
    template: Option<String>,
    /// Adds the tokenizer's EOS after every target, like data.append_eos in a run file.
    #[arg(long)]
    append_eos: bool,
    /// Prints one line of JSON per text: ids, tokens and labels.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let all = pairs::read(&self.file).input()?;
        if self.row == 0 || self.row > all.len() {
            return bad_input(format!("--row {}: {} contains pairs 1 to {}", self.row, self.file.display(), all.len()));
        }
        let config = LlamaConfig::read(&self.model).input()?;
        let tokenizer = TextTokenizer::read(&self.model, &config).input()?;
        let template = match &self.template {
            Some(text) => text.parse().input()?,
            None => PromptTemplate::default(),
        };
        let (truncation, boundary) = match self.preset {
            TrainPreset::Strict => (Truncation::KeepAnswer, Boundary::Offsets),
            TrainPreset::Paper => (Truncation::Right, Boundary::PromptAlone),
        };
        let eos = if self.append_eos { tokenizer.end() } else { None };
        if self.append_eos && eos.is_none() {
            return bad_input(format!("--append-eos: the tokenizer of {} has no EOS token", self.model.display()));
        }
        let options = TokenizeOptions {
            eos,
            max_tokens: self.max_tokens,
            truncation,
            boundary,
            ..TokenizeOptions::new(tokenizer.bos())
        };
        for (at, pair) in all.iter().enumerate().skip(self.row - 1).take(self.count) {
            let texts = [("original", &pair.original_instruction), ("paraphrase", &pair.paraphrased_instruction)];
            for (name, text) in texts {
                let prompt = template.fill(text).render();
                let row = options.row(tokenizer.inner(), &prompt, &pair.targets).input()?;
                let Some(row) = row else { continue };
                let title = format!("pair {}, {name}", at + 1);
                match self.json {
                    true => println!("{}", json(&row, &tokenizer, at + 1, name)),
                    false => print!("{}", for_terminal(shown(&title, &row, &tokenizer))),
                }
            }
        }
        Ok(())
    }
}

/// The text, without colors if standard output does not support them.
fn for_terminal(text: String) -> String {
    match AutoStream::choice(&std::io::stdout()) {
        ColorChoice::Never => strip_str(&text).to_string(),
        _ => text,
    }
}

/// The label at position `at`; -100 if nothing is learned there.
fn label(row: &TokenRow, at: usize) -> i64 {
    if at < row.prompt { -100 } else { i64::from(row.ids[at]) }
}

fn json(row: &TokenRow, tokenizer: &TextTokenizer, pair: usize, text: &str) -> String {
    let tokens: Vec<String> = row.ids.iter().map(|&id| token(tokenizer, id)).collect();
    let labels: Vec<i64> = (0..row.ids.len()).map(|at| label(row, at)).collect();
    serde_json::json!({
        "pair": pair, "text": text, "ids": row.ids, "tokens": tokens, "labels": labels,
        "shortened": row.shortened, "cut": row.cut,
    })
    .to_string()
}

fn token(tokenizer: &TextTokenizer, id: u32) -> String {
    tokenizer.inner().id_to_token(id).unwrap_or_else(|| format!("<{id}>"))
}

/// The tokens of a row, followed by its labels. Masked tokens are faint. Learned tokens are green and in brackets, which remain
/// visible without colors.
fn shown(title: &str, row: &TokenRow, tokenizer: &TextTokenizer) -> String {
    let (masked, learned) = (Style::new().dimmed(), AnsiColor::Green.on_default().bold());
    let mut out = format!(
        "{title}: {} tokens, {} masked, {} learned{}{}\n",
        row.ids.len(),
        row.prompt,
        row.supervised(),
        if row.shortened > 0 { format!(", {} cut out of the prompt", row.shortened) } else { String::new() },
        if row.cut > 0 { format!(", {} cut off the target", row.cut) } else { String::new() },
    );
    for (at, &id) in row.ids.iter().enumerate() {
        let text = token(tokenizer, id).replace('\u{2581}', "_");
        // Writing to a string cannot fail.
        _ = match at < row.prompt {
            true => write!(out, "{masked}{text}{masked:#} "),
            false => write!(out, "{learned}[{text}]{learned:#} "),
        };
    }
    let labels: Vec<String> = (row.prompt..row.ids.len()).map(|at| label(row, at).to_string()).collect();
    _ = writeln!(out, "\nlabels: {} x -100, {}\n", row.prompt, labels.join(" "));
    out
}

//! `coin compare`

mod table;

use clap::Args;
use coin::data::{LabelWord, Metric, Prompt, PromptTemplate, Task, fill_content};
use coin::eval::LanguageModel;
use coin::eval::wordings::{self, Wordings};
use coin::model_folder;
use coin::perturb::{LabelWords, attack_named, perturb_set};
use serde_json::json;

use super::distinct;
use super::model_arguments::{ModelArguments, warn};
use crate::failure::{Failure, OrFail, bad_input};
use crate::progress;

/// Maximum length of an answer in tokens: with label words (the value of the released program), and without.
const NEW_TOKENS: [usize; 2] = [7, 64];

/// Arguments of `coin compare`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Another adapter to compare with, or `none` for the model without an adapter. Can be repeated.
    #[arg(long, value_name = "ADAPTER")]
    beside: Vec<String>,
    /// The text to work on. It follows the instruction after a space, unless one of them has white space there.
    #[arg(long)]
    input: String,
    /// A wording of the instruction. Repeat it for several wordings.
    #[arg(long = "instruction", required = true)]
    instructions: Vec<String>,
    /// Adds the first instruction perturbed by these attacks, comma separated. Label words are kept.
    #[arg(long, value_delimiter = ',')]
    attacks: Vec<String>,
    /// Seed of the perturbations.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Label words whose probabilities are shown, comma separated.
    #[arg(long, value_delimiter = ',', conflicts_with = "task")]
    labels: Vec<String>,
    /// A GLUE task whose label words are used.
    #[arg(long)]
    task: Option<String>,
    /// Maximum number of generated tokens [default: 7 with label words, 64 without].
    #[arg(long)]
    max_new_tokens: Option<usize>,
    /// The prompt's text, with {instruction} for instruction and input; the text after it introduces the answer [default: the
    /// training template].
    #[arg(long)]
    template: Option<PromptTemplate>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// A wording of the instruction.
struct Wording {
    origin: Origin,
    instruction: String,
}

/// The origin of a wording.
enum Origin {
    /// The user gave it.
    Given,
    /// The attack of this name made it.
    Attack(String),
}

impl Origin {
    fn name(&self) -> &str {
        match self {
            Origin::Given => "given",
            Origin::Attack(name) => name,
        }
    }
}

/// One model's answers.
struct Column {
    model: String,
    fingerprint: String,
    found: Wordings,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        if self.max_new_tokens == Some(0) {
            return bad_input("--max-new-tokens must be at least 1");
        }
        let task = self.task()?;
        let wordings = self.wordings(task.as_ref())?;
        let template = self.template.clone().unwrap_or_default();
        let prompts: Vec<Prompt> = wordings
            .iter()
            .map(|wording| Ok(template.fill(&joined(&wording.instruction, &self.input)?)))
            .collect::<Result<_, Failure>>()?;
        let device = self.model.device()?;
        let tokens = self.max_new_tokens.unwrap_or(NEW_TOKENS[usize::from(task.is_none())]);
        // A missing folder is reported before any model is loaded.
        let mut models = Vec::new();
        for (name, arguments) in self.models() {
            models.push((name, arguments.folders()?, arguments.format()));
        }
        let mut columns = Vec::new();
        let bar = progress::bar("compare", models.len() as u64);
        for (name, (folder, adapter), format) in models {
            let engine = model_folder::engine_options(&device);
            let opened = model_folder::for_evaluation(&folder, adapter.as_deref(), format, &device, engine);
            let (mut model, warnings) = opened.input()?;
            warn(&warnings);
            let found = wordings::compare(&mut model, &prompts, task.as_ref(), tokens).input()?;
            columns.push(Column { model: name, fingerprint: model.fingerprint(), found });
            bar.inc(1);
        }
        bar.clear();
        match self.json {
            true => println!("{:#}", self.to_json(&wordings, &columns)),
            false => print!("{}", table::text(&self.input, &wordings, &columns)),
        }
        Ok(())
    }

    /// The task whose label words are compared, if any.
    fn task(&self) -> Result<Option<Task>, Failure> {
        if let Some(name) = &self.task {
            return Task::named(name).map(Some).input();
        }
        if self.labels.is_empty() {
            return Ok(None);
        }
        let labels: Vec<String> = self.labels.iter().map(|word| word.trim().to_owned()).collect();
        if distinct(&labels).len() < labels.len() {
            return bad_input("--labels: a word is given twice");
        }
        let read = |(class, word): (usize, &String)| LabelWord { word: word.to_lowercase(), class };
        let task = Task {
            version: 1,
            name: "compare".to_owned(),
            group: "compare".to_owned(),
            instructions: "compare".to_owned(),
            content: "{input}".to_owned(),
            verbalizer: labels.iter().enumerate().map(read).collect(),
            labels,
            metrics: vec![Metric::Accuracy],
        };
        task.check().map_err(|error| anyhow::anyhow!("--labels: {error}")).input()?;
        Ok(Some(task))
    }

    /// The given instructions, then the perturbed versions of the first.
    fn wordings(&self, task: Option<&Task>) -> Result<Vec<Wording>, Failure> {
        if self.instructions.iter().any(|text| text.trim().is_empty()) {
            return bad_input("--instruction: expected text, found an empty instruction");
        }
        let given = |text: &String| Wording { origin: Origin::Given, instruction: text.clone() };
        let mut wordings: Vec<Wording> = self.instructions.iter().map(given).collect();
        let attacks = distinct(&self.attacks).iter().map(|name| attack_named(name)).collect::<Result<Vec<_>, _>>();
        let attacks = attacks.input()?;
        if !attacks.is_empty() {
            // The same keys as in `coin perturb` for the first instruction of a task, so both give the same result.
            let name = task.map_or("compare", |task| task.instructions.as_str()).to_owned();
            let clean = [(name.clone(), vec![self.instructions[0].clone()])].into();
            let kept: LabelWords = task.map(|task| (name.clone(), task.label_words())).into_iter().collect();
            let set = perturb_set(&clean, &attacks, &kept, self.seed).input()?;
            for attack in &attacks {
                let made = set.instructions(attack.name(), &name).unwrap_or_default();
                let origin = || Origin::Attack(attack.name().to_owned());
                wordings.extend(made.iter().map(|text| Wording { origin: origin(), instruction: text.clone() }));
            }
        }
        match wordings.len() {
            1 => bad_input("there is only one wording; repeat --instruction or use --attacks"),
            _ => Ok(wordings),
        }
    }

    /// The compared models with their names: the model with its adapter, then with each adapter of `--beside`.
    fn models(&self) -> Vec<(String, ModelArguments)> {
        let beside = self.beside.iter().map(|name| (name != "none").then(|| name.clone()));
        let adapters = std::iter::once(self.model.adapter.clone()).chain(beside);
        let with = |adapter: Option<String>| {
            let name = adapter.clone().unwrap_or_else(|| self.model.model.clone());
            (name, ModelArguments { adapter, ..self.model.clone() })
        };
        adapters.map(with).collect()
    }

    fn to_json(&self, wordings: &[Wording], columns: &[Column]) -> serde_json::Value {
        let wording = |wording: &Wording| json!({"origin": wording.origin.name(), "instruction": wording.instruction});
        let column = |Column { model, fingerprint, found }: &Column| json!({"model": model, "fingerprint": fingerprint, "comparison": found});
        json!({
            "input": self.input,
            "seed": self.seed,
            "wordings": wordings.iter().map(wording).collect::<Vec<_>>(),
            "models": columns.iter().map(column).collect::<Vec<_>>(),
        })
    }
}

/// Instruction and input, with white space between them.
fn joined(instruction: &str, input: &str) -> Result<String, Failure> {
    if let Some(placed) = fill_content(instruction, input).input()? {
        return Ok(placed);
    }
    Ok(match instruction.ends_with(char::is_whitespace) || input.starts_with(char::is_whitespace) {
        true => format!("{instruction}{input}"),
        false => format!("{instruction} {input}"),
    })
}

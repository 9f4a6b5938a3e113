//! A prompt as a structure, rendered to text in one place.
//!
//! The part that varies within a pair, or is perturbed in an evaluation, is a named component of the prompt. By default
//! it is the instruction.

mod placeholders;
mod prompt_template;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use coin_core::quote::cut;

pub use placeholders::{fill_content, places_input};
pub use prompt_template::PromptTemplate;

use crate::template::other_name;
use crate::{DataError, Instance, Task};
use placeholders::{CONTENT, placeholders, spans};

/// The marker between prompt and answer in training, and in evaluation under preset `strict`.
pub const TRAINING_MARKER: &str = "\n\n### Response:\n";

/// The marker that the released program uses in evaluation (preset `paper`).
pub const RELEASED_EVALUATION_MARKER: &str = "### Response:";

/// A worked example shown before the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The example's input.
    pub input: String,
    /// The example's answer.
    pub answer: String,
}

/// A part of a prompt that varies within a pair or is perturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The text before everything else.
    System,
    /// The instruction to the model (the paper's, and the default).
    #[default]
    Instruction,
    /// The inputs of the worked examples.
    Demonstrations,
    /// The text to work on.
    Input,
}

impl std::str::FromStr for Component {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        match name {
            "system" => Ok(Component::System),
            "instruction" => Ok(Component::Instruction),
            "demonstrations" => Ok(Component::Demonstrations),
            "input" => Ok(Component::Input),
            _ => Err(DataError::Invalid(format!(
                "unknown component `{}`, expected one of: system, instruction, demonstrations, input",
                cut(name)
            ))),
        }
    }
}

/// The position of the input in a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// After the instruction and the worked examples (the released program's, and the default).
    #[default]
    After,
    /// At the placeholders of the instruction: `{content}` is the input, and the others are these fields of it. Each worked
    /// example is also written in the instruction.
    Within(BTreeMap<String, String>),
}

impl Placement {
    fn is_after(&self) -> bool {
        *self == Placement::After
    }
}

/// The parts of a prompt, in rendering order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Text before everything else, followed by an empty line.
    pub system: Option<String>,
    /// The instruction to the model.
    pub instruction: String,
    /// Worked examples, rendered between instruction and input.
    pub demonstrations: Vec<Demonstration>,
    /// The text to work on; empty if the instruction already contains it (a filled template).
    pub input: String,
    /// The text that introduces the answer.
    pub marker: String,
    /// The position of the input.
    #[serde(default, skip_serializing_if = "Placement::is_after")]
    pub placement: Placement,
}

impl Prompt {
    /// Creates a prompt from an instruction and an input, with the training marker.
    pub fn new(instruction: impl Into<String>, input: impl Into<String>) -> Self {
        Prompt {
            system: None,
            instruction: instruction.into(),
            demonstrations: Vec::new(),
            input: input.into(),
            marker: TRAINING_MARKER.to_owned(),
            placement: Placement::After,
        }
    }

    /// Creates the prompt of an example under an instruction. The task's content follows the instruction, or replaces its
    /// placeholders: names in single braces, such as `{content}`.
    ///
    /// # Errors
    /// [`DataError::MissingField`] if the example lacks a field; [`DataError::Invalid`] for a placeholder that is neither
    /// `{content}` nor a field of the task.
    ///
    /// ```
    /// use coin_data::{Instance, Prompt, Task};
    /// let task = Task::named("cola")?;
    /// let row = Instance::new("cola", 0, [("sentence", "The boat sank.")], 1);
    /// let prompt = Prompt::of_example("Is this fine? ", &task, &row)?;
    /// assert_eq!(prompt.body(), "Is this fine? The boat sank.");
    /// let prompt = Prompt::of_example("Sentence: {content}\nIs it fine?", &task, &row)?;
    /// assert_eq!(prompt.body(), "Sentence: The boat sank.\nIs it fine?");
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn of_example(instruction: &str, task: &Task, example: &Instance) -> Result<Self, DataError> {
        let mut prompt = Prompt::new(instruction, task.content(example)?);
        if places_input(instruction, task)? {
            let mut fields = BTreeMap::new();
            for name in placeholders(instruction).filter(|name| *name != CONTENT) {
                let other = other_name(name).and_then(|other| example.fields.get(other));
                let value = example.fields.get(name).or(other).ok_or_else(|| DataError::MissingField {
                    task: task.name.clone(),
                    template: instruction.to_owned(),
                    field: name.to_owned(),
                    row: example.row,
                })?;
                fields.insert(name.to_owned(), value.clone());
            }
            prompt.placement = Placement::Within(fields);
        }
        Ok(prompt)
    }

    /// Returns the instruction with `input`, without system text, worked examples and marker.
    pub fn question(&self, input: &str) -> String {
        let Placement::Within(fields) = &self.placement else {
            return format!("{}{input}", self.instruction);
        };
        let mut text = String::with_capacity(self.instruction.len() + input.len());
        let mut end = 0;
        for (place, name) in spans(&self.instruction) {
            text.push_str(&self.instruction[end..place.start]);
            match (name, fields.get(name)) {
                (_, Some(value)) => text.push_str(value),
                (CONTENT, None) => text.push_str(input),
                (_, None) => text.push_str(&self.instruction[place.clone()]),
            }
            end = place.end;
        }
        text + &self.instruction[end..]
    }

    /// Returns the prompt with these worked examples.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if the instruction places fields by name, since a worked example only has a whole input.
    pub fn with_demonstrations(mut self, shown: Vec<Demonstration>) -> Result<Self, DataError> {
        if let Placement::Within(fields) = &self.placement
            && let Some(field) = fields.keys().next()
            && !shown.is_empty()
        {
            return Err(DataError::Invalid(format!(
                "the instruction `{}` places the field {{{}}}; with demonstrations it can place {{{CONTENT}}} only",
                cut(&self.instruction),
                cut(field)
            )));
        }
        self.demonstrations = shown;
        Ok(self)
    }

    /// Returns the prompt with another marker.
    pub fn with_marker(mut self, marker: impl Into<String>) -> Self {
        self.marker = marker.into();
        self
    }

    /// Renders the text for the model: `{system}\n\n{instruction}{demonstrations}{input}{marker}`, or, if the instruction
    /// places the input, `{system}\n\n{demonstrations}{instruction with the input}{marker}`.
    ///
    /// Instruction and input are joined without a separator, as in the released program, whose instructions end in `: ` or
    /// `:`.
    ///
    /// ```
    /// let prompt = coin_data::Prompt::new("Is this acceptable? ", "The boat sank.");
    /// assert_eq!(prompt.render(), "Is this acceptable? The boat sank.\n\n### Response:\n");
    /// ```
    pub fn render(&self) -> String {
        self.body() + &self.marker
    }

    /// Applies `change` to a component: the system text if there is one, the input of every demonstration, the instruction,
    /// or the input.
    ///
    /// ```
    /// use coin_data::{Component, Demonstration, Prompt};
    /// let mut prompt = Prompt::new("Judge: ", "He left.");
    /// prompt.demonstrations.push(Demonstration { input: "She ran.".to_owned(), answer: "fine".to_owned() });
    /// let loud = prompt.clone().map(Component::Demonstrations, |text| text.to_uppercase());
    /// assert_eq!((loud.demonstrations[0].input.as_str(), loud.input.as_str()), ("SHE RAN.", "He left."));
    /// assert_eq!(prompt.map(Component::Instruction, |text| text.to_uppercase()).instruction, "JUDGE: ");
    /// ```
    pub fn map(mut self, component: Component, mut change: impl FnMut(&str) -> String) -> Self {
        match component {
            Component::System => self.system = self.system.map(|text| change(&text)),
            Component::Instruction => self.instruction = change(&self.instruction),
            Component::Demonstrations => {
                self.demonstrations.iter_mut().for_each(|shown| shown.input = change(&shown.input));
            }
            Component::Input => self.input = change(&self.input),
        }
        self
    }

    /// Like [`render`](Self::render), without the marker at the end.
    pub fn body(&self) -> String {
        let mut text = String::new();
        if let Some(system) = &self.system {
            text.push_str(system);
            text.push_str("\n\n");
        }
        let within = !self.placement.is_after();
        if !within {
            text.push_str(&self.instruction);
        }
        for demonstration in &self.demonstrations {
            match within {
                true => text.push_str(&self.question(&demonstration.input)),
                false => text.push_str(&demonstration.input),
            }
            text.push_str(&self.marker);
            text.push_str(&demonstration.answer);
            text.push_str("\n\n");
        }
        match within {
            true => text.push_str(&self.question(&self.input)),
            false => text.push_str(&self.input),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(instruction: &str) -> Result<Prompt, DataError> {
        let row = Instance::new("rte", 3, [("sentence1", "Ann {sentence2} ran."), ("sentence2", "Ann ran.")], 0);
        Prompt::of_example(instruction, &Task::named("rte").unwrap(), &row)
    }

    fn body(instruction: &str) -> String {
        prompt(instruction).unwrap().body()
    }

    #[test]
    fn the_input_stands_where_the_instruction_places_it() {
        let content = "Sentence 1: Ann {sentence2} ran. Sentence 2: Ann ran.";
        assert_eq!(body("Judge: "), format!("Judge: {content}"));
        assert_eq!(body("Read {content}, then {content}."), format!("Read {content}, then {content}."));
        assert_eq!(body("{sentence2} from {premise}?"), "Ann ran. from Ann {sentence2} ran.?");
        // A perturbed instruction is filled in the same way.
        assert_eq!(body("Raed {content}, tehn jduge"), format!("Raed {content}, tehn jduge"));
    }

    #[test]
    fn other_braces_are_text() {
        for text in [r#"Answer as { "a": 1 }: "#, "Use {{ and }}: ", "{{content}} ", "{} {0} {a b} { content } {", "}{"]
        {
            assert_eq!(prompt(text).unwrap().placement, Placement::After, "{text}");
            assert!(body(text).starts_with(text), "{text}");
        }
    }

    #[test]
    fn an_unknown_placeholder_is_refused() {
        let message = prompt("Judge {contnet}: ").unwrap_err().to_string();
        assert_eq!(
            message,
            "task `rte`: unknown placeholder {contnet} in the instruction `Judge {contnet}: `, expected one of: {content}, \
             {sentence1}, {sentence2}"
        );
    }

    #[test]
    fn every_demonstration_is_written_in_an_instruction_that_places_the_input() {
        let mut prompt = prompt("Is it so? {content} Say:").unwrap().with_marker("|");
        prompt.system = Some("Be brief.".to_owned());
        prompt.input = "In".to_owned();
        prompt.demonstrations.push(Demonstration { input: "Shown".to_owned(), answer: "yes".to_owned() });
        assert_eq!(prompt.render(), "Be brief.\n\nIs it so? Shown Say:|yes\n\nIs it so? In Say:|");
        let json = serde_json::to_string(&prompt).unwrap();
        assert_eq!(serde_json::from_str::<Prompt>(&json).unwrap(), prompt);
        let fields = super::tests::prompt("{premise} so {hypothesis}?").unwrap();
        assert!(fields.clone().with_demonstrations(Vec::new()).is_ok());
        let message = fields.with_demonstrations(prompt.demonstrations).unwrap_err().to_string();
        assert!(message.contains("places the field {hypothesis}"), "{message}");
        let after = Prompt::new("a", "b");
        assert!(!serde_json::to_string(&after).unwrap().contains("placement"));
    }
}

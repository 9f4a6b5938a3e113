//! A prompt is a structure, rendered to text in one place.
//!
//! What varies within a pair, or is perturbed in an evaluation, is a named component of the prompt. The default
//! is the instruction.

use serde::{Deserialize, Serialize};

use crate::DataError;

/// The marker between prompt and answer in training, and in evaluation under preset `strict`.
pub const TRAINING_MARKER: &str = "\n\n### Response:\n";

/// The marker the released program evaluates with (preset `paper`).
pub const RELEASED_EVALUATION_MARKER: &str = "### Response:";

/// One worked example shown before the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The example's input.
    pub input: String,
    /// The example's answer.
    pub answer: String,
}

/// A part of a prompt that a pair varies or a perturbation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The text before everything else.
    System,
    /// What the model is asked to do (the paper's, and the default).
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
                "unknown component `{name}`, expected one of: system, instruction, demonstrations, input"
            ))),
        }
    }
}

/// The parts of a prompt, in the order in which they are rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Text before everything else; followed by an empty line.
    pub system: Option<String>,
    /// What the model is asked to do.
    pub instruction: String,
    /// Worked examples, rendered between instruction and input.
    pub demonstrations: Vec<Demonstration>,
    /// The text to work on; empty where the instruction already holds it (a filled template).
    pub input: String,
    /// What introduces the answer.
    pub marker: String,
}

impl Prompt {
    /// A prompt of an instruction and an input with the training marker.
    pub fn new(instruction: impl Into<String>, input: impl Into<String>) -> Self {
        Prompt {
            system: None,
            instruction: instruction.into(),
            demonstrations: Vec::new(),
            input: input.into(),
            marker: TRAINING_MARKER.to_owned(),
        }
    }

    /// The same prompt with another marker.
    pub fn with_marker(mut self, marker: impl Into<String>) -> Self {
        self.marker = marker.into();
        self
    }

    /// The text given to the model: `{system}\n\n{instruction}{demonstrations}{input}{marker}`.
    ///
    /// Nothing is put between instruction and input: the released program joins them as they are, and its
    /// instructions end in `: ` or `:`.
    ///
    /// ```
    /// let prompt = coin_data::Prompt::new("Is this acceptable? ", "The boat sank.");
    /// assert_eq!(prompt.render(), "Is this acceptable? The boat sank.\n\n### Response:\n");
    /// ```
    pub fn render(&self) -> String {
        self.body() + &self.marker
    }

    /// The prompt with `change` made in a component: in the system text if there is one, in the input of every
    /// demonstration, in the instruction or in the input.
    ///
    /// ```
    /// use coin_data::prompt::{Component, Demonstration, Prompt};
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

    /// As [`render`](Self::render), without the marker at the end.
    pub fn body(&self) -> String {
        let mut text = String::new();
        if let Some(system) = &self.system {
            text.push_str(system);
            text.push_str("\n\n");
        }
        text.push_str(&self.instruction);
        for demonstration in &self.demonstrations {
            text.push_str(&demonstration.input);
            text.push_str(&self.marker);
            text.push_str(&demonstration.answer);
            text.push_str("\n\n");
        }
        text.push_str(&self.input);
        text
    }
}

/// How a text that is an instruction and its input in one becomes a prompt: what stands before it, and the marker.
///
/// ```
/// use coin_data::PromptTemplate;
/// let template: PromptTemplate = "USER: {instruction}\nASSISTANT: ".parse()?;
/// assert_eq!(template.fill("Is this fine? He left.").render(), "USER: Is this fine? He left.\nASSISTANT: ");
/// assert!("no place".parse::<PromptTemplate>().is_err());
/// # Ok::<(), coin_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate {
    before: String,
    marker: String,
}

/// Where the text stands in a [`PromptTemplate`].
const PLACE: &str = "{instruction}";

impl PromptTemplate {
    /// The prompt of a text.
    pub fn fill(&self, instruction: &str) -> Prompt {
        Prompt::new(format!("{}{instruction}", self.before), "").with_marker(&self.marker)
    }
}

impl Default for PromptTemplate {
    /// Nothing before, and the training marker.
    fn default() -> Self {
        PromptTemplate { before: String::new(), marker: TRAINING_MARKER.to_owned() }
    }
}

impl std::fmt::Display for PromptTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.marker)
    }
}

impl std::str::FromStr for PromptTemplate {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text.split_once(PLACE) {
            Some((before, marker)) if !marker.contains(PLACE) => {
                Ok(PromptTemplate { before: before.to_owned(), marker: marker.to_owned() })
            }
            _ => Err(DataError::Invalid(format!("a prompt template must hold {PLACE} exactly once, got {text:?}"))),
        }
    }
}

//! The settings of an evaluation.
//!
//! [`Evaluation::plan`] turns them into a [`Plan`](crate::Plan), which contains every prompt and can be run.

use coin_data::{Component, RELEASED_EVALUATION_MARKER, TRAINING_MARKER, Task};
use serde::{Deserialize, Serialize};

use super::context::PromptContext;
use super::instructions::InstructionSet;
use crate::levels::LEVELS;
use crate::parser::AnswerParser;

/// Choice between reproducing and fixing the released program's quirks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The same examples at every level, and the training marker. The default, and this project's choice.
    #[default]
    Strict,
    /// Each level draws its own examples, and the marker does not have line breaks, as in the released program.
    Paper,
}

impl Preset {
    /// The marker between prompt and answer.
    pub fn marker(self) -> &'static str {
        match self {
            Preset::Strict => TRAINING_MARKER,
            Preset::Paper => RELEASED_EVALUATION_MARKER,
        }
    }
}

/// The handling of a prompt that is too long for the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LongPrompts {
    /// The evaluation does not start. The default.
    #[default]
    Refuse,
    /// Words are removed from the end of the input until the prompt fits; [`Record::shortened`](crate::Record::shortened) marks
    /// the answers affected.
    Shorten,
    /// The example is left out at every level and instruction, so that they still share their examples;
    /// [`Plan::left_out`](crate::Plan::left_out) counts them.
    Skip,
}

/// Settings of an evaluation: what to evaluate, and how.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The tasks, in the order in which they run.
    pub tasks: Vec<Task>,
    /// The perturbation levels. `clean` always runs first, because cosines are computed against it.
    pub levels: Vec<String>,
    /// The instructions of every level; only those of `clean` are used if another component is perturbed.
    pub instructions: InstructionSet,
    /// The part of the prompt that the levels change.
    pub component: Component,
    /// System text and demonstrations.
    pub context: PromptContext,
    /// Maximum number of examples per task. 300 in the paper.
    pub samples: usize,
    /// Seed for the choice of examples.
    pub seed: u64,
    /// The preset, which decides whether levels share their examples.
    pub preset: Preset,
    /// The marker between prompt and answer; [`Preset::marker`] unless set otherwise.
    pub marker: String,
    /// The parser that reads the answers.
    pub parser: AnswerParser,
    /// Maximum number of tokens to generate. 7 in the paper.
    pub max_new_tokens: usize,
    /// Always generates all tokens instead of stopping once the outcome is decided. The outcome is the same.
    pub full_decode: bool,
    /// The handling of prompts that are too long for the model.
    pub long_prompts: LongPrompts,
    /// True to compare hidden states with those under the clean instruction (preset `strict` only, because `paper` has
    /// different examples at every level, and only where answers are generated).
    pub hidden: bool,
}

impl Evaluation {
    /// The paper's evaluation of `tasks` under preset `strict`: five levels, 300 examples, 7 tokens, seed 42, the released
    /// program's parser, stopping once decided, with hidden states.
    pub fn new(tasks: Vec<Task>, instructions: InstructionSet) -> Self {
        Evaluation {
            tasks,
            levels: LEVELS.map(str::to_owned).to_vec(),
            instructions,
            component: Component::Instruction,
            context: PromptContext::default(),
            samples: 300,
            seed: 42,
            preset: Preset::Strict,
            marker: Preset::Strict.marker().to_owned(),
            parser: AnswerParser::Released,
            max_new_tokens: 7,
            full_decode: false,
            long_prompts: LongPrompts::Refuse,
            hidden: true,
        }
    }
}

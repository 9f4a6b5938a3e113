//! What is evaluated, and how: the settings of an evaluation.
//!
//! [`Evaluation::plan`] turns them into a [`Plan`](crate::Plan), which knows every prompt and runs.

use coin_data::{Component, RELEASED_EVALUATION_MARKER, TRAINING_MARKER, Task};
use serde::{Deserialize, Serialize};

use super::context::PromptContext;
use super::instructions::InstructionSet;
use crate::levels::LEVELS;
use crate::parser::AnswerParser;

/// Whether the released program's quirks are reproduced or fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The same examples at every level, and the training marker. The default; ours.
    #[default]
    Strict,
    /// Each level draws its own examples, and the marker has no line breaks: the released program.
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

/// What is done with a prompt that is too long for the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LongPrompts {
    /// The evaluation does not begin. The default.
    #[default]
    Refuse,
    /// The input loses words at its end until the prompt fits; [`Record::shortened`](crate::Record::shortened) tells where.
    Shorten,
    /// The example is left out at every level and instruction, so that they still share their examples;
    /// [`Plan::left_out`](crate::Plan::left_out) counts them.
    Skip,
}

/// What to evaluate, and how.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The tasks, in the order in which they are run.
    pub tasks: Vec<Task>,
    /// The perturbation levels. `clean` is run first whatever its place, as cosines refer to it.
    pub levels: Vec<String>,
    /// The instructions of every level; only those of `clean` are used where another component is perturbed.
    pub instructions: InstructionSet,
    /// Which part of the prompt the levels change.
    pub component: Component,
    /// System text and demonstrations.
    pub context: PromptContext,
    /// The most examples per task. 300 in the paper.
    pub samples: usize,
    /// Seed of the choice of examples.
    pub seed: u64,
    /// Which examples levels share.
    pub preset: Preset,
    /// The marker between prompt and answer; [`Preset::marker`] unless set otherwise.
    pub marker: String,
    /// How answers are read.
    pub parser: AnswerParser,
    /// The most tokens to write. 7 in the paper.
    pub max_new_tokens: usize,
    /// Always writes all tokens instead of stopping once the outcome is decided. The outcome is the same.
    pub full_decode: bool,
    /// What is done with prompts that are too long for the model.
    pub long_prompts: LongPrompts,
    /// Whether to compare hidden states with those under the clean instruction (preset `strict` only, as `paper` has
    /// other examples at every level, and only where answers are generated).
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

//! A training step on pairs, and greedy generation, for each model size.

use coin::model::FloatType;

use super::{Case, Work};
use crate::decoder::{PROMPT, SIZES, Size};
use crate::generation::{Generation, NEW_TOKENS};
use crate::training::TrainingStep;

/// Prompts per batch.
const PROMPTS: usize = 32;

/// Batches that are created before timing starts.
const BATCHES: usize = 4;

/// One training step per size.
pub fn training() -> Vec<Case> {
    SIZES.map(|size| training_step(format!("training/{}", size.name), TrainingStep::of(size))).into()
}

/// Creates the case of a training step.
pub fn training_step(name: String, step: TrainingStep) -> Case {
    Case {
        name,
        variant: "",
        on_device: true,
        flops: step.flops(),
        bytes: step.bytes(),
        memory: 2.0 * step.bytes(),
        items: (step.tokens() as f64, "tokens"),
        prepare: Box::new(move |device| {
            let (mut training, mut number) = (step.prepare(BATCHES, device), 0);
            let work = move || {
                training.step(number);
                number += 1;
            };
            Box::new(work) as Box<dyn Work>
        }),
    }
}

/// One generation case per size.
pub fn generation() -> Vec<Case> {
    let case = |size: Size| {
        let work = Generation { size, dtype: FloatType::F32, rows: PROMPTS, seq: PROMPT };
        Case {
            name: format!("generation/{}", size.name),
            variant: "",
            on_device: true,
            flops: work.flops(),
            bytes: work.bytes(),
            memory: 2.0 * work.bytes() / NEW_TOKENS as f64,
            items: ((PROMPTS * NEW_TOKENS) as f64, "tokens"),
            prepare: Box::new(move |device| {
                let (generator, mut number) = (work.prepare(BATCHES, device), 0);
                let work = move || {
                    generator.step(number);
                    number += 1;
                };
                Box::new(work) as Box<dyn Work>
            }),
        }
    };
    SIZES.map(case).into()
}

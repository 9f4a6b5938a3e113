//! The hidden states of an evaluation's prompts, from one pass of the model over them.

use std::collections::HashMap;

use coin_analysis::{RepresentationWriter, StateLabel};

use super::ledger::Record;
use super::plan::Plan;
use crate::EvalError;
use crate::engine::model::{GenerateOptions, LanguageModel, ModelError};

/// Passes the hidden state at the last prompt token of every prompt of the tasks named in `tasks` to `writer`, task by task.
///
/// `records` are the answers to the same prompts; each state is labeled with the class read from its answer, if there is one.
/// `progress` is called with the number of states so far and the total.
///
/// # Errors
/// [`EvalError::Invalid`] for a task that is not in the plan, [`EvalError::Model`] if the model fails or returns no hidden states,
/// [`EvalError::Analysis`] if the states cannot be written.
pub fn collect_states(
    plan: &Plan<'_>,
    model: &mut dyn LanguageModel,
    tasks: &[String],
    records: &[Record],
    writer: &mut RepresentationWriter,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(), EvalError> {
    if let Some(stray) = tasks.iter().find(|name| plan.units().all(|unit| unit.task.name != **name)) {
        return Err(EvalError::Invalid(format!(
            "no hidden states for task `{}`, because it is not evaluated",
            coin_core::quote::cut(stray)
        )));
    }
    let predicted: HashMap<(&str, &str, usize, usize), i64> = records
        .iter()
        .map(|record| ((record.task.as_str(), record.level.as_str(), record.instruction, record.row), record.pred))
        .collect();
    let wanted = || plan.units().filter(|unit| tasks.contains(&unit.task.name));
    let total = wanted().map(|unit| unit.examples.len()).sum();
    progress(0, total);
    for unit in wanted() {
        let prompts: Vec<_> = plan.prompts(&*model, &unit)?.into_iter().map(|fitted| fitted.prompt).collect();
        let options = GenerateOptions { max_new_tokens: 1, hidden: true };
        let states = model.generate_all(&prompts, &options, &|_| true).map_err(|source| unit.failed(source))?;
        for (example, state) in unit.examples.iter().zip(states) {
            let state =
                state.hidden.ok_or_else(|| unit.failed(ModelError::new("the model does not return hidden states")))?;
            let place = (unit.task.name.as_str(), unit.level, unit.instruction, example.row);
            let label = StateLabel {
                task: place.0,
                level: place.1,
                instruction: place.2,
                row: place.3,
                gold: example.label,
                predicted: predicted.get(&place).copied(),
            };
            writer.push(&label, &state)?;
        }
        progress(writer.len(), total);
    }
    Ok(())
}

//! Agreement between instructions: how often two of them get the same class for the same example.
//!
//! An unparsable answer (-1) never agrees, not even with another unparsable answer, because the two texts may differ.

use super::aggregation::mean_of_some;
use super::answers::{LevelAnswers, shared};
use crate::run::ledger::Record;

/// Mean over pairs of instructions of the fraction of their common examples with the same class.
pub(super) fn between_instructions(level: &LevelAnswers) -> Option<f64> {
    let columns = &level.columns;
    let others = |place: usize| columns[place + 1..].iter().map(move |other| (&columns[place], other));
    mean_of_some((0..columns.len()).flat_map(others).map(|(a, b)| share(shared(a, b))))
}

/// Fraction of answers, over all instructions, with the same class as under the clean instruction of the same number.
pub(super) fn with_clean(level: &LevelAnswers, clean: &LevelAnswers) -> Option<f64> {
    share(level.columns.iter().flat_map(|column| {
        let same = clean.columns.iter().find(|other| other.instruction == column.instruction);
        same.into_iter().flat_map(move |other| shared(column, other))
    }))
}

fn share<'a>(pairs: impl Iterator<Item = (&'a Record, &'a Record)>) -> Option<f64> {
    let (mut same, mut all) = (0usize, 0usize);
    for (a, b) in pairs {
        same += usize::from(a.pred == b.pred && a.pred >= 0);
        all += 1;
    }
    (all > 0).then(|| same as f64 / all as f64)
}

//! Draws rows of one answer without replacement, in rounds.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom;

use coin_core::quote::cut;
use coin_core::stream;

use crate::{DataError, Instance, Task};

/// The rows of one answer, drawn without replacement in rounds.
pub(super) struct Deck {
    pub(super) answer: String,
    pub(super) rows: Vec<usize>,
    /// The remaining rows of the current round; the next row is the last.
    order: Vec<usize>,
    round: usize,
}

impl Deck {
    pub(super) fn draw(&mut self, seed: u64, task: &str) -> usize {
        if let Some(row) = self.order.pop() {
            return row;
        }
        self.order.clone_from(&self.rows);
        let mut random = stream::keyed(seed, &["rows", task, &self.answer, &self.round.to_string()]);
        self.order.shuffle(&mut random);
        self.round += 1;
        // A deck has at least one row.
        self.order.pop().unwrap_or(self.rows[0])
    }
}

/// Groups the instances by answer, in alphabetical order of the answer words.
pub(super) fn decks(task: &Task, instances: &[Instance]) -> Result<Vec<Deck>, DataError> {
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, instance) in instances.iter().enumerate() {
        if instance.task != task.name {
            let (other, row, name) = (cut(&instance.task), instance.row, cut(&task.name));
            return Err(DataError::Invalid(format!("task `{name}`: row {row} is of the task `{other}`")));
        }
        rows.entry(task.answer(instance)?).or_default().push(at);
    }
    let deck =
        |(answer, rows): (&str, Vec<usize>)| Deck { answer: answer.to_owned(), rows, order: Vec::new(), round: 0 };
    Ok(rows.into_iter().map(deck).collect())
}

/// Removes rows without a possible hard negative, because every row with another answer has the same fields. Returns their number.
pub(super) fn remove_without_negative(decks: &mut [Deck], instances: &[Instance]) -> usize {
    let texts: Vec<BTreeSet<_>> =
        decks.iter().map(|deck| deck.rows.iter().map(|&row| &instances[row].fields).collect()).collect();
    let mut taken = 0;
    for (at, deck) in decks.iter_mut().enumerate() {
        let others: Vec<_> =
            texts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, texts)| texts).collect();
        let before = deck.rows.len();
        deck.rows.retain(|&row| others.iter().any(|texts| texts.len() > 1 || !texts.contains(&instances[row].fields)));
        taken += before - deck.rows.len();
    }
    taken
}

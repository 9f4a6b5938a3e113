//! Choice of the changed answers to show: a few, determined by a seed, from as many tasks as possible.

use std::collections::BTreeMap;

use coin_core::stream;
use rand::RngCore;

use super::Place;

/// Chooses examples and remembers which tasks it has shown.
pub(super) struct Choice<'a> {
    most: usize,
    seed: u64,
    shown: BTreeMap<&'a str, usize>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(most: usize, seed: u64) -> Self {
        Choice { most, seed, shown: BTreeMap::new() }
    }

    /// Chooses at most `most` of `candidates`, each time from one of the tasks shown least often. The random stream keyed by
    /// `key` and the prompt decides between such tasks and between the prompts of a task.
    pub(super) fn choose(&mut self, key: &[&str], candidates: Vec<Place<'a>>) -> Vec<Place<'a>> {
        let rank = |(task, instruction, row): &Place| {
            let (instruction, row) = (instruction.to_string(), row.to_string());
            let key = [&["flips"], key, &[*task, &instruction, &row]].concat();
            stream::keyed(self.seed, &key).next_u64()
        };
        let mut ranked: Vec<(u64, Place)> = candidates.into_iter().map(|place| (rank(&place), place)).collect();
        ranked.sort_unstable();
        let mut chosen = Vec::new();
        while chosen.len() < self.most {
            let shown = |place: &Place| self.shown.get(place.0).copied().unwrap_or(0);
            let Some(next) = (0..ranked.len()).min_by_key(|index| (shown(&ranked[*index].1), *index)) else { break };
            let (_, place) = ranked.remove(next);
            *self.shown.entry(place.0).or_default() += 1;
            chosen.push(place);
        }
        chosen
    }
}

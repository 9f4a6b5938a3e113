//! Choice of the examples of a task that are evaluated.
//!
//! Each example has a priority drawn from a separate stream, keyed by seed, task, row and (under preset
//! `paper`) level; the `count` examples with the smallest priorities are taken. The choice therefore does not depend on the
//! order in which examples are read, and a larger sample contains every example of a smaller one.

use coin_core::stream;
use coin_data::{Instance, Task};
use rand::RngCore;

/// Samples `count` of `instances`, or all if there are not more, in the order of their rows.
///
/// `level` is `None` if all levels share their examples (preset `strict`), or the level's name if each level draws
/// separate examples (preset `paper`, as the released program does).
///
/// ```
/// use coin_data::{Instance, Task};
/// let task = Task::named("cola")?;
/// let all: Vec<_> = (0..50).map(|row| Instance::new("cola", row, [("sentence", "It rains.")], 1)).collect();
/// let sample = coin_eval::sample(&all, 10, 42, &task, None);
/// assert_eq!(sample.len(), 10);
/// assert!(sample.is_sorted_by_key(|instance| instance.row));
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn sample(instances: &[Instance], count: usize, seed: u64, task: &Task, level: Option<&str>) -> Vec<Instance> {
    let mut chosen: Vec<&Instance> = instances.iter().collect();
    if count < instances.len() {
        chosen.sort_by_cached_key(|instance| (priority(seed, "sample", task, instance.row, level), instance.row));
        chosen.truncate(count);
    }
    chosen.sort_by_key(|instance| instance.row);
    chosen.into_iter().cloned().collect()
}

/// A random number for the example `row`, keyed also by the `purpose` of the choice.
pub(crate) fn priority(seed: u64, purpose: &str, task: &Task, row: usize, level: Option<&str>) -> u64 {
    let row = row.to_string();
    match level {
        None => stream::keyed(seed, &[purpose, &task.name, &row]).next_u64(),
        Some(level) => stream::keyed(seed, &[purpose, &task.name, &row, level]).next_u64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, seed: u64, level: Option<&str>) -> Vec<usize> {
        let task = Task::named("cola").unwrap();
        let all: Vec<_> = (0..100).map(|row| Instance::new("cola", row, [("sentence", "a")], 0)).collect();
        sample(&all, count, seed, &task, level).into_iter().map(|instance| instance.row).collect()
    }

    #[test]
    fn the_key_alone_decides() {
        assert_eq!(rows(10, 1, None), rows(10, 1, None));
        assert_ne!(rows(10, 1, None), rows(10, 2, None));
        assert_ne!(rows(10, 1, Some("clean")), rows(10, 1, Some("semantic")));
        assert_eq!(rows(1000, 1, None), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_larger_sample_holds_the_smaller() {
        let large = rows(30, 7, None);
        assert!(rows(10, 7, None).iter().all(|row| large.contains(row)));
    }

    #[test]
    fn the_order_of_reading_does_not_matter() {
        let task = Task::named("cola").unwrap();
        let mut all: Vec<_> = (0..40).map(|row| Instance::new("cola", row, [("sentence", "a")], 0)).collect();
        let forward = sample(&all, 9, 3, &task, None);
        all.reverse();
        assert_eq!(sample(&all, 9, 3, &task, None), forward);
    }
}

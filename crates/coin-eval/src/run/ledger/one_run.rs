//! Checks that all lines of a ledger belong to one run: one model, each answer once, one class per example.

use std::collections::HashMap;
use std::path::Path;

use coin_core::quote::cut;

use super::Record;
use crate::EvalError;

/// Assigns numbers to names, in the order of first appearance.
///
/// Lines of one cell are adjacent in a ledger, so most names equal those of the previous line and need no lookup: checking a ledger
/// of 90,000 lines takes a small fraction of the time that reading it takes.
struct Numbers<'a> {
    known: HashMap<(&'a str, &'a str), usize>,
    last: Option<((&'a str, &'a str), usize)>,
}

impl<'a> Numbers<'a> {
    fn new() -> Self {
        Numbers { known: HashMap::new(), last: None }
    }

    fn of(&mut self, name: (&'a str, &'a str)) -> usize {
        if let Some((last, number)) = self.last
            && last == name
        {
            return number;
        }
        let next = self.known.len();
        let number = *self.known.entry(name).or_insert(next);
        self.last = Some((name, number));
        number
    }
}

/// Rejects records that belong to two different runs, and names the offending line.
pub(super) fn check(path: &Path, records: &[Record]) -> Result<(), EvalError> {
    let fault =
        |line: usize, message: String| Err(EvalError::Malformed { path: path.to_owned(), line: line + 1, message });
    let (mut tasks, mut cells) = (Numbers::new(), Numbers::new());
    let mut answered: HashMap<(usize, usize, usize), usize> = HashMap::with_capacity(records.len());
    let mut examples: HashMap<(usize, usize), (usize, usize)> = HashMap::new();
    for (line, record) in records.iter().enumerate() {
        let Record { model, task, level, instruction, row, gold, .. } = record;
        if *model != records[0].model {
            let (model, first) = (cut(model), cut(&records[0].model));
            return fault(
                line,
                format!("answered by the model `{model}`, but line 1 by `{first}`; a ledger contains one run"),
            );
        }
        if let Some(before) = answered.insert((cells.of((task, level)), *instruction, *row), line) {
            let (task, level) = (cut(task), cut(level));
            let what = format!("task `{task}`, level `{level}`, instruction {instruction}, example {row}");
            return fault(line, format!("{what} was already answered in line {}", before + 1));
        }
        let (class, before) = *examples.entry((tasks.of((task, "")), *row)).or_insert((*gold, line));
        if class != *gold {
            let what = format!("task `{}`, example {row} has class {gold}", cut(task));
            return fault(line, format!("{what}, but class {class} in line {}", before + 1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(model: &str, level: &str, row: usize, gold: usize) -> Record {
        let (task, level) = ("cola".to_owned(), level.to_owned());
        Record { model: model.to_owned(), task, level, row, gold, ..Record::default() }
    }

    #[test]
    fn lines_of_another_run_are_named() {
        let message = |records: &[Record]| check(Path::new("ledger.jsonl"), records).unwrap_err().to_string();
        let first = record("a", "clean", 0, 1);
        assert!(
            check(Path::new(""), &[first.clone(), record("a", "semantic", 0, 1), record("a", "clean", 1, 0)]).is_ok()
        );
        let other = message(&[first.clone(), record("b", "clean", 1, 0)]);
        assert_eq!(other, "ledger.jsonl:2: answered by the model `b`, but line 1 by `a`; a ledger contains one run");
        let twice = message(&[first.clone(), record("a", "clean", 1, 0), first.clone()]);
        assert!(twice.starts_with("ledger.jsonl:3: ") && twice.ends_with("was already answered in line 1"), "{twice}");
        let class = message(&[first, record("a", "semantic", 0, 0)]);
        assert_eq!(class, "ledger.jsonl:2: task `cola`, example 0 has class 0, but class 1 in line 1");
    }

    #[test]
    fn long_input_is_cut_in_messages() {
        let long = "x".repeat(1_000_000);
        let first = Record { task: long.clone(), ..record(&long, &long, 0, 1) };
        let others =
            [record("b", "clean", 1, 0), first.clone(), Record { gold: 0, level: "clean".to_owned(), ..first.clone() }];
        for other in others {
            let message = check(Path::new("ledger.jsonl"), &[first.clone(), other]).unwrap_err().to_string();
            assert!(message.starts_with("ledger.jsonl:2: ") && message.len() < 1_000, "{}", message.len());
        }
    }
}

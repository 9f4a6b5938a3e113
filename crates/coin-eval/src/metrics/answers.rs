//! The records of one run, ordered by task, level, instruction and example. Metrics and statistics are computed from them.

use std::collections::BTreeMap;

use coin_core::quote::cut;
use coin_data::{Metric, Task};

use crate::EvalError;
use crate::levels::{CLEAN, LEVELS};
use crate::run::ledger::Record;

/// The answers of one run.
pub(crate) struct Answers<'a> {
    /// In the order of the task definitions, followed by others sorted by name.
    pub tasks: Vec<TaskAnswers<'a>>,
}

/// One task of a run.
pub(crate) struct TaskAnswers<'a> {
    pub task: &'a str,
    pub group: &'a str,
    pub metrics: &'a [Metric],
    /// The rows of all levels, ascending. A place of a row is an index into this list.
    pub rows: Vec<usize>,
    /// The instructions of all levels, ascending. A place of an instruction is an index into this list.
    pub instructions: Vec<usize>,
    /// In the order of [`LEVELS`], followed by others sorted by name.
    pub levels: Vec<LevelAnswers<'a>>,
}

/// One task at one level.
pub(crate) struct LevelAnswers<'a> {
    pub level: &'a str,
    /// Ascending by instruction. No column is empty.
    pub columns: Vec<Column<'a>>,
}

/// The answers under one instruction.
pub(crate) struct Column<'a> {
    /// Place of the instruction in [`TaskAnswers::instructions`].
    pub instruction: usize,
    /// Place of the row in [`TaskAnswers::rows`], ascending, and the answer.
    pub answers: Vec<(usize, &'a Record)>,
}

/// A level and its records, in any order.
type NamedCell<'a> = (&'a str, Vec<&'a Record>);

/// Returns true if the answer is the example's class.
pub(crate) fn right(record: &Record) -> bool {
    usize::try_from(record.pred).is_ok_and(|class| class == record.gold)
}

impl<'a> Answers<'a> {
    /// Orders `records`. `tasks` determines the groups and metrics. A task that it does not contain forms its own group and
    /// is measured by accuracy.
    ///
    /// Rejects records of different models or scorers, and two records of the same task, level, instruction and row, which
    /// would count twice. Rejects classes that a known task does not have.
    pub fn new(
        name: &str,
        records: impl IntoIterator<Item = &'a Record>,
        tasks: &'a [Task],
    ) -> Result<Answers<'a>, EvalError> {
        let mut cells: Vec<(&str, &str, Vec<&Record>)> = Vec::new();
        let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut place = usize::MAX;
        let mut first: Option<&Record> = None;
        for record in records {
            same_run(name, first.get_or_insert(record), record)?;
            // The records of a cell are consecutive in a ledger, so most need no search.
            if cells.get(place).is_none_or(|(task, level, _)| *task != record.task || *level != record.level) {
                place = *places.entry((&record.task, &record.level)).or_insert(cells.len());
                if place == cells.len() {
                    cells.push((&record.task, &record.level, Vec::new()));
                }
            }
            cells[place].2.push(record);
        }
        let mut by_task: BTreeMap<(usize, &str), Vec<NamedCell>> = BTreeMap::new();
        for (task, level, cell) in cells {
            let place = tasks.iter().position(|known| known.name == task).unwrap_or(tasks.len());
            by_task.entry((place, task)).or_default().push((level, cell));
        }
        let ordered = by_task.into_iter().map(|((place, task), mut levels)| {
            levels.sort_by_key(|(level, _)| (order(&LEVELS, level), *level));
            let all = || levels.iter().flat_map(|(_, cell)| cell);
            if let Some(known) = tasks.get(place) {
                check_classes(name, known, all().copied())?;
            }
            let rows = distinct(all().map(|record| record.row));
            let instructions = distinct(all().map(|record| record.instruction));
            let levels = levels
                .into_iter()
                .map(|(level, cell)| Ok(LevelAnswers { level, columns: columns(name, &rows, &instructions, cell)? }))
                .collect::<Result<_, EvalError>>()?;
            let (group, metrics) =
                tasks.get(place).map_or((task, &[][..]), |known| (known.group.as_str(), known.metrics.as_slice()));
            Ok(TaskAnswers { task, group, metrics, rows, instructions, levels })
        });
        let tasks: Vec<_> = ordered.collect::<Result<_, EvalError>>()?;
        match tasks.is_empty() {
            true => Err(EvalError::Invalid(format!("run `{}` has no answers", cut(name)))),
            false => Ok(Answers { tasks }),
        }
    }

    /// Iterates over every task and level.
    pub fn cells(&self) -> impl Iterator<Item = (&TaskAnswers<'a>, &LevelAnswers<'a>)> {
        self.tasks.iter().flat_map(|task| task.levels.iter().map(move |level| (task, level)))
    }
}

impl<'a> TaskAnswers<'a> {
    /// Returns the level `clean`.
    pub fn clean(&self) -> Option<&LevelAnswers<'a>> {
        self.levels.iter().find(|level| level.level == CLEAN)
    }
}

impl<'a> LevelAnswers<'a> {
    /// Iterates over all answers, by instruction.
    pub fn records(&self) -> impl Iterator<Item = &'a Record> {
        self.columns.iter().flat_map(|column| &column.answers).map(|(_, record)| *record)
    }
}

/// Iterates over the answers of two columns to the same rows.
pub(crate) fn shared<'a, 'b>(
    a: &'b Column<'a>,
    b: &'b Column<'a>,
) -> impl Iterator<Item = (&'a Record, &'a Record)> + use<'a, 'b> {
    let mut rest = b.answers.iter().peekable();
    a.answers.iter().filter_map(move |(row, record)| {
        while rest.next_if(|(other, _)| other < row).is_some() {}
        rest.next_if(|(other, _)| other == row).map(|(_, other)| (*record, *other))
    })
}

/// Returns the position of `name` in `known`, or the length of `known` if it is not in it.
pub(crate) fn order(known: &[&str], name: &str) -> usize {
    known.iter().position(|known| *known == name).unwrap_or(known.len())
}

fn distinct(values: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut values: Vec<usize> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn columns<'a>(
    name: &str,
    rows: &[usize],
    instructions: &[usize],
    mut cell: Vec<&'a Record>,
) -> Result<Vec<Column<'a>>, EvalError> {
    let place = |list: &[usize], value: usize| list.partition_point(|known| *known < value);
    cell.sort_by_key(|record| (record.instruction, record.row));
    if let Some(pair) =
        cell.windows(2).find(|pair| (pair[0].instruction, pair[0].row) == (pair[1].instruction, pair[1].row))
    {
        let Record { task, level, instruction, row, .. } = pair[0];
        let (name, task, level) = (cut(name), cut(task), cut(level));
        return Err(EvalError::Invalid(format!(
            "run `{name}`: task `{task}`, level `{level}`, instruction {instruction}, row {row} has more than one answer"
        )));
    }
    let column = |records: &[&'a Record]| Column {
        instruction: place(instructions, records[0].instruction),
        answers: records.iter().map(|record| (place(rows, record.row), *record)).collect(),
    };
    Ok(cell.chunk_by(|a, b| a.instruction == b.instruction).map(column).collect())
}

/// Rejects `record` if its model or its scorer differs from that of `first`.
fn same_run(name: &str, first: &Record, record: &Record) -> Result<(), EvalError> {
    let (what, ours, theirs) = if record.model != first.model {
        ("answered by two models", first.model.as_str(), record.model.as_str())
    } else if record.parser != first.parser {
        ("read by two scorers", first.parser.name(), record.parser.name())
    } else {
        return Ok(());
    };
    let Record { task, level, instruction, row, .. } = record;
    let (name, ours, theirs) = (cut(name), cut(ours), cut(theirs));
    let (task, level) = (cut(task), cut(level));
    Err(EvalError::Invalid(format!(
        "run `{name}` was {what}, `{ours}` and `{theirs}` (task `{task}`, level `{level}`, instruction {instruction}, row {row})"
    )))
}

/// Rejects a class that `task` does not have.
fn check_classes<'a>(name: &str, task: &Task, records: impl Iterator<Item = &'a Record>) -> Result<(), EvalError> {
    let classes = task.labels.len();
    let valid = |record: &Record| record.gold < classes && record.pred < classes as i64 && record.pred >= -1;
    match records.into_iter().find(|record| !valid(record)) {
        None => Ok(()),
        Some(Record { level, instruction, row, pred, gold, .. }) => Err(EvalError::Invalid(format!(
            "run `{}`: task `{}`, level `{}`, instruction {instruction}, row {row}: prediction {pred} and class \
             {gold}, but the task has {classes} classes",
            cut(name),
            cut(&task.name),
            cut(level)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(task: &str, level: &str, instruction: usize, row: usize) -> Record {
        Record { task: task.to_owned(), level: level.to_owned(), instruction, row, ..Record::default() }
    }

    #[test]
    fn records_in_any_order_are_put_in_order() {
        let records = [
            record("own", "clean", 0, 4),
            record("sst2", "zeta", 3, 9),
            record("sst2", "clean", 3, 7),
            record("sst2", "clean", 1, 9),
            record("cola", "clean", 0, 0),
            record("sst2", "clean", 3, 5),
            record("sst2", "semantic", 3, 5),
        ];
        let tasks = Task::glue();
        let answers = Answers::new("run", &records, &tasks).unwrap();
        let cells: Vec<_> = answers.cells().map(|(task, level)| (task.task, task.group, level.level)).collect();
        assert_eq!(
            cells,
            [
                ("cola", "grammar", "clean"),
                ("sst2", "sentiment", "clean"),
                ("sst2", "sentiment", "semantic"),
                ("sst2", "sentiment", "zeta"),
                ("own", "own", "clean")
            ]
        );
        let sst2 = &answers.tasks[1];
        assert_eq!((sst2.rows.as_slice(), sst2.instructions.as_slice()), ([5, 7, 9].as_slice(), [1, 3].as_slice()));
        let places: Vec<Vec<usize>> =
            sst2.levels[0].columns.iter().map(|column| column.answers.iter().map(|(row, _)| *row).collect()).collect();
        assert_eq!(places, [vec![2], vec![0, 1]]);
        let [a, b] = &sst2.levels[0].columns[..] else { panic!("two instructions") };
        assert_eq!(shared(a, b).count(), 0);
        assert_eq!(shared(b, &sst2.levels[1].columns[0]).map(|(b, _)| b.row).collect::<Vec<_>>(), [5]);
        assert!(answers.tasks[2].metrics.is_empty());
    }

    #[test]
    fn a_run_has_one_model_and_one_scorer() {
        let mut records = [record("cola", "clean", 0, 0), record("cola", "clean", 0, 1)];
        records[1].model = "other".to_owned();
        let message = |records: &[Record]| Answers::new("cit", records, &[]).err().unwrap().to_string();
        assert_eq!(
            message(&records),
            "run `cit` was answered by two models, `` and `other` (task `cola`, level `clean`, instruction 0, row 1)"
        );
        records[0].model = "other".to_owned();
        records[1].parser = crate::parser::AnswerParser::Normalizing;
        assert!(message(&records).contains("read by two scorers, `released` and `normalizing`"));
        assert!(crate::metrics::score("cit", &records).is_err());
    }

    #[test]
    fn a_record_may_be_there_once() {
        let records = [record("cola", "clean", 2, 4), record("cola", "clean", 2, 5), record("cola", "clean", 2, 4)];
        let message = Answers::new("cit", &records, &[]).err().unwrap().to_string();
        assert_eq!(message, "run `cit`: task `cola`, level `clean`, instruction 2, row 4 has more than one answer");

        let stray =
            |pred, gold| Record { task: "cola".to_owned(), level: "clean".to_owned(), pred, gold, ..Record::default() };
        for (record, expected) in
            [(stray(7, 1), "prediction 7 and class 1"), (stray(1, 2), "class 2, but the task has 2")]
        {
            let message = Answers::new("cit", [&record], &Task::glue()).err().unwrap().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}

//! The two-way bootstrap of accuracy and of its spread over instructions.
//!
//! A draw gives every example r of a task a weight w_r and every instruction i a weight v_i: the number of times it was
//! drawn when n items are drawn from n with replacement. Then
//!
//! ```text
//! accuracy_i* = sum_r w_r right_ir / sum_r w_r        over the examples answered under i
//! accuracy*   = sum_i v_i accuracy_i* / sum_i v_i
//! std*        = sqrt( sum_i v_i (accuracy_i* - accuracy*)^2 / sum_i v_i )
//! ```
//!
//! An instruction is skipped if none of its examples was drawn. A cell without any remaining instruction keeps its
//! measured value in that replicate. Both happen only if levels or instructions have different examples.

use coin_core::stream;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::EvalError;
use crate::metrics::answers::{Answers, LevelAnswers, TaskAnswers, right};
use crate::metrics::summary::{Bootstrap, Interval, PValue};

/// Minimum number of replicates. With fewer, less than one replicate lies outside a 95 % interval on each side.
pub const MIN_REPLICATES: usize = 40;

/// Maximum number of replicates. Each replicate stores two numbers per cell.
pub const MAX_REPLICATES: usize = 1_000_000;

impl Bootstrap {
    /// Checks the number of replicates.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] if there are fewer than [`MIN_REPLICATES`] or more than [`MAX_REPLICATES`].
    pub fn check(&self) -> Result<(), EvalError> {
        let replicates = self.replicates;
        match (MIN_REPLICATES..=MAX_REPLICATES).contains(&replicates) {
            true => Ok(()),
            false => Err(EvalError::Invalid(format!(
                "{replicates} bootstrap replicates: expected {MIN_REPLICATES} (the minimum for a 95 % interval) to \
                 {MAX_REPLICATES}"
            ))),
        }
    }
}

/// Accuracy and standard deviation of every cell in every replicate.
pub(super) struct Replicates {
    /// `[cell][replicate]`, cells in the order of [`Answers::cells`].
    pub accuracy: Vec<Vec<f64>>,
    /// `[cell][replicate]`, in the same order.
    pub std: Vec<Vec<f64>>,
    /// The measured accuracy and standard deviation, `[cell]`.
    pub measured: Vec<(f64, f64)>,
}

impl Replicates {
    /// Draws the replicates of one run. Runs with the same examples and instructions use the same draws, because these are
    /// keyed only by the seed and the task.
    pub fn draw(answers: &Answers, bootstrap: Bootstrap) -> Result<Replicates, EvalError> {
        let Bootstrap { replicates, seed } = bootstrap;
        bootstrap.check()?;
        let (mut accuracy, mut std, mut measured) = (Vec::new(), Vec::new(), Vec::new());
        for task in &answers.tasks {
            let mut draws = Draws::new(task, seed);
            let cells: Vec<Cell> = task.levels.iter().map(|level| Cell::new(task, level)).collect();
            let mut values = vec![(Vec::with_capacity(replicates), Vec::with_capacity(replicates)); cells.len()];
            for _ in 0..replicates {
                draws.next();
                for (cell, (accuracies, stds)) in cells.iter().zip(&mut values) {
                    let (mean, std) = cell.under(&draws.rows, &draws.instructions).unwrap_or(cell.measured);
                    accuracies.push(mean);
                    stds.push(std);
                }
            }
            measured.extend(cells.iter().map(|cell| cell.measured));
            for (accuracies, stds) in values {
                accuracy.push(accuracies);
                std.push(stds);
            }
        }
        Ok(Replicates { accuracy, std, measured })
    }
}

/// Draws as many items as there are `weights`, with replacement. A weight is the number of times that its item was drawn.
pub(super) fn redraw(random: &mut ChaCha8Rng, weights: &mut [u32]) {
    weights.fill(0);
    for _ in 0..weights.len() {
        let drawn = random.random_range(0..weights.len());
        weights[drawn] += 1;
    }
}

/// Weights of a task's examples and instructions, redrawn by [`Draws::next`].
struct Draws {
    random: ChaCha8Rng,
    rows: Vec<u32>,
    instructions: Vec<u32>,
}

impl Draws {
    fn new(task: &TaskAnswers, seed: u64) -> Draws {
        Draws {
            random: stream::keyed(seed, &["bootstrap", task.task]),
            rows: vec![0; task.rows.len()],
            instructions: vec![0; task.instructions.len()],
        }
    }

    fn next(&mut self) {
        for weights in [&mut self.rows, &mut self.instructions] {
            redraw(&mut self.random, weights);
        }
    }
}

/// One task at one level, stored for fast summation.
pub(super) struct Cell {
    columns: Vec<Correct>,
    pub(super) measured: (f64, f64),
}

struct Correct {
    instruction: usize,
    /// Places of the answered rows. Empty if all rows of the task were answered.
    answered: Vec<usize>,
    /// Places of the rows with a right answer.
    right: Vec<usize>,
}

impl Cell {
    fn new(task: &TaskAnswers, level: &LevelAnswers) -> Cell {
        Cell::among(task, level, &task.rows)
    }

    /// As [`new`](Self::new), with the weights of `rows`, which contains at least the rows of the task, ascending.
    pub(super) fn among(task: &TaskAnswers, level: &LevelAnswers, rows: &[usize]) -> Cell {
        let place = |row: usize| rows.partition_point(|known| *known < task.rows[row]);
        let columns = level.columns.iter().map(|column| {
            let all = column.answers.len() == rows.len();
            let answered = column.answers.iter().filter(|_| !all).map(|(row, _)| place(*row)).collect();
            let right = column.answers.iter().filter(|(_, record)| right(record)).map(|(row, _)| place(*row)).collect();
            Correct { instruction: column.instruction, answered, right }
        });
        let mut cell = Cell { columns: columns.collect(), measured: (0.0, 0.0) };
        let once = |count: usize| vec![1; count];
        // Every column has an answer, so weights of one always give a value.
        cell.measured = cell.under(&once(rows.len()), &once(task.instructions.len())).unwrap_or_default();
        cell
    }

    /// Computes accuracy and standard deviation under a draw. `None` if the draw does not contain any answer of the cell.
    pub(super) fn under(&self, rows: &[u32], instructions: &[u32]) -> Option<(f64, f64)> {
        let drawn = |places: &[usize]| places.iter().map(|row| rows[*row]).sum::<u32>();
        let (mut total, mut sum, mut values) = (0.0, 0.0, Vec::with_capacity(self.columns.len()));
        for column in self.columns.iter().filter(|column| instructions[column.instruction] > 0) {
            // The number of drawn rows equals the number of rows of the task.
            let answered = if column.answered.is_empty() { rows.len() as u32 } else { drawn(&column.answered) };
            if answered > 0 {
                let weight = f64::from(instructions[column.instruction]);
                let accuracy = f64::from(drawn(&column.right)) / f64::from(answered);
                total += weight;
                sum += weight * accuracy;
                values.push((weight, accuracy));
            }
        }
        if values.is_empty() {
            return None;
        }
        let mean = sum / total;
        let squares: f64 = values.iter().map(|(weight, accuracy)| weight * (accuracy - mean).powi(2)).sum();
        Some((mean, (squares / total).sqrt()))
    }
}

/// Computes the percentile interval: the 2.5 % and 97.5 % quantiles, interpolated linearly between order statistics.
pub(super) fn interval(mut replicates: Vec<f64>) -> Interval {
    replicates.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = share * (replicates.len() - 1) as f64;
        let (below, above) = (replicates[place.floor() as usize], replicates[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    Interval { low: quantile(0.025), high: quantile(0.975) }
}

/// Computes twice the smaller fraction of replicates at or beyond zero, counting the measured value as one of them (Davison
/// and Hinkley 1997, section 4.2). At most 1.
pub(super) fn p_value(replicates: &[f64]) -> PValue {
    let share = |beyond: usize| (1 + beyond) as f64 / (1 + replicates.len()) as f64;
    let below = share(replicates.iter().filter(|value| **value <= 0.0).count());
    let above = share(replicates.iter().filter(|value| **value >= 0.0).count());
    PValue { value: (2.0 * below.min(above)).min(1.0), holm: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ledger::Record;

    /// Records for each instruction; `right` gives the correctness of each row.
    fn records(level: &str, right: &[&[bool]]) -> Vec<Record> {
        let record = |instruction: usize, (row, right): (usize, &bool)| Record {
            task: "sst2".to_owned(),
            level: level.to_owned(),
            instruction,
            row,
            pred: i64::from(*right),
            gold: 1,
            ..Record::default()
        };
        let column = |(instruction, column): (usize, &&[bool])| {
            column.iter().enumerate().map(move |answer| record(instruction, answer)).collect::<Vec<_>>()
        };
        right.iter().enumerate().flat_map(column).collect()
    }

    #[test]
    fn weights_by_hand() {
        let ledger = records("clean", &[&[true, false, true], &[false, false, true]]);
        let answers = Answers::new("run", &ledger, &[]).unwrap();
        let (task, level) = answers.cells().next().unwrap();
        let cell = Cell::new(task, level);
        assert_eq!(cell.measured, (0.5, (2.0 / 3.0 - 1.0 / 3.0) / 2.0));
        // Instruction 0 has accuracy 2 / 3, instruction 1 has 0.
        let (mean, std) = cell.under(&[2, 1, 0], &[1, 1]).unwrap();
        assert!((mean - 1.0 / 3.0).abs() < 1e-15 && (std - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(cell.under(&[1, 1, 1], &[0, 2]).unwrap(), (1.0 / 3.0, 0.0));
    }

    #[test]
    fn what_was_not_drawn_is_left_out() {
        let ledger = [records("clean", &[&[true, true], &[false]]), records("own", &[&[true]])].concat();
        let answers = Answers::new("run", &ledger, &[]).unwrap();
        let task = &answers.tasks[0];
        let cells: Vec<Cell> = task.levels.iter().map(|level| Cell::new(task, level)).collect();
        assert_eq!(cells[0].under(&[0, 2], &[1, 1]), Some((1.0, 0.0)));
        assert_eq!(cells[1].under(&[0, 2], &[1, 1]), None);
        let bootstrap = Bootstrap { replicates: 40, seed: 1 };
        let drawn = Replicates::draw(&answers, bootstrap).unwrap();
        assert!(drawn.accuracy[1].iter().all(|value| *value == 1.0));
        let few = Replicates::draw(&answers, Bootstrap { replicates: 39, ..bootstrap }).err().unwrap();
        assert!(few.to_string().starts_with("39 bootstrap replicates: expected 40"), "{few}");
        for replicates in [0, MAX_REPLICATES + 1, usize::MAX] {
            assert!(Bootstrap { replicates, seed: 1 }.check().is_err());
        }
        assert!(Bootstrap { replicates: MAX_REPLICATES, seed: 1 }.check().is_ok());
    }

    #[test]
    fn levels_share_their_draws() {
        let answered: &[&[bool]] = &[&[true, false, true, true], &[false, false, true, true]];
        let ledger = [records("clean", answered), records("semantic", answered)].concat();
        let answers = Answers::new("run", &ledger, &[]).unwrap();
        let drawn = Replicates::draw(&answers, Bootstrap { replicates: 50, seed: 1 }).unwrap();
        assert_eq!(drawn.accuracy[0], drawn.accuracy[1]);
        assert!(drawn.accuracy[0].iter().any(|value| *value != drawn.accuracy[0][0]));
        let other = Replicates::draw(&answers, Bootstrap { replicates: 50, seed: 2 }).unwrap();
        assert_ne!(drawn.accuracy[0], other.accuracy[0]);
    }

    #[test]
    fn quantiles_and_p_values_by_hand() {
        // 41 values: the 2.5 % and 97.5 % quantiles are the second and the second to last.
        let values: Vec<f64> = (0..41).rev().map(f64::from).collect();
        assert_eq!(interval(values), Interval { low: 1.0, high: 39.0 });
        let with_below = |below: usize| (0..99).map(|i| if i < below { -1.0 } else { 1.0 }).collect::<Vec<_>>();
        assert_eq!(p_value(&with_below(0)).value, 0.02);
        assert_eq!(p_value(&with_below(96)).value, 0.08);
        assert_eq!(p_value(&[0.0; 99]).value, 1.0);
    }
}

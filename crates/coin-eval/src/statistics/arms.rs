//! Comparison of the arms of an experiment with a baseline, over seeds, instructions and examples together.
//!
//! A replicate draws seeds with replacement, the instructions of each task with replacement, and for every drawn seed the
//! examples of each task with replacement. Instructions are shared by the seeds, so one draw applies to all of them; examples
//! belong to a seed, so each drawn seed has its own draw, even if the same seed is drawn twice. All arms use the same draws, so
//! that differences are paired. The method for two levels is described by Davison and Hinkley (1997, section 3.8).
//!
//! With few seeds the interval is too narrow: n seeds drawn with replacement vary by (n - 1) / n of the variance between seeds.

use std::collections::{BTreeMap, BTreeSet};

use coin_core::quote::cut;
use coin_core::stream;
use coin_data::Task;
use rand::Rng;

use super::bootstrap::{Cell, interval, p_value, redraw};
use super::holm;
use crate::EvalError;
use crate::levels::{CLEAN, LEVELS};
use crate::metrics::aggregation::{Aggregation, mean};
use crate::metrics::answers::{Answers, order};
use crate::metrics::measure;
use crate::metrics::summary::{ArmDifference, ArmRow, ArmSummary, Bootstrap, PERTURBED, PValue, UNSEEN};
use crate::run::ledger::Record;

/// The answers of one run, and the levels at which they count.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The run's answers.
    pub records: &'a [Record],
    /// The levels at which these answers count. `None` for all.
    pub levels: Option<Vec<String>>,
}

/// The answers of one arm.
#[derive(Debug, Clone)]
pub struct Arm<'a> {
    /// The arm's name.
    pub name: String,
    /// The runs of each seed. A level at which several runs of a seed count has the mean of their values.
    pub seeds: Vec<Vec<Part<'a>>>,
    /// The levels whose attacks were used in training and whose answers come from that training.
    pub trained_levels: Vec<String>,
}

/// Compares every arm with the arm called `baseline`, whose summary has no differences. `seeds` are the seeds of
/// [`Arm::seeds`], in the same order. P-values are adjusted by [`holm`] over the arms, for each row and kind.
///
/// # Errors
/// [`EvalError::Invalid`] if there is no such baseline, if an arm lacks a seed, if two arms answered different prompts with the
/// same seed, if the seeds have different tasks, levels or instructions, or if the number of replicates is outside its domain
/// ([`Bootstrap::check`]).
///
/// ```
/// use coin_data::Task;
/// use coin_eval::statistics::{Arm, Part, compare_arms};
/// use coin_eval::{Bootstrap, Record};
/// let run = |right: usize| -> Vec<Record> {
///     let record = |row| Record { task: "sst2".to_owned(), level: "semantic".to_owned(), row, pred: i64::from(row < right), gold: 1, ..Record::default() };
///     (0..40).map(record).collect()
/// };
/// let runs = [[run(20), run(22)], [run(36), run(36)]];
/// let arm = |name: &str, runs: &'_ [Vec<Record>; 2]| (name.to_owned(), runs.clone());
/// let arms = [arm("cit", &runs[0]), arm("coin", &runs[1])];
/// let arms: Vec<Arm> = arms.iter().map(|(name, runs)| Arm {
///     name: name.clone(),
///     seeds: runs.iter().map(|records| vec![Part { records, levels: None }]).collect(),
///     trained_levels: Vec::new(),
/// }).collect();
/// let found = compare_arms(&arms, "cit", &[1, 2], &Task::glue(), Bootstrap::default())?;
/// let difference = found[1].row("perturbed").unwrap().difference.as_ref().unwrap();
/// assert!((difference.accuracy - 0.375).abs() < 1e-12 && difference.accuracy_interval.low > 0.1);
/// # Ok::<(), coin_eval::EvalError>(())
/// ```
pub fn compare_arms(
    arms: &[Arm],
    baseline: &str,
    seeds: &[u64],
    tasks: &[Task],
    bootstrap: Bootstrap,
) -> Result<Vec<ArmSummary>, EvalError> {
    bootstrap.check()?;
    let Some(base) = arms.iter().position(|arm| arm.name == baseline) else {
        return Err(EvalError::Invalid(format!("no arm is called `{}`, the baseline", cut(baseline))));
    };
    let shape = Shape::of(arms, base, seeds, tasks)?;
    let drawn =
        arms.iter().map(|arm| Values::of(arm, seeds, tasks, &shape, bootstrap)).collect::<Result<Vec<_>, _>>()?;
    let levels: Vec<&str> = shape.levels.iter().map(String::as_str).collect();
    let mut found: Vec<ArmSummary> = Vec::new();
    for (arm, values) in arms.iter().zip(&drawn) {
        let is_base = arm.name == baseline;
        let rows = rows(&levels, arm, &arms[base]).into_iter().map(|(name, places)| {
            let of = |values: &Values| values.average(&places);
            let (own, other) = (of(values), of(&drawn[base]));
            ArmRow {
                level: name,
                levels: places.iter().map(|place| levels[*place].to_owned()).collect(),
                accuracy: own.accuracy,
                accuracy_interval: interval(own.accuracies.clone()),
                std: own.std,
                worst_instruction: own.worst_instruction,
                difference: (!is_base).then(|| own.minus(&other)),
                seeds: own.seeds,
            }
        });
        let trained_levels = arm.trained_levels.clone();
        found.push(ArmSummary { name: arm.name.clone(), trained_levels, rows: rows.collect() });
    }
    adjust(&mut found);
    Ok(found)
}

/// The rows of an arm: their names and the places of their levels.
fn rows(levels: &[&str], arm: &Arm, baseline: &Arm) -> Vec<(String, Vec<usize>)> {
    let mut rows: Vec<(String, Vec<usize>)> =
        levels.iter().enumerate().map(|(place, level)| ((*level).to_owned(), vec![place])).collect();
    let perturbed: Vec<usize> = (0..levels.len()).filter(|place| levels[*place] != CLEAN).collect();
    let seen = |level: &str| [arm, baseline].iter().any(|arm| arm.trained_levels.iter().any(|known| known == level));
    let unseen: Vec<usize> = perturbed.iter().copied().filter(|place| !seen(levels[*place])).collect();
    for (name, places) in [(PERTURBED, perturbed), (UNSEEN, unseen)] {
        if !places.is_empty() {
            rows.push((name.to_owned(), places));
        }
    }
    rows
}

/// Adjusts the p-values of each row over the arms.
fn adjust(arms: &mut [ArmSummary]) {
    let names: BTreeSet<String> = arms.iter().flat_map(|arm| &arm.rows).map(|row| row.level.clone()).collect();
    let kinds: [fn(&mut ArmDifference) -> &mut PValue; 2] =
        [|difference| &mut difference.accuracy_p, |difference| &mut difference.std_p];
    for name in names {
        let rows = arms.iter_mut().flat_map(|arm| &mut arm.rows).filter(|row| row.level == name);
        let mut family: Vec<&mut ArmDifference> = rows.filter_map(|row| row.difference.as_mut()).collect();
        for kind in kinds {
            let values: Vec<f64> = family.iter_mut().map(|difference| kind(difference).value).collect();
            for (difference, adjusted) in family.iter_mut().zip(holm(&values)) {
                kind(difference).holm = Some(adjusted);
            }
        }
    }
}

/// An instruction and an example.
type Place = (usize, usize);

/// The prompts of one seed: the places of each task and level, with the example's class.
type Prompts = BTreeMap<(String, String), BTreeMap<Place, usize>>;

/// The parts that all arms and seeds share.
struct Shape {
    /// In the order of tables.
    levels: Vec<String>,
    /// The instructions of each task.
    instructions: BTreeMap<String, Vec<usize>>,
    /// The rows of each task, for each seed.
    rows: Vec<BTreeMap<String, Vec<usize>>>,
}

impl Shape {
    fn of(arms: &[Arm], base: usize, seeds: &[u64], tasks: &[Task]) -> Result<Shape, EvalError> {
        let mut shape = Shape { levels: Vec::new(), instructions: BTreeMap::new(), rows: Vec::new() };
        for (place, seed) in seeds.iter().enumerate() {
            let expected = prompts(&arms[base], place, *seed, tasks)?;
            for arm in arms {
                if prompts(arm, place, *seed, tasks)? != expected {
                    let (name, other) = (cut(&arm.name), cut(&arms[base].name));
                    return Err(EvalError::Invalid(format!(
                        "arms `{name}` and `{other}` answered different prompts with seed {seed}"
                    )));
                }
            }
            let levels: BTreeSet<&str> = expected.keys().map(|(_, level)| level.as_str()).collect();
            let mut levels: Vec<String> = levels.into_iter().map(str::to_owned).collect();
            levels.sort_by_key(|level| order(&LEVELS, level));
            let (mut rows, mut instructions) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
            for ((task, _), places) in &expected {
                let (instruction, row) = (instructions.entry(task.clone()), rows.entry(task.clone()));
                instruction.or_default().extend(places.keys().map(|(instruction, _)| *instruction));
                row.or_default().extend(places.keys().map(|(_, row)| *row));
            }
            let list = |sets: BTreeMap<String, BTreeSet<usize>>| -> BTreeMap<String, Vec<usize>> {
                sets.into_iter().map(|(task, set)| (task, set.into_iter().collect())).collect()
            };
            let instructions = list(instructions);
            shape.rows.push(list(rows));
            if place == 0 {
                (shape.levels, shape.instructions) = (levels, instructions);
            } else if (&levels, &instructions) != (&shape.levels, &shape.instructions) {
                return Err(EvalError::Invalid(format!(
                    "seeds {} and {seed} have different tasks, levels or instructions",
                    seeds[0]
                )));
            }
        }
        Ok(shape)
    }
}

/// Returns the prompts that an arm answered with one seed.
fn prompts(arm: &Arm, place: usize, seed: u64, tasks: &[Task]) -> Result<Prompts, EvalError> {
    let name = &arm.name;
    let Some(parts) = arm.seeds.get(place).filter(|parts| !parts.is_empty()) else {
        return Err(EvalError::Invalid(format!("arm `{}` was not run with seed {seed}", cut(name))));
    };
    let mut prompts = Prompts::new();
    for part in parts {
        // Also rejects two answers to one prompt, and classes that a task does not have.
        Answers::new(name, part.records, tasks)?;
        for record in part.records.iter().filter(|record| part.counts(&record.level)) {
            let cell = prompts.entry((record.task.clone(), record.level.clone())).or_default();
            cell.insert((record.instruction, record.row), record.gold);
        }
    }
    Ok(prompts)
}

impl Part<'_> {
    fn counts(&self, level: &str) -> bool {
        self.levels.as_ref().is_none_or(|levels| levels.iter().any(|known| known == level))
    }
}

/// Accuracy and standard deviation of an arm at each level: measured, and in every replicate.
struct Values {
    levels: Vec<Averaged>,
}

/// The values of one level, or their means over several.
#[derive(Clone)]
struct Averaged {
    accuracy: f64,
    std: f64,
    worst_instruction: f64,
    /// Accuracy of each seed.
    seeds: Vec<f64>,
    /// Accuracy in every replicate.
    accuracies: Vec<f64>,
    /// Standard deviation in every replicate.
    stds: Vec<f64>,
}

/// One task of one seed: for each level the cells whose values are averaged. Empty if the task lacks the level.
type TaskCells = Vec<Vec<Cell>>;

/// The measured values of each run, by task.
type Measured<'a> = BTreeMap<&'a str, Vec<[f64; 3]>>;

impl Values {
    fn of(arm: &Arm, seeds: &[u64], tasks: &[Task], shape: &Shape, bootstrap: Bootstrap) -> Result<Values, EvalError> {
        let place_of = |level: &str| shape.levels.iter().position(|known| known == level);
        let mut cells: Vec<BTreeMap<&str, TaskCells>> = Vec::new();
        // Accuracy, standard deviation and worst instruction of every level and task, for each seed.
        let mut measured: Vec<Vec<Measured>> = Vec::new();
        for (parts, rows) in arm.seeds.iter().zip(&shape.rows) {
            let mut by_task: BTreeMap<&str, TaskCells> = BTreeMap::new();
            let mut by_level = vec![Measured::new(); shape.levels.len()];
            for part in parts {
                let answers = Answers::new(&arm.name, part.records, tasks)?;
                let run = measure(arm.name.clone(), &answers, &Aggregation::new(&answers));
                for ((task, level), cell) in answers.cells().zip(&run.tasks) {
                    let (Some(place), true) = (place_of(level.level), part.counts(level.level)) else { continue };
                    let Some((name, rows)) = rows.get_key_value(task.task) else { continue };
                    let of_task = by_task
                        .entry(name)
                        .or_insert_with(|| std::iter::repeat_with(Vec::new).take(shape.levels.len()).collect());
                    of_task[place].push(Cell::among(task, level, rows));
                    let measures = &cell.measures;
                    let values = [measures.accuracy, measures.std, measures.worst_instruction];
                    by_level[place].entry(name).or_default().push(values);
                }
            }
            cells.push(by_task);
            measured.push(by_level);
        }
        let levels = (0..shape.levels.len()).map(|level| {
            let of = |seed: usize, value: usize| {
                let of_task = |runs: &Vec<[f64; 3]>| mean(runs.iter().map(|values| values[value]));
                mean(measured[seed][level].values().map(of_task))
            };
            let seeds = 0..seeds.len();
            Averaged {
                accuracy: mean(seeds.clone().map(|seed| of(seed, 0))),
                std: mean(seeds.clone().map(|seed| of(seed, 1))),
                worst_instruction: mean(seeds.clone().map(|seed| of(seed, 2))),
                seeds: seeds.map(|seed| of(seed, 0)).collect(),
                accuracies: Vec::with_capacity(bootstrap.replicates),
                stds: Vec::with_capacity(bootstrap.replicates),
            }
        });
        let mut values = Values { levels: levels.collect() };
        values.draw(seeds, &cells, shape, bootstrap);
        Ok(values)
    }

    /// Computes the replicates. The draws are keyed by the bootstrap's seed, the task and the seed only, so that they are the
    /// same for every arm.
    fn draw(&mut self, seeds: &[u64], cells: &[BTreeMap<&str, TaskCells>], shape: &Shape, bootstrap: Bootstrap) {
        let mut of_seeds = stream::keyed(bootstrap.seed, &["bootstrap", "seeds"]);
        let mut of_instructions: BTreeMap<&str, _> = shape
            .instructions
            .iter()
            .map(|(task, list)| {
                let random = stream::keyed(bootstrap.seed, &["bootstrap", "instructions", task]);
                (task.as_str(), (random, vec![0; list.len()]))
            })
            .collect();
        let mut of_rows: Vec<BTreeMap<&str, _>> = Vec::new();
        for (rows, seed) in shape.rows.iter().zip(seeds) {
            let draws = rows.iter().map(|(task, rows)| {
                let random = stream::keyed(bootstrap.seed, &["bootstrap", "examples", task, &seed.to_string()]);
                (task.as_str(), (random, vec![0; rows.len()]))
            });
            of_rows.push(draws.collect());
        }
        for _ in 0..bootstrap.replicates {
            for (random, weights) in of_instructions.values_mut() {
                redraw(random, weights);
            }
            // The sums over tasks and drawn seeds, and the number of their terms.
            let mut sums = vec![(0.0, 0.0, 0usize); shape.levels.len()];
            for _ in seeds {
                let seed = of_seeds.random_range(0..seeds.len());
                for (task, (random, rows)) in &mut of_rows[seed] {
                    redraw(random, rows);
                    let (Some(levels), Some((_, instructions))) = (cells[seed].get(task), of_instructions.get(task))
                    else {
                        continue;
                    };
                    for (cells, sum) in levels.iter().zip(&mut sums).filter(|(cells, _)| !cells.is_empty()) {
                        let values: Vec<(f64, f64)> =
                            cells.iter().map(|cell| cell.under(rows, instructions).unwrap_or(cell.measured)).collect();
                        sum.0 += mean(values.iter().map(|(accuracy, _)| *accuracy));
                        sum.1 += mean(values.iter().map(|(_, std)| *std));
                        sum.2 += 1;
                    }
                }
            }
            for (level, (accuracy, std, count)) in self.levels.iter_mut().zip(sums) {
                let count = count.max(1) as f64;
                level.accuracies.push(accuracy / count);
                level.stds.push(std / count);
            }
        }
    }

    /// Returns the means over the levels at `places`.
    fn average(&self, places: &[usize]) -> Averaged {
        let over = |value: &dyn Fn(&Averaged) -> f64| mean(places.iter().map(|place| value(&self.levels[*place])));
        let each = |list: fn(&Averaged) -> &Vec<f64>| -> Vec<f64> {
            let count = places.first().map_or(0, |place| list(&self.levels[*place]).len());
            (0..count).map(|index| over(&|level| list(level)[index])).collect()
        };
        Averaged {
            accuracy: over(&|level| level.accuracy),
            std: over(&|level| level.std),
            worst_instruction: over(&|level| level.worst_instruction),
            seeds: each(|level| &level.seeds),
            accuracies: each(|level| &level.accuracies),
            stds: each(|level| &level.stds),
        }
    }
}

impl Averaged {
    fn minus(&self, other: &Averaged) -> ArmDifference {
        let each = |ours: &[f64], theirs: &[f64]| -> Vec<f64> { ours.iter().zip(theirs).map(|(a, b)| a - b).collect() };
        let accuracies = each(&self.accuracies, &other.accuracies);
        let stds = each(&self.stds, &other.stds);
        ArmDifference {
            accuracy: self.accuracy - other.accuracy,
            accuracy_p: p_value(&accuracies),
            accuracy_interval: interval(accuracies),
            std: self.std - other.std,
            std_p: p_value(&stds),
            std_interval: interval(stds),
            worst_instruction: self.worst_instruction - other.worst_instruction,
            seeds: each(&self.seeds, &other.seeds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 200, seed: 1 };

    /// Records of one task; `right` gives the correctness of each row for each instruction.
    fn run(level: &str, right: &[&[bool]]) -> Vec<Record> {
        let mut records = Vec::new();
        for (instruction, column) in right.iter().enumerate() {
            for (row, right) in column.iter().enumerate() {
                records.push(Record {
                    task: "sst2".to_owned(),
                    level: level.to_owned(),
                    instruction,
                    row,
                    pred: i64::from(*right),
                    gold: 1,
                    ..Record::default()
                });
            }
        }
        records
    }

    fn arm<'a>(name: &str, runs: &'a [Vec<Record>]) -> Arm<'a> {
        let seeds = runs.iter().map(|records| vec![Part { records, levels: None }]).collect();
        Arm { name: name.to_owned(), seeds, trained_levels: Vec::new() }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn measured_values_by_hand() {
        let (yes, no) = (true, false);
        // Seed 1: accuracies 1/2 and 0; seed 2: 1 and 1/2.
        let cit = [run("semantic", &[&[yes, no], &[no, no]]), run("semantic", &[&[yes, yes], &[yes, no]])];
        let coin = [run("semantic", &[&[yes, yes], &[yes, yes]]), run("semantic", &[&[yes, yes], &[no, no]])];
        let found = compare_arms(&[arm("cit", &cit), arm("coin", &coin)], "cit", &[1, 2], &[], BOOTSTRAP).unwrap();
        let row = found[0].row("semantic").unwrap();
        close(row.accuracy, 0.5);
        close(row.std, 0.25);
        close(row.worst_instruction, 0.25);
        assert_eq!((row.seeds.as_slice(), &row.difference), ([0.25, 0.75].as_slice(), &None));
        let row = found[1].row(PERTURBED).unwrap();
        let difference = row.difference.as_ref().unwrap();
        close(difference.accuracy, 0.25);
        assert_eq!(difference.seeds, [0.75, -0.25]);
        close(difference.std, 0.0);
        close(difference.worst_instruction, 0.25);
        // One test per row, so nothing is adjusted.
        assert_eq!(difference.accuracy_p.holm, Some(difference.accuracy_p.value));
        assert!(difference.accuracy_interval.low <= -0.25 && difference.accuracy_interval.high >= 0.75);
    }

    #[test]
    fn arms_share_their_draws_and_p_values_are_adjusted_over_arms() {
        let runs = |right: usize| -> Vec<Vec<Record>> {
            (0..3usize)
                .map(|seed| {
                    let column: Vec<bool> = (0..40).map(|row| row < right + seed).collect();
                    run("semantic", &[&column, &column])
                })
                .collect()
        };
        let (low, high) = (runs(10), runs(34));
        let arms = [arm("cit", &low), arm("same", &low), arm("better", &high)];
        let found = compare_arms(&arms, "cit", &[1, 2, 3], &[], BOOTSTRAP).unwrap();
        let of = |arm: usize| found[arm].row(PERTURBED).unwrap().difference.clone().unwrap();
        assert_eq!((of(1).accuracy_interval.low, of(1).accuracy_interval.high), (0.0, 0.0));
        assert_eq!(of(1).accuracy_p, PValue { value: 1.0, holm: Some(1.0) });
        let better = of(2).accuracy_p;
        close(better.value, 2.0 / 201.0);
        close(better.holm.unwrap(), 4.0 / 201.0);
        assert!(of(2).accuracy_interval.low > 0.3);
        let row = found[0].row("semantic").unwrap();
        assert!(row.accuracy_interval.low < row.accuracy && row.accuracy < row.accuracy_interval.high);
    }

    #[test]
    fn a_level_counts_the_run_that_did_not_train_on_it() {
        let both = |clean: bool, word: bool| [run("clean", &[&[clean]]), run("textfooler", &[&[word]])].concat();
        let (first, second, base) = (both(true, true), both(false, false), vec![both(true, false)]);
        let levels = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let parts = vec![
            Part { records: &first, levels: levels(&["clean", "textfooler"]) },
            Part { records: &second, levels: levels(&["clean"]) },
        ];
        let out = Arm { name: "out".to_owned(), seeds: vec![parts], trained_levels: Vec::new() };
        let seen = Arm { trained_levels: vec!["textfooler".to_owned()], ..arm("seen", &base) };
        let found = compare_arms(&[arm("cit", &base), out, seen], "cit", &[1], &[], BOOTSTRAP).unwrap();
        let accuracy = |arm: usize, level: &str| found[arm].row(level).map(|row| row.accuracy);
        assert_eq!((accuracy(1, "clean"), accuracy(1, "textfooler")), (Some(0.5), Some(1.0)));
        assert_eq!((accuracy(1, UNSEEN), accuracy(2, UNSEEN)), (Some(1.0), None));
        assert_eq!(found[2].rows.len(), 3);
    }

    #[test]
    fn arms_that_answered_other_prompts_are_refused() {
        let (one, two) = (vec![run("clean", &[&[true]])], vec![run("clean", &[&[true, false]])]);
        let message = |arms: &[Arm], baseline: &str, seeds: &[u64]| {
            compare_arms(arms, baseline, seeds, &[], BOOTSTRAP).unwrap_err().to_string()
        };
        let arms = [arm("cit", &one), arm("coin", &two)];
        assert_eq!(message(&arms, "cit", &[7]), "arms `coin` and `cit` answered different prompts with seed 7");
        assert_eq!(message(&arms, "base", &[7]), "no arm is called `base`, the baseline");
        assert_eq!(message(&arms[..1], "cit", &[7, 8]), "arm `cit` was not run with seed 8");
        let uneven = [run("clean", &[&[true]]), run("clean", &[&[true], &[true]])];
        let message = message(&[arm("cit", &uneven)], "cit", &[7, 8]);
        assert_eq!(message, "seeds 7 and 8 have different tasks, levels or instructions");
    }
}

//! Tables of an experiment: its arms by level, their differences from the baseline, and their seeds.

use coin_eval::levels::CLEAN;
use coin_eval::metrics::{ArmDifference, ArmRow, ArmSummary, ExperimentSummary, PERTURBED, UNSEEN};

use super::cells::{none, percent, signed, with_interval};
use super::comparison::p_value;
use crate::table::Table;
use crate::titles::level_title;

/// The mark on an accuracy at a level whose attacks the arm was trained with.
const TRAINED: &str = "†";

/// The row whose spread and difference the table of arms shows: the perturbed levels, or `clean` if there are no others.
fn main_row(arm: &ArmSummary) -> Option<&ArmRow> {
    arm.row(PERTURBED).or_else(|| arm.rows.first())
}

/// True if an arm was trained with the attacks of an evaluated level, so that unseen levels are shown separately.
fn has_trained_levels(summary: &ExperimentSummary) -> bool {
    summary.arms.iter().any(|arm| !arm.trained_levels.is_empty())
}

/// Every arm: accuracy at each level, averages over the perturbed levels with the spread over instructions and the worst
/// instruction, and the difference from the baseline with its interval and its p-value, adjusted over the arms. If an arm was
/// trained with attacks of an evaluated level, the same follows for the levels that were never trained on.
pub fn arms(summary: &ExperimentSummary) -> Table {
    let perturbed = summary.levels.iter().any(|level| level != CLEAN);
    let apart = has_trained_levels(summary);
    let minus = format!("− {}", summary.baseline);
    let mut columns = vec!["arm".to_owned()];
    columns.extend(summary.levels.iter().map(|level| level_title(level).to_owned()));
    if perturbed {
        columns.push(PERTURBED.to_owned());
    }
    columns.extend(["spread", "worst instruction", &minus, "p (Holm)"].map(str::to_owned));
    if apart {
        columns.extend([UNSEEN.to_owned(), format!("{UNSEEN} {minus}"), "p (Holm)".to_owned()]);
    }
    let row = |arm: &ArmSummary| {
        let accuracy = |level: &str| arm.row(level).map_or(none(), |row| percent(row.accuracy));
        let mut cells = vec![arm.name.clone()];
        cells.extend(summary.levels.iter().map(|level| match arm.trained_levels.contains(level) {
            true => format!("{}{TRAINED}", accuracy(level)),
            false => accuracy(level),
        }));
        if perturbed {
            cells.push(accuracy(PERTURBED));
        }
        let of = main_row(arm);
        cells.push(of.map_or(none(), |row| percent(row.std)));
        cells.push(of.map_or(none(), |row| percent(row.worst_instruction)));
        cells.extend(compared(of));
        if apart {
            cells.push(accuracy(UNSEEN));
            cells.extend(compared(arm.row(UNSEEN)));
        }
        cells
    };
    Table { columns, rows: summary.arms.iter().map(row).collect() }
}

/// Formats the difference of accuracy with its interval, and its p-values.
fn compared(row: Option<&ArmRow>) -> [String; 2] {
    match row.and_then(|row| row.difference.as_ref()) {
        Some(found) => [with_interval(found.accuracy, Some(found.accuracy_interval)), p_value(&found.accuracy_p)],
        None => [none(), none()],
    }
}

/// The differences of every arm from the baseline at each level and on average: accuracy with its interval and p-values, then
/// the spread over instructions.
pub fn arm_differences(summary: &ExperimentSummary) -> Table {
    let mut rows = Vec::new();
    for arm in &summary.arms {
        let found = arm.rows.iter().filter_map(|row| Some((row, row.difference.as_ref()?)));
        rows.extend(found.map(|(row, difference)| difference_row(arm, row, difference)));
    }
    let columns = ["arm", "level", "accuracy", "p (Holm)", "spread", "p (Holm)", "worst instruction"];
    Table { columns: columns.map(str::to_owned).to_vec(), rows }
}

fn difference_row(arm: &ArmSummary, row: &ArmRow, found: &ArmDifference) -> Vec<String> {
    let trained = if arm.trained_levels.contains(&row.level) { TRAINED } else { "" };
    vec![
        arm.name.clone(),
        format!("{}{trained}", level_title(&row.level)),
        with_interval(found.accuracy, Some(found.accuracy_interval)),
        p_value(&found.accuracy_p),
        with_interval(found.std, Some(found.std_interval)),
        p_value(&found.std_p),
        signed(found.worst_instruction),
    ]
}

/// Accuracy over the perturbed levels of every arm and seed, with the difference from the baseline in parentheses.
pub fn arms_by_seed(summary: &ExperimentSummary) -> Table {
    let mut columns = vec!["arm".to_owned()];
    columns.extend(summary.seeds.iter().map(|seed| format!("seed {seed}")));
    let row = |arm: &ArmSummary| {
        let mut cells = vec![arm.name.clone()];
        if let Some(row) = main_row(arm) {
            let difference = |place: usize| row.difference.as_ref().and_then(|of| of.seeds.get(place));
            cells.extend(row.seeds.iter().enumerate().map(|(place, accuracy)| match difference(place) {
                Some(difference) => format!("{} ({})", percent(*accuracy), signed(*difference)),
                None => percent(*accuracy),
            }));
        }
        cells
    };
    Table { columns, rows: summary.arms.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::example;

    #[test]
    fn every_arm_has_a_row_and_unseen_levels_are_shown_apart() {
        let mut summary = example();
        let table = arms(&summary);
        assert_eq!(
            table.columns,
            ["arm", "clean", "word", "perturbed", "spread", "worst instruction", "− cit", "p (Holm)"]
        );
        assert_eq!(table.rows[0], ["cit", "80.0", "60.0", "60.0", "10.0", "50.0", "–", "–"]);
        let expected = ["coin", "80.0", "70.0", "70.0", "5.0", "65.0", "+10.0 [+5.0, +15.0]", "0.010 (0.020)"];
        assert_eq!(table.rows[1], expected);
        summary.arms[1].trained_levels = vec!["textfooler".to_owned()];
        summary.arms[1].rows.truncate(3);
        let table = arms(&summary);
        assert_eq!(table.columns[8..], ["unseen", "unseen − cit", "p (Holm)"]);
        assert_eq!(table.rows[0][8..], ["60.0", "–", "–"]);
        assert_eq!((table.rows[1][2].as_str(), table.rows[1][8].as_str()), ("70.0†", "–"));
        assert_eq!(arm_differences(&summary).rows.len(), 3);
        assert_eq!(arms_by_seed(&summary).rows[1], ["coin", "68.0 (+8.0)", "72.0 (+12.0)"]);
    }
}

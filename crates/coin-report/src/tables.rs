//! One builder for each table. Accuracies, standard deviations and changes are in percent or percentage points.

mod accuracy;
pub(crate) mod cells;
mod comparison;
mod experiment;
mod flips;
mod intervals;
mod maps;
mod robustness;
mod settings;
mod training;

pub(crate) use accuracy::last_two;
pub use accuracy::{accuracy_by_group, accuracy_by_level, accuracy_by_task, accuracy_of_group, changes, cosines};
pub use comparison::{comparison_by_group, comparison_by_level, comparison_by_task};
pub use experiment::{arm_differences, arms, arms_by_seed};
pub(crate) use flips::{answers, contrasts, counts, cut};
pub use intervals::intervals;
pub(crate) use maps::silhouettes;
pub use robustness::{reliability, robustness, robustness_by_level, task_metrics};
pub(crate) use settings::settings;
pub(crate) use training::last_steps;

/// The place where a table is shown, for tables that differ between places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A terminal: every number has a separate column.
    Terminal,
    /// A page: intervals and adjusted p-values are in brackets, which the HTML page puts below their value.
    Page,
}

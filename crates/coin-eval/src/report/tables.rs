//! The tables of the report, denser than the terminal's: intervals and adjusted p-values stand in brackets, which the page
//! sets below their value.

mod difference;
mod robustness;

pub(super) use difference::{
    accuracies, group_accuracies, group_level_accuracies, tests_by_group, tests_by_level, tests_by_task,
};
pub(super) use robustness::{changes, cosines, reliability, robustness, robustness_by_level};

//! Tasks that come with several wordings of each instance, as in instruction data sets.
//!
//! [Templates](crate::Template) create the wordings of a task from fields. Here the wordings come with the data: either as
//! whole texts, as in [T0's files](crate::t0), or as a list of instructions to put before an input, as in
//! [instruction induction](crate::induction). [`crate::pairs::from_worded`] draws couples from both.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A task with its instances, each in several wordings.
///
/// Wordings and instances are numbered from 0. The methods may panic if a number is out of range.
pub trait Worded {
    /// The task's name.
    fn task(&self) -> &str;

    /// Number of wordings.
    fn wordings(&self) -> usize;

    /// Number of instances. Each exists in every wording.
    fn instances(&self) -> usize;

    /// The text of the instance in the wording: the instruction with the input.
    fn prompt(&self, wording: usize, instance: usize) -> Cow<'_, str>;

    /// The target. It may differ between wordings of one instance (`yes`, `equivalent`).
    fn target(&self, wording: usize, instance: usize) -> &str;

    /// The values used in the wordings, by name; empty if the data does not contain them.
    fn keywords(&self, instance: usize) -> BTreeMap<String, String> {
        let _ = instance;
        BTreeMap::new()
    }
}

//! Tasks whose instances stand in several wordings, as instruction data sets hold them.
//!
//! [Templates](crate::Template) make the wordings of a task out of fields. Here the wordings come with the data: either
//! whole, as in [T0's files](crate::t0), or as a list of instructions that go before an input, as in
//! [instruction induction](crate::induction). [`crate::pairs::from_worded`] draws couples from either.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A task, its instances, and the wordings that each of them can be put in.
///
/// Wordings and instances are numbered from 0. The methods may panic for a number that is out of range.
pub trait Worded {
    /// The task's name.
    fn task(&self) -> &str;

    /// How many wordings there are.
    fn wordings(&self) -> usize;

    /// How many instances there are, each in every wording.
    fn instances(&self) -> usize;

    /// The instance in the wording: the instruction with the input.
    fn prompt(&self, wording: usize, instance: usize) -> Cow<'_, str>;

    /// What is to be answered. It may differ between wordings of one instance (`yes`, `equivalent`).
    fn target(&self, wording: usize, instance: usize) -> &str;

    /// The values that went into the wordings, by name. None where the data does not tell.
    fn keywords(&self, instance: usize) -> BTreeMap<String, String> {
        let _ = instance;
        BTreeMap::new()
    }
}

//! The inputs of a run: instructions, examples, context, settings.

pub mod context;
pub(crate) mod instructions;
pub(crate) mod sampling;
pub(crate) mod settings;

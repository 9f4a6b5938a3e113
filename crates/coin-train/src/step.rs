//! One optimiser step's losses and gradients, for any split of the effective batch into micro-batches.
//!
//! Both wordings of a pair run in one forward pass. The head and the cross entropy are computed at supervised
//! positions only.
//!
//! Under preset `strict` the losses are those of the whole effective batch, so that it may be split in any way: couples of
//! like length go together. With more than one micro-batch the
//! contrastive gradient is cached (Gao et al. 2021): a first pass without gradients pools every row and sums the token
//! losses, the contrastive term is differentiated with respect to the pooled rows, and a second pass feeds those
//! gradients back together with the generation loss. Dropout masks are keyed by row, so both passes see the same ones.
//! Under preset `paper` each micro-batch is an objective of its own, and the micro-batches are averaged.
//!
//! With several ranks (data parallel) every rank holds a contiguous share of the micro-batches. Pooled rows and token
//! losses are gathered, every rank evaluates the contrastive term of the whole effective batch and keeps the gradients of
//! its own rows, and the gradients of the adapters are added up over ranks.

mod negatives;
mod objective;
mod pair_states;
mod share;
mod values;

pub(crate) use negatives::{mask, same_answer};
pub use objective::StepObjective;
pub(crate) use pair_states::{forward, supervised};
pub use values::StepValues;
pub(crate) use values::{ratio, scalar};

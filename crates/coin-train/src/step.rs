//! The losses and gradients of one optimizer step, for any split of the effective batch into micro-batches.
//!
//! One forward pass computes both wordings of a pair. The head and the cross entropy are computed at supervised positions only.
//!
//! Under preset `strict`, the losses are those of the whole effective batch. It may be split in any way, so couples of similar length
//! share a micro-batch. With more than one micro-batch, the contrastive gradient is cached (Gao et al. 2021): a first pass without
//! gradients pools every row and sums the token losses, the contrastive term is differentiated with respect to the pooled rows, and
//! a second pass propagates those gradients together with the generation loss. Dropout masks are keyed by row, so both passes use
//! the same masks. Under preset `paper`, each micro-batch has its own objective, and the micro-batches are averaged.
//!
//! In a data-parallel run, every rank has a contiguous share of the micro-batches. Pooled rows and token losses are gathered. Every
//! rank evaluates the contrastive term of the whole effective batch and keeps the gradients of its own rows. The gradients of the
//! adapters are summed over ranks.

mod negatives;
mod objective;
mod pair_states;
mod share;
mod term;
mod values;

pub(crate) use negatives::{mask, same_answer};
pub use objective::StepObjective;
pub(crate) use pair_states::{forward, supervised};
pub use term::{Compared, Term};
pub use values::StepValues;
pub(crate) use values::{ratio, scalar};

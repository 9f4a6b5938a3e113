//! Models: the trait that an evaluation sees, and what implements it.

#[cfg(feature = "llama")]
mod disjoint;
#[cfg(feature = "llama")]
pub mod llama;
pub(crate) mod model;
#[cfg(feature = "openai")]
pub mod openai;

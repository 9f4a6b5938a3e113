//! Language models: the trait that an evaluation uses, and its implementations.

#[cfg(feature = "llama")]
mod exclusive_likelihoods;
#[cfg(feature = "llama")]
pub mod llama;
pub(crate) mod model;
#[cfg(feature = "openai")]
pub mod openai;

//! The LLaMA family with LoRA on [burn](https://burn.dev). Reads and writes Hugging Face folders and PEFT adapters.
//!
//! - [`LlamaConfig`]: a model's `config.json`: LLaMA 1 to 3.2, Mistral without sliding window, Qwen2.
//! - [`Llama`]: the decoder. One forward path serves training and evaluation; [`recompute`] adds gradient checkpointing.
//! - [`LoraConfig`], [`LoraLinear`]: low-rank adapters in activation space; the frozen weight is not modified.
//! - [`weight`]: dense matrices, and frozen matrices packed to 8 or 4 bits.
//! - [`TokenBatch`]: rows of token ids of different lengths, padded on the left or right, with positions per row.
//! - [`generate`]: decoding, greedy or sampled, with a key-value cache and a shared prefix.
//! - [`score`]: log-likelihoods of given continuations.
//! - [`pool`]: the threads that computations on the CPU run on.
//! - [`checkpoint`] and [`adapter`]: reading and writing Hugging Face and PEFT files.
//! - [`TextTokenizer`]: `tokenizer.json` or SentencePiece's `tokenizer.model`, and the special tokens around a text.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod adapter;
pub mod attention;
pub mod batch;
mod batches;
pub mod cache;
pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod dropout;
pub mod error;
pub mod fused;
pub mod generate;
pub mod linear;
mod linear_paths;
pub mod llama;
pub mod lora;
pub mod pool;
pub mod recompute;
pub mod rope;
pub mod sampling;
pub mod score;
pub mod sentencepiece;
pub mod tokenizer;
pub mod weight;
mod weight_file;

pub use batch::{PaddingSide, TokenBatch};
pub use cache::KvCache;
pub use config::LlamaConfig;
pub use dropout::DropoutKey;
pub use error::ModelError;
pub use linear::LoraLinear;
pub use linear_paths::LINEAR_PATHS;
pub use llama::{Llama, WeightFormat};
pub use lora::{LoraConfig, TargetModules};
pub use sampling::Sampling;
pub use tokenizer::TextTokenizer;
pub use weight::{FloatType, Quantization};

//! The LLaMA family with LoRA on [burn](https://burn.dev): what Hugging Face folders and PEFT adapters hold, in and out.
//!
//! - [`LlamaConfig`]: a model's `config.json`: LLaMA 1 to 3.2, Mistral without sliding window, Qwen2.
//! - [`Llama`]: the decoder. One forward path serves training and evaluation; [`recompute`] is the same with activation
//!   checkpointing.
//! - [`LoraConfig`], [`LoraLinear`]: low-rank adapters in activation space, outside the frozen weight.
//! - [`weight`]: dense matrices, and frozen ones packed to 8 or 4 bits.
//! - [`TokenBatch`]: ragged rows of token ids as a batch padded on either side, with positions per row.
//! - [`generate`]: decoding, greedy or sampled, with a key-value cache and a shared prefix.
//! - [`score`]: log-likelihoods of given continuations.
//! - [`pool`]: on which threads a computation on the CPU runs.
//! - [`checkpoint`] and [`adapter`]: Hugging Face's and PEFT's files, in and out.
//! - [`TextTokenizer`]: `tokenizer.json` or SentencePiece's `tokenizer.model`, and the special tokens around a text.

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
pub mod llama;
pub mod lora;
pub mod pool;
pub mod recompute;
pub mod rope;
pub mod sampling;
pub mod score;
pub mod sentencepiece;
pub mod tokenizer;
mod tokenizer_file;
pub mod weight;
mod weight_file;

pub use batch::{PaddingSide, TokenBatch};
pub use cache::KvCache;
pub use config::LlamaConfig;
pub use dropout::DropoutKey;
pub use error::{DeviceError, ModelError};
pub use linear::LoraLinear;
pub use llama::{Llama, WeightFormat};
pub use lora::{LoraConfig, TargetModules};
pub use sampling::Sampling;
pub use tokenizer::TextTokenizer;
pub use weight::{FloatType, Quantization};

//! The LLaMA family with LoRA on [burn](https://burn.dev): what Hugging Face folders and PEFT adapters hold, in and out.
//!
//! - [`LlamaConfig`]: a model's `config.json`.
//! - [`Llama`]: the decoder. One forward path serves training and evaluation.
//! - [`LoraConfig`], [`LoraLinear`]: low-rank adapters in activation space, outside the frozen weight.
//! - [`TokenBatch`]: ragged rows of token ids as a left-padded batch with a position per row.
//! - [`generate`]: greedy decoding with a key-value cache and a shared prefix.
//! - [`checkpoint`] and [`adapter`]: the files.
//! - [`TextTokenizer`]: `tokenizer.json` and its special tokens.

pub mod adapter;
pub mod attention;
pub mod batch;
pub mod cache;
pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod dropout;
pub mod error;
pub mod generate;
pub mod linear;
pub mod llama;
pub mod rope;
pub mod tokenizer;

pub use batch::TokenBatch;
pub use cache::KvCache;
pub use config::LlamaConfig;
pub use dropout::DropoutKey;
pub use error::ModelError;
pub use linear::{LoraConfig, LoraLinear};
pub use llama::Llama;
pub use tokenizer::TextTokenizer;

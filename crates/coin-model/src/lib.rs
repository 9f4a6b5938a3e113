//! The LLaMA family with LoRA on [burn](https://burn.dev). Reads and writes Hugging Face folders and PEFT adapters.
//!
//! - [`LlamaConfig`]: a model's `config.json`: LLaMA 1 to 3.2, Mistral without sliding window, Qwen2.
//! - [`Llama`]: the decoder. One forward path serves training and evaluation; [`CheckpointTape`] adds gradient checkpointing.
//! - [`LoraConfig`], [`LoraLinear`]: low-rank adapters in activation space; the frozen weight is not modified.
//! - [`Weight`]: dense matrices, and frozen matrices packed to 8 or 4 bits.
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
mod attention;
mod batch;
mod batches;
mod cache;
pub mod checkpoint;
mod config;
mod decoder;
mod dropout;
mod error;
pub mod fused;
pub mod generate;
mod gradient_checkpointing;
mod linear;
mod linear_paths;
mod llama;
mod lora;
pub mod pool;
mod rope;
mod sampling;
pub mod score;
pub mod sentencepiece;
mod tokenizer;
mod tokenizer_file;
mod weight;
mod weight_file;

pub use attention::{Attention, Geometry};
pub use batch::{PaddingSide, TokenBatch};
pub use cache::{KvCache, LayerCache};
pub use config::{LlamaConfig, ModelType, RopeScaling};
pub use decoder::{DecoderLayer, FeedForward, RmsNorm};
pub use dropout::DropoutKey;
pub use error::{DeviceError, ModelError};
pub use gradient_checkpointing::CheckpointTape;
pub use linear::{ForwardContext, LoraAdapter, LoraLinear};
pub use linear_paths::LINEAR_PATHS;
pub use llama::{Llama, WeightFormat};
pub use lora::{LoraConfig, TargetModules};
pub use rope::Rotary;
pub use sampling::Sampling;
pub use tokenizer::{TextTokenizer, TokenPolicy};
pub use weight::{FloatType, PackedMatmul, PackedWeight, Packing, Quantization, Weight};

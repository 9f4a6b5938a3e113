//! `coin model`

use std::path::PathBuf;

use burn::tensor::Tensor;
use clap::{Args, Subcommand};
use coin::model::checkpoint::{NamedTensor, write_safetensors};
use coin::model::generate::{GreedyOptions, greedy};
use coin::model::{LlamaConfig, TokenBatch};
use coin::model_folder;

use super::device_named;
use crate::failure::{Failure, OrFail, bad_input};

/// Sub-commands of `coin model`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints architecture, parameters and memory.
    Info {
        /// Model folder.
        dir: PathBuf,
    },
    /// Computes the logits of rows of token ids, for comparison with other programs.
    Forward(Forward),
    /// Continues a text greedily.
    Generate(Generate),
}

/// Arguments of `coin model forward`.
#[derive(Debug, Args)]
pub struct Forward {
    /// Model folder.
    #[arg(long)]
    model: PathBuf,
    /// PEFT adapter folder.
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// JSON file with a list of lists of token ids.
    #[arg(long)]
    ids: PathBuf,
    /// Safetensors file to write: logits, hidden, mask.
    #[arg(long)]
    out: PathBuf,
    /// Device to compute on.
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// Arguments of `coin model generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// Model folder.
    #[arg(long)]
    model: PathBuf,
    /// PEFT adapter folder.
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Text to continue.
    #[arg(long)]
    prompt: String,
    /// Tokens to add at most.
    #[arg(long, default_value_t = 64)]
    max_new_tokens: usize,
    /// Device to compute on.
    #[arg(long, default_value = "cpu")]
    device: String,
}

impl Command {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Command::Info { dir } => info(&dir),
            Command::Forward(arguments) => arguments.run(),
            Command::Generate(arguments) => arguments.run(),
        }
    }
}

fn info(dir: &std::path::Path) -> Result<(), Failure> {
    let config = LlamaConfig::read(dir).input()?;
    let parameters = config.parameters();
    println!("architecture  {}", config.model_type);
    println!("layers        {}", config.num_hidden_layers);
    println!("width         {} (feed-forward {})", config.hidden_size, config.intermediate_size);
    println!(
        "heads         {} (key/value {}), width {}",
        config.num_attention_heads,
        config.kv_heads(),
        config.head_dim()
    );
    println!("vocabulary    {}{}", config.vocab_size, if config.tie_word_embeddings { ", tied head" } else { "" });
    println!("context       {} tokens", config.max_position_embeddings);
    println!("parameters    {parameters}");
    println!("memory        {:.1} MB of weights in f32", parameters as f64 * 4.0 / 1e6);
    Ok(())
}

impl Forward {
    fn run(self) -> Result<(), Failure> {
        let device = device_named(&self.device)?;
        let text = std::fs::read_to_string(&self.ids)
            .map_err(|error| anyhow::anyhow!("--ids {}: {error}", self.ids.display()))
            .input()?;
        let rows: Vec<Vec<u32>> = serde_json::from_str(&text)
            .map_err(|error| {
                anyhow::anyhow!("--ids {}: {error}, expected a list of lists of token ids", self.ids.display())
            })
            .input()?;
        let (model, _) = model_folder::open(&self.model, self.adapter.as_deref(), &device).input()?;
        let vocabulary = model.config().vocab_size;
        if let Some(id) = rows.iter().flatten().find(|&&id| id as usize >= vocabulary) {
            return bad_input(format!("--ids {}: token id {id}, but the model has {vocabulary}", self.ids.display()));
        }
        let batch = TokenBatch::left_padded(&rows, 0, 1, &device).input()?;
        let hidden = model.hidden(&batch, None, None);
        let [n, seq, d_model] = hidden.dims();
        let logits = model.logits(hidden.clone().reshape([n * seq, d_model])).reshape([n, seq, vocabulary]);
        let tensors = [
            NamedTensor::new("logits", logits).work()?,
            NamedTensor::new("hidden", hidden).work()?,
            NamedTensor::new("mask", batch.mask().float() as Tensor<2>).work()?,
        ];
        write_safetensors(&self.out, &tensors).work()?;
        println!("logits [{n}, {seq}, {vocabulary}] written to {}", self.out.display());
        Ok(())
    }
}

impl Generate {
    fn run(self) -> Result<(), Failure> {
        let device = device_named(&self.device)?;
        let (model, tokenizer) = model_folder::open(&self.model, self.adapter.as_deref(), &device).input()?;
        let ids = tokenizer.encode(&self.prompt).input()?;
        let options = GreedyOptions {
            max_new_tokens: self.max_new_tokens,
            batch_size: 1,
            threads: 1,
            eos: tokenizer.eos(),
            hidden: false,
        };
        let out = greedy(&model, &[ids], &options, |_, _| false).input()?;
        let text = tokenizer.decode(&out[0].ids).work()?;
        println!("{text}");
        Ok(())
    }
}

//! `coin model`

use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::tensor::Tensor;
use clap::{Args, Subcommand};
use coin::core::model_files::is_weight;
use coin::core::new_folder::{self, NewFolder};
use coin::core::output_folder;
use coin::core::quote::printable;
use coin::eval::folder;
use coin::hub::Files;
use coin::model::RopeScaling;
use coin::model::checkpoint::{self, NamedTensor, write_safetensors};
use coin::model::generate::{GenerateOptions, generate};
use coin::model::{FloatType, LlamaConfig, Quantization, Sampling, TextTokenizer, TokenBatch, adapter};

use super::choice::{choices, name};
use super::model_arguments::{ModelArguments, folder};
use super::{check_out, shown};
use crate::failure::{Failure, OrFail, bad_input};

/// Sub-commands of `coin model`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints architecture, parameters, memory and special tokens.
    Info(Info),
    /// Computes logits and hidden states of token ids, to compare them with another program.
    Forward(Forward),
    /// Continues a text.
    Generate(Generate),
    /// Merges an adapter into the weights of its model and writes the result.
    Merge(Merge),
}

/// Arguments of `coin model info`.
#[derive(Debug, Args)]
pub struct Info {
    /// Model folder, or a name on the hub. Weights are not downloaded.
    model: String,
    /// Uses only the cache for names on the hub, without network access.
    #[arg(long)]
    offline: bool,
}

/// Arguments of `coin model forward`.
#[derive(Debug, Args)]
pub struct Forward {
    #[command(flatten)]
    model: ModelArguments,
    /// JSON file with a list of lists of token ids.
    #[arg(long)]
    ids: PathBuf,
    /// Safetensors file to write, with the tensors logits, hidden and mask.
    #[arg(long)]
    out: PathBuf,
}

/// Arguments of `coin model generate`.
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    model: ModelArguments,
    /// Text to continue.
    #[arg(long)]
    prompt: String,
    /// Maximum number of new tokens.
    #[arg(long, default_value_t = 64)]
    max_new_tokens: usize,
    /// Samples tokens instead of choosing the most probable one; values below 1 sharpen the distribution.
    #[arg(long)]
    temperature: Option<f64>,
    /// Samples from this number of most probable tokens.
    #[arg(long)]
    top_k: Option<usize>,
    /// Samples from the most probable tokens that together reach this probability.
    #[arg(long)]
    top_p: Option<f64>,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Arguments of `coin model merge`.
#[derive(Debug, Args)]
pub struct Merge {
    #[command(flatten)]
    model: ModelArguments,
    /// Output folder, which must be new or empty.
    #[arg(long)]
    out: PathBuf,
    /// Dtype of the written weights.
    #[arg(long, value_parser = choices::<FloatType>(), default_value = name(FloatType::F32))]
    stored: FloatType,
}

impl Command {
    /// True if the command writes files.
    pub fn writes(&self) -> bool {
        matches!(self, Command::Forward(_) | Command::Merge(_))
    }

    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Command::Info(arguments) => arguments.run(),
            Command::Forward(arguments) => arguments.run(),
            Command::Generate(arguments) => arguments.run(),
            Command::Merge(arguments) => arguments.run(),
        }
    }
}

impl Info {
    fn run(self) -> Result<(), Failure> {
        let dir = folder("model", &self.model, Files::Settings, self.offline)?;
        let config = LlamaConfig::read(&dir).input()?;
        let parameters = config.parameters();
        println!("architecture  {:?}", config.model_type);
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
        let scaling = match &config.rope_scaling {
            None => String::new(),
            Some(RopeScaling::Linear { factor }) => format!(", linear scaling by {factor}"),
            Some(RopeScaling::Llama3 { factor, original_max_position_embeddings, .. }) => {
                format!(", llama3 scaling by {factor} from {original_max_position_embeddings} tokens")
            }
        };
        println!("rotary base   {}{scaling}", config.rope_theta);
        println!("biases        {}", config.describe_biases());
        println!("parameters    {parameters}");
        let megabytes = |bytes: usize| format!("{:.1} MB", bytes as f64 / 1e6);
        println!(
            "weights       {} in f32, {} in bf16 or f16, {} in int8, {} in int4 (embedding and head f32)",
            megabytes(config.weight_bytes(FloatType::F32, None)),
            megabytes(config.weight_bytes(FloatType::Bf16, None)),
            megabytes(config.weight_bytes(FloatType::F32, Some(Quantization::Int8))),
            megabytes(config.weight_bytes(FloatType::F32, Some(Quantization::Int4))),
        );
        match TextTokenizer::read(&dir, &config) {
            Ok(tokenizer) => {
                let [bos, eos, pad] = tokenizer.describe();
                println!("begin         {bos}\nend           {eos}\npadding       {pad}");
            }
            Err(error) => println!("tokenizer     {}", printable(&error.to_string())),
        }
        Ok(())
    }
}

impl Forward {
    fn run(self) -> Result<(), Failure> {
        if self.out.is_dir() {
            return bad_input(format!("--out {}: is a folder, expected a file", self.out.display()));
        }
        let parent = self.out.parent().and_then(|parent| match parent.as_os_str().is_empty() {
            true => Path::new(".").canonicalize().ok(),
            false => parent.canonicalize().ok(),
        });
        if parent.is_some() {
            check_out(&self.out, &[("--ids", &self.ids)])?;
        }
        let (model, adapter) = self.model.folders()?;
        for (option, folder) in [("--model", Some(model)), ("--adapter", adapter)] {
            let folder = folder.and_then(|folder| folder.canonicalize().ok());
            if folder.is_some() && folder == parent {
                return bad_input(format!("--out {}: is inside the folder of {option}", self.out.display()));
            }
        }
        let text = std::fs::read_to_string(&self.ids)
            .map_err(|error| anyhow::anyhow!("--ids {}: {error}", self.ids.display()))
            .input()?;
        let rows: Vec<Vec<u32>> = serde_json::from_str(&text)
            .map_err(|error| {
                let (path, fault) = (self.ids.display(), coin::core::json::message(&error));
                anyhow::anyhow!("--ids {path}: {fault}, expected a list of lists of token ids")
            })
            .input()?;
        let (model, _) = self.model.open()?;
        if let Err(error) = model.check_rows(&rows, 0) {
            return bad_input(format!("--ids {}: {error}", self.ids.display()));
        }
        let batch = TokenBatch::left_padded(&rows, 0, 1, &model.device()).input()?;
        let hidden = model.hidden(&batch, None, None);
        let [n, seq, d_model] = hidden.dims();
        let vocabulary = model.config().vocab_size;
        let logits = model.logits(hidden.clone().reshape([n * seq, d_model])).reshape([n, seq, vocabulary]);
        let tensors = [
            NamedTensor::new("logits", logits),
            NamedTensor::new("hidden", hidden),
            NamedTensor::new("mask", batch.mask().float() as Tensor<2>),
        ];
        write_safetensors(&self.out, &tensors).work()?;
        println!("logits [{n}, {seq}, {vocabulary}] written to {}", shown(&self.out));
        Ok(())
    }
}

impl Generate {
    fn run(self) -> Result<(), Failure> {
        let sampling = match (self.temperature, self.top_k, self.top_p) {
            (None, None, None) => None,
            (temperature, top_k, top_p) => {
                Some(Sampling { temperature: temperature.unwrap_or(1.0), top_k, top_p, seed: self.seed })
            }
        };
        let (model, folder) = self.model.open()?;
        let tokenizer = TextTokenizer::read(&folder, model.config()).input()?;
        let ids = tokenizer.encode(&self.prompt).input()?;
        let options = GenerateOptions {
            max_new_tokens: self.max_new_tokens,
            batch_size: 1,
            threads: 1,
            eos: tokenizer.eos().to_vec(),
            hidden: false,
            memory: None,
            sampling,
        };
        let out = generate(&model, &[ids], &options, |_, _| false).input()?;
        println!("{}", tokenizer.decode(&out[0].ids).work()?);
        Ok(())
    }
}

impl Merge {
    fn run(self) -> Result<(), Failure> {
        if self.model.adapter.is_none() {
            return bad_input("--adapter is required: it names the adapter to merge");
        }
        let named = || format!("--out {}", shown(&self.out));
        new_folder::check(&self.out).with_context(named).input()?;
        let (model, base) = self.model.open()?;
        // Each of the first ids once, in rows that fit the model's context.
        let config = model.config();
        let ids: Vec<u32> = (0..config.vocab_size.min(512) as u32).collect();
        let rows: Vec<Vec<u32>> = ids.chunks(config.max_position_embeddings.min(128)).map(<[u32]>::to_vec).collect();
        let probe = TokenBatch::left_padded(&rows, 0, 1, &model.device()).work()?;
        let (merged, difference) = adapter::merge(model, &probe).work()?;
        let out = NewFolder::begin(&self.out).with_context(named).work()?;
        checkpoint::save(&merged, &out.path(), self.stored).with_context(named).work()?;
        copy_companions(&base, &out.path()).work()?;
        out.publish().with_context(named).work()?;
        println!("merged model written to {}", shown(&self.out));
        println!(
            "largest difference of a logit before and after, over {} tokens: {difference:.2e}",
            rows.iter().map(Vec::len).sum::<usize>()
        );
        Ok(())
    }
}

/// Copies the other files of the model in the folder `base`, such as its tokenizer and license, to the merged model in `out`: all
/// files except weights and files that `out` already has. Hidden files, folders (such as `.git` and training checkpoints) and
/// results of an evaluation in the same folder are not part of the model.
fn copy_companions(base: &Path, out: &Path) -> anyhow::Result<()> {
    let results: &[&str] = if base.join(output_folder::MARKER).exists() { &folder::ENTRIES } else { &[] };
    let reading = || format!("cannot read {}", base.display());
    for entry in std::fs::read_dir(base).with_context(reading)? {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).with_context(reading)?;
        let text = name.to_string_lossy();
        let to = out.join(&name);
        // In the hub's cache, the files are links.
        let is_other = text.starts_with('.') || is_weight(&text) || results.contains(&&*text);
        if from.is_file() && !is_other && !to.exists() {
            let copied = std::fs::copy(&from, &to).and_then(|_| std::fs::File::open(&to)?.sync_all());
            copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
    }
    Ok(())
}

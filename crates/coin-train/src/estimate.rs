//! The memory that a run will need, and the table of `--dry-run`.

use std::collections::BTreeMap;
use std::fmt::Write;

use coin_loss::Pooling;
use coin_model::adapter;
use coin_model::fused::runs_fused;

use crate::Trainer;

/// Memory of the program without tensors, including the buffers of matrix products, measured on the CPU.
const PROCESS: usize = 90_000_000;

/// Memory of a training run by purpose, in bytes. Weights and adapters are exact. Activations are an estimate: the tensors kept for
/// the backward pass of a decoder layer, for micro-batches of rows of the maximum length. For such rows, the total was within a
/// tenth of the peak of eight runs in f32, and a sixth above it in bf16 (`docs/performance.md`). If rows differ in length, the total
/// is an upper bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// The base model.
    pub weights: usize,
    /// Adapters, their gradients and the optimizer's two moments, per rank.
    pub adapters: usize,
    /// Activations and logits of one micro-batch, both wordings, per rank.
    pub activations: usize,
    /// Number of ranks in this process. Ranks on one device share the weights; each of several devices has a copy.
    pub world_size: usize,
}

impl MemoryEstimate {
    /// Estimates the memory of a run.
    pub fn new(trainer: &Trainer) -> Self {
        let (model, config) = (trainer.model(), trainer.config());
        let shape = model.config();
        let trainable = adapter::parameters(model);
        let longest = trainer.longest_row();
        let rows = 2 * config.train.micro_batch_pairs.min(config.train.batch_pairs);
        let tokens = rows * longest;
        let pools_the_end = config.objective.pooling == Pooling::Last;
        let (d, ff) = (shape.hidden_size, shape.intermediate_size);
        let q = shape.num_attention_heads * shape.head_dim();
        let kv = shape.kv_heads() * shape.head_dim();
        // Values per token and layer: those for keys and values, and the others.
        let (of_keys, of_rest) = match (runs_fused(&model.embedding.val()), model.is_packed()) {
            // First the inputs of the norm and of the adapters, a byte per dropout flag, rotated keys, and values. Then rotated
            // queries, the inputs of the projection and of the second norm, and the factors of the feed-forward product.
            (true, false) => (2 * d + d / 2 + 2 * kv, d + d / 4 + 2 * q + q / 4 + 2 * ff),
            // Each adapter has its own mask and masked input instead of the shared one.
            (true, true) => (5 * d + 2 * kv, 3 * d + 3 * q + 2 * ff),
            // Operations are not fused, which adds the outputs of projections, more products of the feed-forward layer, and three
            // tensors of the size of the attention scores.
            (false, _) => (5 * d + 2 * kv, 4 * d + 3 * q + 5 * ff + 3 * shape.num_attention_heads * longest),
        };
        let layer = tokens * (of_keys + of_rest);
        // The last layer computes queries only at the positions that are needed.
        let queries = if pools_the_end { rows * (trainer.longest_answer() + 1) } else { tokens };
        let last = tokens * of_keys + queries * of_rest;
        let others = shape.num_hidden_layers - 1;
        let values = match config.train.gradient_checkpointing {
            true => (others + 1) * tokens * d + if others > 0 { layer } else { last },
            false => others * layer + last,
        };
        let supervised = rows * trainer.longest_answer();
        MemoryEstimate {
            weights: model.weight_bytes() - 4 * trainable,
            adapters: 4 * 4 * trainable,
            activations: 4 * (values + 2 * supervised * shape.vocab_size + tokens * (4 * d + 3 * ff)),
            world_size: config.train.device.split(',').count(),
        }
    }

    /// Returns the total if all ranks share a device, including the program itself.
    pub fn total(&self) -> usize {
        PROCESS + self.weights + self.world_size * (self.adapters + self.activations)
    }

    /// Returns the layers, parameters, steps and memory of a run as text.
    pub fn table(trainer: &Trainer) -> String {
        let model = trainer.model();
        let shape = model.config();
        let mut out = String::new();
        // Writing to a string cannot fail.
        let mut line = |text: String| _ = writeln!(out, "# {text}");
        line(format!("{:<24} {:>8} {:>14} {:>12}", "layer", "count", "shape", "adapter"));
        line(format!(
            "{:<24} {:>8} {:>14} {:>12}",
            "embed_tokens",
            1,
            format!("{}x{}", shape.vocab_size, shape.hidden_size),
            "-"
        ));
        let mut kinds: BTreeMap<usize, (String, usize, String, usize)> = BTreeMap::new();
        for (index, (path, [d_in, d_out], parameters)) in model.linear_sizes().enumerate() {
            let place = index % 7;
            let name = path.rsplit('.').next().unwrap_or_default().to_owned();
            let kind = kinds.entry(place).or_insert((name, 0, format!("{d_in}x{d_out}"), 0));
            kind.1 += 1;
            kind.3 += parameters;
        }
        for (name, count, size, parameters) in kinds.into_values() {
            let adapters = if parameters > 0 { parameters.to_string() } else { "-".to_owned() };
            line(format!("{name:<24} {count:>8} {size:>14} {adapters:>12}"));
        }
        let head = if shape.tie_word_embeddings { "tied" } else { "own" };
        line(format!(
            "{:<24} {:>8} {:>14} {:>12}",
            "lm_head",
            head,
            format!("{}x{}", shape.hidden_size, shape.vocab_size),
            "-"
        ));
        let (base, trainable) = (shape.parameters(), adapter::parameters(model));
        line(format!(
            "{base} parameters, {trainable} of adapters are trained ({:.3} %)",
            100.0 * trainable as f64 / base as f64
        ));
        line(format!("{} optimizer steps", trainer.steps()));
        let memory = MemoryEstimate::new(trainer);
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        line(format!(
            "memory: weights {:.1} MB, adapters with gradients and moments {:.1} MB, activations about {:.0} MB",
            megabytes(memory.weights),
            megabytes(memory.adapters),
            megabytes(memory.activations),
        ));
        let ranks = if memory.world_size > 1 { format!(" for {} ranks", memory.world_size) } else { String::new() };
        line(format!("together about {:.0} MB{ranks}, with rows of the longest length", megabytes(memory.total())));
        out
    }
}

//! What the command line asks for.

use coin::model::{FloatType, LlamaConfig, LoraConfig};
use serde_json::json;

/// The sizes of a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub name: &'static str,
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub ff: usize,
    pub vocab: usize,
    /// Pairs of a step unless `--pairs` says otherwise.
    pairs: usize,
    /// Tokens of a row unless `--seq` says otherwise.
    seq: usize,
}

const SIZES: [Size; 3] = [
    Size { name: "small", width: 288, layers: 6, heads: 6, ff: 768, vocab: 32000, pairs: 4, seq: 128 },
    Size { name: "medium", width: 768, layers: 12, heads: 12, ff: 2048, vocab: 32000, pairs: 2, seq: 128 },
    Size { name: "large", width: 1024, layers: 16, heads: 16, ff: 2816, vocab: 32000, pairs: 2, seq: 64 },
];

/// Tokens of a prompt that is continued, unless `--seq` says otherwise.
const PROMPT: usize = 100;

#[derive(Debug, Clone)]
pub struct Options {
    pub size: Size,
    pub device: String,
    pub dtype: FloatType,
    pub pairs: usize,
    /// Tokens of a training row, or of a prompt to continue.
    pub seq: usize,
    /// Tokens of the answer, at a training row's end.
    pub supervised: usize,
    pub steps: usize,
    pub warm_up: usize,
    /// Rows to continue, in place of a training step.
    pub generate: Option<usize>,
    /// Whether to measure the machine in place of a model.
    pub peak: bool,
}

impl Options {
    /// # Panics
    /// A flag is unknown or has no usable value.
    pub fn from_arguments() -> Self {
        let (mut size, mut device, mut dtype) = (SIZES[0], "cpu".to_owned(), FloatType::F32);
        let (mut pairs, mut seq, mut generate) = (None, None, None);
        let (mut supervised, mut steps, mut warm_up, mut peak) = (8, 6, 2, false);
        let mut words = std::env::args().skip(1);
        while let Some(name) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{name} needs a value"));
            let number = |text: String| text.parse().unwrap_or_else(|_| panic!("{name} {text}: expected a number"));
            match name.as_str() {
                "--size" => size = sized(&value()),
                "--device" => device = value(),
                "--dtype" => dtype = typed(&value()),
                "--pairs" => pairs = Some(number(value())),
                "--seq" => seq = Some(number(value())),
                "--supervised" => supervised = number(value()),
                "--steps" => steps = number(value()),
                "--warm-up" => warm_up = number(value()),
                "--generate" => generate = Some(number(value())),
                "--peak" => peak = true,
                // What cargo adds.
                "--bench" => {}
                _ => panic!("unknown option {name}"),
            }
        }
        let seq = seq.unwrap_or(if generate.is_some() { PROMPT } else { size.seq });
        let options = Options {
            pairs: pairs.unwrap_or(size.pairs),
            seq,
            size,
            device,
            dtype,
            supervised,
            steps,
            warm_up,
            generate,
            peak,
        };
        assert!(options.steps > 0, "--steps must be positive");
        assert!(options.pairs > 0, "--pairs must be positive");
        assert!((1..options.seq).contains(&options.supervised), "--supervised must be positive and less than --seq");
        options
    }

    /// The architecture.
    pub fn config(&self) -> LlamaConfig {
        let Size { width, layers, heads, ff, vocab, .. } = self.size;
        let text = json!({
            "model_type": "llama", "vocab_size": vocab, "hidden_size": width, "intermediate_size": ff,
            "num_hidden_layers": layers, "num_attention_heads": heads, "max_position_embeddings": self.seq.max(2048),
        });
        LlamaConfig::from_json("flags".as_ref(), &text.to_string()).expect("the sizes give a model")
    }

    /// The number type as the flag has it.
    pub fn dtype_name(&self) -> &'static str {
        match self.dtype {
            FloatType::F32 => "f32",
            FloatType::F16 => "f16",
            FloatType::Bf16 => "bf16",
        }
    }
}

/// The adapters of every run: the paper's, rank 16 on q, k, v and o with dropout 0.05.
pub fn lora() -> LoraConfig {
    LoraConfig::default()
}

/// The token at a place, the same in both languages: all rows differ from their first token on.
pub fn token(row: usize, at: usize, step: usize, vocab: usize) -> u32 {
    ((row * 7919 + at * 104_729 + step * 31) % vocab) as u32
}

fn sized(name: &str) -> Size {
    let found = SIZES.into_iter().find(|size| size.name == name);
    found.unwrap_or_else(|| panic!("--size {name}: expected small, medium or large"))
}

fn typed(name: &str) -> FloatType {
    match name {
        "f32" => FloatType::F32,
        "f16" => FloatType::F16,
        "bf16" => FloatType::Bf16,
        _ => panic!("--dtype {name}: expected f32, f16 or bf16"),
    }
}

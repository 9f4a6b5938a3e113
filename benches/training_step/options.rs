//! Command line options.

use coin::model::FloatType;
use coin_benches::decoder::{PROMPT, SIZES, SUPERVISED, Size};
use coin_benches::timing::Repeats;

#[derive(Debug, Clone)]
pub struct Options {
    pub size: Size,
    pub device: String,
    pub dtype: FloatType,
    pub pairs: usize,
    /// Tokens per training row or prompt.
    pub seq: usize,
    /// Answer tokens at the end of a training row.
    pub supervised: usize,
    pub repeats: Repeats,
    /// Number of prompts; generates instead of training.
    pub generate: Option<usize>,
    /// True to measure the machine instead of a model.
    pub peak: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Panics
    /// Panics if a flag is unknown or its value is missing or invalid.
    pub fn from_arguments() -> Self {
        let (mut size, mut device, mut dtype) = (SIZES[0], "cpu".to_owned(), FloatType::F32);
        let (mut pairs, mut seq, mut generate) = (None, None, None);
        let (mut supervised, mut repeats, mut peak) = (SUPERVISED, Repeats { warm_up: 2, steps: 6 }, false);
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
                "--steps" => repeats.steps = number(value()),
                "--warm-up" => repeats.warm_up = number(value()),
                "--generate" => generate = Some(number(value())),
                "--peak" => peak = true,
                // Added by cargo.
                "--bench" => {}
                _ => panic!("unknown option {name}"),
            }
        }
        let seq = seq.unwrap_or(if generate.is_some() { PROMPT } else { size.seq });
        let pairs = pairs.unwrap_or(size.pairs);
        let options = Options { size, device, dtype, pairs, seq, supervised, repeats, generate, peak };
        assert!(options.repeats.steps > 0, "--steps must be positive");
        assert!(options.pairs > 0, "--pairs must be positive");
        assert!((1..options.seq).contains(&options.supervised), "--supervised must be positive and less than --seq");
        options
    }
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

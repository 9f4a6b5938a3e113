//! A real pretrained model against numbers computed outside of this project.

use std::path::PathBuf;

use burn::tensor::Device;
use coin_model::generate::{GenerateOptions, generate};
use coin_model::{Llama, LlamaConfig, TextTokenizer, TokenBatch, WeightFormat, checkpoint};
use serde_json::Value;

/// The folder of real material, or `None` after saying that `test` is skipped.
fn material(test: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("COIN_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    if dir.join("weights/stories260K-hf").is_dir() {
        return Some(dir);
    }
    eprintln!("skipped: {test}: no test data at {}", dir.display());
    None
}

fn load(dir: &std::path::Path) -> (Llama, TextTokenizer, Value) {
    let folder = dir.join("weights/stories260K-hf");
    let config = LlamaConfig::read(&folder).unwrap();
    let model = checkpoint::load(&folder, WeightFormat::default(), &Device::flex()).unwrap().model;
    let tokenizer = TextTokenizer::read(&folder, &config).unwrap();
    let oracle = std::fs::read_to_string(dir.join("weights/stories260K_oracle.json")).unwrap();
    (model, tokenizer, serde_json::from_str(&oracle).unwrap())
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

#[test]
fn logits_and_hidden_states_are_the_oracles() {
    let Some(dir) = material("logits_and_hidden_states_are_the_oracles") else { return };
    let (model, tokenizer, oracle) = load(&dir);
    let cases = oracle["cases"].as_array().unwrap();
    let rows: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["tokens"])).collect();
    // All rows in one padded batch, so that padding is checked too.
    let batch = TokenBatch::left_padded(&rows, 0, 8, &Device::flex()).unwrap();
    let hidden = model.hidden(&batch, None, None);
    let [count, seq, d] = hidden.dims();
    let last = hidden.narrow(1, seq - 1, 1).reshape([count, d]);
    let logits = model.logits(last.clone()).try_into_vec_as::<f32>().unwrap();
    let last = last.try_into_vec_as::<f32>().unwrap();
    for (at, case) in cases.iter().enumerate() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text).unwrap(), rows[at], "{text}");
        let close = |ours: &[f32], theirs: &Value| {
            // The oracle is f64; f32 sums over five layers differ by less than 1e-3 on logits of order 10.
            ours.iter().zip(floats(theirs)).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-3)
        };
        assert!(close(&logits[at * 512..][..512], &case["last_logits"]), "{text}");
        assert!(close(&last[at * d..][..d], &case["last_hidden"]), "{text}");
    }
}

#[test]
fn greedy_text_is_the_published_one() {
    let Some(dir) = material("greedy_text_is_the_published_one") else { return };
    let (model, tokenizer, oracle) = load(&dir);
    let expected = ids(&oracle["greedy_tokens"]);
    let options = GenerateOptions {
        max_new_tokens: expected.len() - 1,
        batch_size: 1,
        threads: 1,
        eos: Vec::new(),
        hidden: false,
        sampling: None,
    };
    let out = generate(&model, &[vec![1]], &options, |_, _| false).unwrap();
    assert_eq!(out[0].ids, expected[1..]);
    let published = std::fs::read_to_string(dir.join("weights/stories260K_greedy_200.txt")).unwrap();
    assert_eq!(tokenizer.decode(&out[0].ids).unwrap().trim(), published.trim());
}

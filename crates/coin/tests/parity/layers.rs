//! Layers, forward and backward.

use burn::module::Param;
use burn::optim::GradientsParams;
use coin::model::ForwardContext;
use coin::model::Geometry;
use coin::model::PackedWeight;
use coin::model::RmsNorm;
use coin::model::Rotary;
use coin::model::{DropoutKey, FloatType, KvCache, Llama, LoraConfig, PaddingSide, Quantization, TokenBatch};
use serde_json::json;

use crate::case::{Case, Depth, Results, Setting, config, pattern};

const ALL: &[FloatType] = &[FloatType::F32, FloatType::F16, FloatType::Bf16];
const F32: &[FloatType] = &[FloatType::F32];
/// bf16 is omitted: its rounding errors add little compared with the quantization error of packed weights.
const PACKED: &[FloatType] = &[FloatType::F32, FloatType::F16];

pub const CASES: &[Case] = &[
    Case { name: "layer/rms_norm", types: ALL, depth: Depth::Layer, run: rms_norm },
    Case { name: "layer/rotary", types: ALL, depth: Depth::Layer, run: rotary },
    Case {
        name: "layer/attention, left padding",
        types: ALL,
        depth: Depth::Layer,
        run: |at| attention(at, PaddingSide::Left),
    },
    Case {
        name: "layer/attention, right padding",
        types: F32,
        depth: Depth::Layer,
        run: |at| attention(at, PaddingSide::Right),
    },
    Case { name: "layer/swiglu", types: ALL, depth: Depth::Layer, run: swiglu },
    Case { name: "layer/lora_linear, dropout", types: ALL, depth: Depth::Layer, run: lora_linear },
    Case { name: "layer/packed matrices", types: F32, depth: Depth::Layer, run: packed },
    Case { name: "layer/lora_linear, merged", types: F32, depth: Depth::Model, run: merged },
    Case { name: "model/embedding and tied head", types: F32, depth: Depth::Model, run: |at| trained(at, json!({})) },
    Case {
        name: "model/untied head, biases, scaled rope",
        types: F32,
        depth: Depth::Model,
        run: |at| {
            trained(
                at,
                json!({
                    "model_type": "qwen2", "tie_word_embeddings": false,
                    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                        "original_max_position_embeddings": 16},
                }),
            )
        },
    },
    Case { name: "model/adapters", types: ALL, depth: Depth::Model, run: |at| adapted(at, None, false) },
    Case {
        name: "model/adapters, activations recomputed",
        types: F32,
        depth: Depth::Model,
        run: |at| adapted(at, None, true),
    },
    Case {
        name: "model/adapters on int8",
        types: PACKED,
        depth: Depth::Model,
        run: |at| adapted(at, Some(Quantization::Int8), false),
    },
    Case {
        name: "model/adapters on int4",
        types: PACKED,
        depth: Depth::Model,
        run: |at| adapted(at, Some(Quantization::Int4), false),
    },
    Case {
        name: "model/adapters on int4, activations recomputed",
        types: F32,
        depth: Depth::Model,
        run: |at| adapted(at, Some(Quantization::Int4), true),
    },
    Case {
        name: "model/odd sizes",
        types: F32,
        depth: Depth::Model,
        run: |at| {
            trained(
                at,
                json!({
                    "hidden_size": 45, "intermediate_size": 51, "num_attention_heads": 3, "num_key_value_heads": 1,
                    "head_dim": 10, "vocab_size": 101,
                }),
            )
        },
    },
    Case { name: "model/wide, adapters", types: ALL, depth: Depth::Model, run: wide },
    Case { name: "model/cache", types: F32, depth: Depth::Model, run: cached },
];

fn rms_norm(at: &Setting) -> Results {
    let mut results = Results::default();
    let x = at.leaf(1, [2, 5, 16]);
    let norm = RmsNorm { weight: Param::from_tensor(at.tensor(2, [16])), epsilon: 1e-5 };
    let gradients = results.backward(norm.forward(x.clone()));
    results.gradient("x", &x, &gradients);
    results.gradient("weight", &norm.weight.val(), &gradients);
    results
}

fn rotary(at: &Setting) -> Results {
    let mut results = Results::default();
    let x = at.leaf(1, [2, 3, 4, 4]);
    let positions = [vec![0, 1, 2], vec![40, 41, 42]];
    let rotary = Rotary::new(&config(json!({})), &positions, &at.autodiff());
    let gradients = results.backward(rotary.forward(x.clone()));
    results.gradient("x", &x, &gradients);
    results
}

/// Rows of different lengths, for a batch with padding.
fn rows() -> [Vec<u32>; 3] {
    [vec![1, 5, 9, 3, 22, 30], vec![1, 7], vec![4, 4, 8, 19]]
}

/// Masked positions have a score of -1e9, as in the model.
fn geometry(at: &Setting, batch: &TokenBatch) -> Geometry {
    let seq = batch.seq;
    let positions: Vec<Vec<usize>> =
        batch.spans.iter().map(|span| (0..seq).map(|at| at.saturating_sub(span.start)).collect()).collect();
    let mut bias = Vec::new();
    for span in &batch.spans {
        for query in 0..seq {
            let seen = |key: usize| span.contains(&query) && span.contains(&key) && key <= query;
            bias.extend((0..seq).map(|key| if seen(key) { 0.0f32 } else { -1e9 }));
        }
    }
    let bias = burn::tensor::TensorData::new(bias, [batch.rows(), 1, seq, seq]);
    Geometry {
        rotary: Rotary::new(&config(json!({})), &positions, &at.autodiff()),
        bias: burn::tensor::Tensor::from_data(bias, (&at.autodiff(), burn::tensor::DType::F32)),
    }
}

fn attention(at: &Setting, side: PaddingSide) -> Results {
    let mut results = Results::default();
    let batch = TokenBatch::padded(&rows(), side, 0, 1, &at.autodiff()).unwrap();
    let attention = at.model(json!({})).layers[0].attention.clone();
    let x = at.leaf(3, [3, 6, 16]);
    let context = ForwardContext { spans: &batch.spans, seq: batch.seq, dropout: None };
    let output = attention.forward(x.clone(), &geometry(at, &batch), None, &context);
    let gradients = results.backward(output);
    results.gradient("x", &x, &gradients);
    results.gradient("v", &attention.v_proj.weight.values(), &gradients);
    results
}

fn swiglu(at: &Setting) -> Results {
    let mut results = Results::default();
    let block = at.model(json!({})).layers[0].feed_forward.clone();
    let x = at.leaf(3, [2, 5, 16]);
    let spans = [0..5, 2..5];
    let output = block.forward(x.clone(), &ForwardContext { spans: &spans, seq: 5, dropout: None });
    let gradients = results.backward(output);
    results.gradient("x", &x, &gradients);
    results.gradient("gate", &block.gate_proj.weight.values(), &gradients);
    results
}

fn key() -> DropoutKey {
    DropoutKey { seed: 3, step: 1, rows: vec![4, 9, 2] }
}

fn lora_linear(at: &Setting) -> Results {
    let mut results = Results::default();
    let linear = at.adapted(0.3, None).layers[1].attention.q_proj.clone();
    let x = at.leaf(3, [3, 6, 16]);
    let (spans, key) = ([0..6, 4..6, 2..6], key());
    let output = linear.forward(x.clone(), &ForwardContext { spans: &spans, seq: 6, dropout: Some(&key) });
    let gradients = results.backward(output);
    let lora = linear.lora.as_ref().unwrap();
    results.gradient("x", &x, &gradients);
    results.gradient("a", &lora.a.val(), &gradients);
    results.gradient("b", &lora.b.val(), &gradients);
    results
}

/// 8-bit and 4-bit matrices of sizes that do and do not fill whole words, with negative values.
fn packed(at: &Setting) -> Results {
    let mut results = Results::default();
    for (quantization, [d_in, d_out]) in
        [(Quantization::Int8, [16, 24]), (Quantization::Int4, [64, 32]), (Quantization::Int4, [5, 7])]
    {
        let weight = PackedWeight::new(&pattern(2, d_in * d_out), [d_in, d_out], quantization, &at.autodiff());
        results.tensor("unpacked", weight.unpack());
        let x = at.leaf(1, [3, d_in]);
        let gradients = results.backward(weight.multiply(x.clone()));
        results.gradient("x", &x, &gradients);
    }
    results
}

/// Adapters merged into the matrices.
fn merged(at: &Setting) -> Results {
    let mut results = Results::default();
    let model = at.adapted(0.0, None);
    let batch = TokenBatch::left_padded(&rows(), 0, 1, &at.autodiff()).unwrap();
    results.tensor("apart", last(model.hidden(&batch, None, None)));
    let merged = coin::model::adapter::set_merged(model, true);
    results.tensor("merged", last(merged.hidden(&batch, None, None)));
    results
}

/// The states of the last position, `[rows, d_model]`. With left padding it is never padding.
fn last(hidden: burn::tensor::Tensor<3>) -> burn::tensor::Tensor<2> {
    let [rows, seq, d_model] = hidden.dims();
    hidden.narrow(1, seq - 1, 1).reshape([rows, d_model])
}

/// All weights are trained, embedding included.
fn trained(at: &Setting, changes: serde_json::Value) -> Results {
    let mut results = Results::default();
    let model = at.model(changes);
    let batch = TokenBatch::left_padded(&rows(), 0, 1, &at.autodiff()).unwrap();
    let gradients = results.backward(model.logits(last(model.hidden(&batch, None, None))));
    results.parameters(&model, &GradientsParams::from_grads(gradients, &model));
    results
}

fn adapted(at: &Setting, quantization: Option<Quantization>, recompute: bool) -> Results {
    let mut results = Results::default();
    let model = at.adapted(0.3, quantization);
    let batch = TokenBatch::left_padded(&rows(), 0, 1, &at.autodiff()).unwrap();
    let gradients = match recompute {
        true => {
            let (hidden, tape) = model.hidden_checkpointed(&batch, Some(&key()));
            let gradients = results.backward(model.logits(last(hidden)));
            tape.backward(&model, gradients)
        }
        false => {
            let gradients = results.backward(model.logits(last(model.hidden(&batch, None, Some(&key())))));
            GradientsParams::from_grads(gradients, &model)
        }
    };
    results.parameters(&model, &gradients);
    results
}

/// Cached generation: a prefix, then the rest with padding, then one more token per row.
fn cached(at: &Setting) -> Results {
    let mut results = Results::default();
    let model = Llama::new(&config(json!({})), 5, &at.device).unwrap();
    let batch = |rows: &[Vec<u32>]| TokenBatch::left_padded(rows, 0, 1, &at.device).unwrap();
    let mut cache = KvCache::new(2, 1, 4);
    results.tensor("prefix", model.hidden(&batch(&[vec![1, 4]]), Some(&mut cache), None));
    // More positions than the capacity.
    let mut cache = cache.repeat(3, 3);
    for step in [rows().to_vec(), vec![vec![6], vec![7], vec![30]]] {
        results.tensor("step", last(model.hidden(&batch(&step), Some(&mut cache), None)));
    }
    let mut cache = cache.select(&[2, 0]);
    results.tensor("rows kept", last(model.hidden(&batch(&[vec![3], vec![5]]), Some(&mut cache), None)));
    results
}

/// The demo's base model (four layers of width 128, 1536 tokens) on 6 rows of up to 90 tokens. Uses other kernels than small
/// matrices do.
fn wide(at: &Setting) -> Results {
    let mut results = Results::default();
    let format = coin::model::WeightFormat { dtype: at.dtype, quantization: None };
    let base = coin_testkit::demo_base();
    let model = coin::model::checkpoint::load(&base, format, &at.autodiff()).unwrap().model;
    let model = model.with_lora(&LoraConfig::default(), 9).unwrap();
    let rows: Vec<Vec<u32>> =
        (0..6u32).map(|row| (0..90 - 13 * row).map(|place| (place * 37 + row * 101) % 1536).collect()).collect();
    let batch = TokenBatch::left_padded(&rows, 0, 1, &at.autodiff()).unwrap();
    let gradients = results.backward(model.logits(last(model.hidden(&batch, None, None))));
    results.parameters(&model, &GradientsParams::from_grads(gradients, &model));
    results
}

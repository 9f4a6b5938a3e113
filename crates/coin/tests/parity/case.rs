//! The definition of a case, the setting it runs in, and the tolerance between two results.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Gradients, Int, Shape, Tensor, TensorData};
use coin::model::{FloatType, Llama, LlamaConfig, LoraConfig, Quantization, TargetModules, WeightFormat};

/// A named computation that runs on every device.
pub struct Case {
    /// Name in the form `group/case`.
    pub name: &'static str,
    /// Dtypes in which the case runs; the reference is f32 on the CPU.
    pub types: &'static [FloatType],
    /// Length of the chain of rounding errors.
    pub depth: Depth,
    /// The computation.
    pub run: fn(&Setting) -> Results,
}

/// The depth of a computation, which determines how far rounding errors propagate and so the tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// A layer or a loss, forward and backward.
    Layer,
    /// A whole model, forward and backward.
    Model,
    /// A training step: a model, and cosines divided by the temperature 0.05, which multiplies their rounding errors by
    /// twenty.
    Step,
    /// Twenty steps of AdamW, which divides by the root of the squared gradients. Where a gradient is as small as its rounding
    /// error, the step still is not small.
    Training,
}

impl Depth {
    /// The largest difference allowed, as a share of the largest value of the compared vector.
    ///
    /// The unit roundoff is 6e-8 in f32, 5e-4 in f16 and 4e-3 in bf16. A layer sums at most 64 products, in an order that
    /// depends on the device, and has a handful of such steps with an error of a few units each. A model chains two layers,
    /// forward and backward. `exp`, roots and divisions of a GPU may be off by some more units. A 16-bit dtype rounds every
    /// activation; since the reference is f32, the comparison measures this rounding.
    pub fn tolerance(self, dtype: FloatType) -> f64 {
        match (self, dtype) {
            (Depth::Layer, FloatType::F32) => 5e-6,
            (Depth::Layer, FloatType::F16) => 5e-3,
            (Depth::Layer, FloatType::Bf16) => 4e-2,
            (Depth::Model, FloatType::F32) => 2e-5,
            (Depth::Model, FloatType::F16) => 5e-2,
            (Depth::Model, FloatType::Bf16) => 2e-1,
            (Depth::Step, FloatType::F32) => 5e-5,
            (Depth::Step, FloatType::F16) => 1e-1,
            (Depth::Step, FloatType::Bf16) => 4e-1,
            (Depth::Training, FloatType::F32) => 2e-4,
            (Depth::Training, FloatType::F16) => 2e-2,
            (Depth::Training, FloatType::Bf16) => 1e-1,
        }
    }
}

/// The device and dtype in which a case runs.
pub struct Setting {
    /// The device, without autodiff.
    pub device: Device,
    /// Dtype of weights and residual stream.
    pub dtype: FloatType,
}

impl Setting {
    /// The device with autodiff.
    pub fn autodiff(&self) -> Device {
        self.device.clone().autodiff()
    }

    /// Values of order 1 that depend only on `seed`, in the setting's dtype, on the autodiff device.
    pub fn tensor<const D: usize>(&self, seed: u64, shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(pattern(seed, shape.iter().product()), shape);
        Tensor::from_data(data.convert_dtype(self.dtype.into()), (&self.autodiff(), DType::from(self.dtype)))
    }

    /// As [`tensor`](Self::tensor), but a leaf of the graph.
    pub fn leaf<const D: usize>(&self, seed: u64, shape: [usize; D]) -> Tensor<D> {
        self.tensor(seed, shape).require_grad()
    }

    /// A tensor of integers.
    pub fn integers<const N: usize>(&self, values: [i32; N]) -> Tensor<1, Int> {
        Tensor::from_data(values, &self.autodiff())
    }

    /// A model of two layers with four query heads and two key heads, with weights in the setting's dtype.
    pub fn model(&self, changes: serde_json::Value) -> Llama {
        self.stored(changes, None)
    }

    /// The same model, with packed linear layers if `quantization` is given.
    fn stored(&self, changes: serde_json::Value, quantization: Option<Quantization>) -> Llama {
        let format = WeightFormat { dtype: self.dtype, quantization };
        Llama::with_format(&config(changes), format, 5, &self.autodiff()).unwrap()
    }

    /// The same model with adapters on every linear layer. The second factors are not zero, so that every factor has a gradient.
    pub fn adapted(&self, dropout: f64, quantization: Option<Quantization>) -> Llama {
        let target_modules = TargetModules::Pattern("all-linear".to_owned());
        let lora = LoraConfig { rank: 4, dropout, target_modules, ..LoraConfig::default() };
        self.stored(serde_json::json!({}), quantization).with_lora(&lora, 9).unwrap().map(&mut Fill(0))
    }
}

/// The configuration of the small model, with `changes` applied.
pub fn config(changes: serde_json::Value) -> LlamaConfig {
    let mut config = serde_json::json!({
        "model_type": "llama", "vocab_size": 31, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": true, "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 2,
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

/// `count` aperiodic values of order 1.
pub fn pattern(seed: u64, count: usize) -> Vec<f32> {
    (0..count)
        .map(|at| ((at as f64 * 0.7391 + seed as f64 * 1.913).sin() * (1.0 + (at % 7) as f64 / 9.0)) as f32)
        .collect()
}

/// Fills every trained matrix (the factors of adapters) with different values.
struct Fill(u64);

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        self.0 += 1;
        let seed = self.0;
        param.map(|tensor| {
            let shape: Shape = tensor.shape();
            let values: Vec<f32> = pattern(seed, shape.num_elements()).into_iter().map(|value| value * 0.2).collect();
            Tensor::from_data(TensorData::new(values, shape), (&tensor.device(), DType::F32)).require_grad()
        })
    }
}

/// The results of a case.
#[derive(Debug, Default)]
pub struct Results {
    /// Named vectors.
    pub numbers: Vec<(String, Vec<f64>)>,
    /// Named results that must be equal, such as token ids and texts.
    pub decisions: Vec<(String, String)>,
}

impl Results {
    /// Adds the values of a tensor.
    pub fn tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        let values: Vec<f32> = tensor.cast(DType::F32).try_into_vec_as().unwrap();
        self.values(name, values.into_iter().map(f64::from));
    }

    /// Adds numbers.
    pub fn values(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        self.numbers.push((name.to_owned(), values.into_iter().collect()));
    }

    /// Adds a result that must be equal.
    pub fn decision(&mut self, name: &str, value: impl std::fmt::Debug) {
        self.decisions.push((name.to_owned(), format!("{value:?}")));
    }

    /// Adds the gradient of a leaf.
    pub fn gradient<const D: usize>(&mut self, name: &str, leaf: &Tensor<D>, gradients: &Gradients) {
        match leaf.grad(gradients) {
            Some(gradient) => self.tensor(&format!("gradient of {name}"), gradient),
            None => panic!("{name} does not have a gradient"),
        }
    }

    /// Adds `output` and returns the gradients of its weighted sum, with fixed weights.
    pub fn backward<const D: usize>(&mut self, output: Tensor<D>) -> Gradients {
        self.tensor("output", output.clone());
        let shape = output.shape();
        let weights = TensorData::new(pattern(99, shape.num_elements()), shape);
        let weights = Tensor::<D>::from_data(weights, (&output.device(), DType::F32));
        (output.cast(DType::F32) * weights).sum().backward()
    }

    /// Adds the gradient of every trained parameter of a model.
    pub fn parameters<M: Module>(&mut self, model: &M, gradients: &GradientsParams) {
        let mut collect = Collect { gradients, results: self, at: 0 };
        model.visit(&mut collect);
        assert!(collect.at > 0, "no parameter has a gradient");
    }
}

struct Collect<'a> {
    gradients: &'a GradientsParams,
    results: &'a mut Results,
    at: usize,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.at += 1;
            self.results.tensor(&format!("gradient {}", self.at), gradient);
        }
    }
}

/// The distance between two results.
pub struct Distance {
    /// Largest difference anywhere.
    pub absolute: f64,
    /// Largest difference as a share of the largest value of its vector.
    pub relative: f64,
    /// Name of the vector with the largest relative difference.
    pub at: String,
    /// Decisions that differ.
    pub different: Vec<String>,
}

/// Compares two results of a case.
pub fn distance(reference: &Results, got: &Results) -> Distance {
    let names = |results: &Results| -> Vec<(String, usize)> {
        results.numbers.iter().map(|(name, values)| (name.clone(), values.len())).collect()
    };
    assert_eq!(names(reference), names(got), "the results have different names or sizes");
    let mut out = Distance { absolute: 0.0, relative: 0.0, at: String::new(), different: Vec::new() };
    for ((name, expected), (_, got)) in reference.numbers.iter().zip(&got.numbers) {
        let largest = expected.iter().fold(0f64, |largest, value| largest.max(value.abs()));
        // If all expected values are zero, the difference is relative to 1.
        let scale = if largest > 0.0 { largest } else { 1.0 };
        for (expected, got) in expected.iter().zip(got) {
            let difference = (expected - got).abs();
            // NaN counts as infinitely far; two equal infinities have distance 0.
            let difference = if expected == got {
                0.0
            } else if difference.is_finite() {
                difference
            } else {
                f64::INFINITY
            };
            out.absolute = out.absolute.max(difference);
            if difference / scale > out.relative {
                (out.relative, out.at) = (difference / scale, name.clone());
            }
        }
    }
    for ((name, expected), (_, got)) in reference.decisions.iter().zip(&got.decisions) {
        if expected != got {
            out.different.push(format!("{name}: {got} instead of {expected}"));
        }
    }
    out
}

//! A reference InfoNCE in f64, entry by entry, with gradients by central differences, and batches to test with.
#![allow(dead_code, missing_docs)]

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use coin_loss::{Batch, Direction, Evaluation, InfoNce, InfoNceConfig, Reduction, Similarity};

const NORM_EPSILON: f64 = 1e-12;

/// A batch and its settings.
#[derive(Debug, Clone)]
pub struct Case {
    pub config: InfoNceConfig,
    pub n: usize,
    pub d: usize,
    /// Hard negatives of a row.
    pub k: usize,
    pub anchor: Vec<f64>,
    pub positive: Vec<f64>,
    pub hard: Vec<f64>,
    pub excluded: Option<Vec<bool>>,
    pub groups: Option<Vec<i32>>,
    pub weights: Option<Vec<f64>>,
}

/// Distinct numbers between -1 and 1, from a linear congruential generator.
pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        f64::from(((state >> 40) as f32) / (1u32 << 23) as f32 - 1.0)
    };
    (0..count).map(next).collect()
}

impl Case {
    /// Pairs of similar rows, at a temperature where no softmax is saturated.
    pub fn new(n: usize, d: usize, seed: u64) -> Self {
        let anchor = numbers(n * d, seed);
        let noise = numbers(n * d, seed + 1000);
        let positive = anchor.iter().zip(noise).map(|(a, b)| f64::from((0.6 * a + 0.8 * b) as f32)).collect();
        let config = InfoNceConfig::new().with_temperature(0.3);
        let none = (None, None, None);
        Case {
            config,
            n,
            d,
            k: 0,
            anchor,
            positive,
            hard: Vec::new(),
            excluded: none.0,
            groups: none.1,
            weights: none.2,
        }
    }

    pub fn with_hard(mut self, k: usize, weight: f64, seed: u64) -> Self {
        self.k = k;
        self.hard = numbers(self.n * k * self.d, seed + 2000);
        self.config = self.config.with_hard_negative_weight(weight);
        self
    }

    pub fn with_excluded(mut self, excluded: impl Fn(usize, usize) -> bool) -> Self {
        self.excluded = Some((0..self.n * self.n).map(|at| excluded(at / self.n, at % self.n)).collect());
        self
    }

    pub fn with_groups(mut self, groups: impl Fn(usize) -> i32) -> Self {
        self.groups = Some((0..self.n).map(groups).collect());
        self
    }

    pub fn with_weights(mut self, seed: u64) -> Self {
        self.weights = Some(numbers(self.n, seed + 3000).iter().map(|x| f64::from((x + 1.5) as f32)).collect());
        self
    }

    pub fn with_config(mut self, change: impl Fn(InfoNceConfig) -> InfoNceConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// Small batches that cover every setting.
    pub fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for direction in [Direction::Symmetric, Direction::AnchorToPositive, Direction::Joint] {
            for similarity in [Similarity::Cosine, Similarity::Dot] {
                let case = |seed| {
                    let change = |config: InfoNceConfig| config.with_direction(direction).with_similarity(similarity);
                    Case::new(7, 5, seed).with_config(change)
                };
                cases.push(case(1));
                cases.push(case(2).with_hard(1, 1.0, 2));
                cases.push(case(3).with_hard(3, 0.25, 3).with_groups(|i| (i % 3) as i32).with_weights(3));
                cases.push(case(4).with_excluded(|i, j| (i * 3 + j) % 4 == 0).with_groups(|i| (i / 5) as i32));
                cases.push(case(5).with_weights(5).with_config(|config| config.with_reduction(Reduction::Sum)));
                cases.push(case(6).with_excluded(|i, _| i == 2));
            }
        }
        cases
    }

    fn left_out(&self, i: usize, j: usize) -> bool {
        let excluded = self.excluded.as_ref().is_some_and(|excluded| excluded[i * self.n + j]);
        let grouped = self.groups.as_ref().is_some_and(|groups| groups[i] == groups[j]);
        i != j && (excluded || grouped)
    }

    fn similarity(&self, x: &[f64], y: &[f64]) -> f64 {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        match self.config.similarity {
            Similarity::Dot => dot(x, y),
            Similarity::Cosine => dot(x, y) / ((dot(x, x) + NORM_EPSILON) * (dot(y, y) + NORM_EPSILON)).sqrt(),
        }
    }

    /// The rows' terms.
    pub fn terms(&self, temperature: f64) -> Vec<f64> {
        let (n, d, k) = (self.n, self.d, self.k);
        let row = |values: &'_ [f64], at: usize| values[at * d..(at + 1) * d].to_vec();
        let logit = |i: usize, j: usize| self.similarity(&row(&self.anchor, i), &row(&self.positive, j)) / temperature;
        let term = |i: usize| {
            let own = logit(i, i);
            let in_batch: f64 = (0..n).filter(|&j| !self.left_out(i, j)).map(|j| (logit(i, j) - own).exp()).sum();
            let hard: f64 = (0..k)
                .map(|at| self.similarity(&row(&self.anchor, i), &row(&self.hard, i * k + at)) / temperature)
                .map(|logit| self.config.hard_negative_weight * (logit - own).exp())
                .sum();
            let column: f64 = (0..n).filter(|&j| !self.left_out(j, i)).map(|j| (logit(j, i) - own).exp()).sum();
            match self.config.direction {
                Direction::Symmetric => ((in_batch + hard).ln() + column.ln()) / 2.0,
                Direction::AnchorToPositive => (in_batch + hard).ln(),
                Direction::Joint => (in_batch + hard + column).ln(),
            }
        };
        (0..n).map(term).collect()
    }

    pub fn loss_at(&self, temperature: f64) -> f64 {
        let weight = |i: usize| self.weights.as_ref().map_or(1.0, |weights| weights[i]);
        let sum: f64 = self.terms(temperature).iter().enumerate().map(|(i, term)| weight(i) * term).sum();
        if self.config.reduction == Reduction::Mean { sum / self.n as f64 } else { sum }
    }

    pub fn loss(&self) -> f64 {
        self.loss_at(self.config.temperature)
    }

    /// Gradients of anchors, positives and hard negatives, in this order, by central differences; error about 1e-9.
    pub fn gradient(&self) -> Vec<f64> {
        let step = 1e-5;
        let lengths = [self.anchor.len(), self.positive.len(), self.hard.len()];
        let moved = |which: usize, at: usize, by: f64| {
            let mut case = self.clone();
            [&mut case.anchor, &mut case.positive, &mut case.hard][which][at] += by;
            case.loss()
        };
        let places = (0..3).flat_map(|which| (0..lengths[which]).map(move |at| (which, at)));
        places.map(|(which, at)| (moved(which, at, step) - moved(which, at, -step)) / (2.0 * step)).collect()
    }

    pub fn init(&self, evaluation: Evaluation) -> InfoNce {
        self.config.with_evaluation(evaluation).init().unwrap()
    }

    /// Leaf tensors on `device`, and the batch built from them.
    pub fn leaves(&self, device: &Device) -> (Vec<Tensor<2>>, Batch) {
        let leaf = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            let rows = values.len() / self.d;
            let tensor = Tensor::<2>::from_data(TensorData::new(values, [rows, self.d]), device);
            if device.is_autodiff() { tensor.require_grad() } else { tensor }
        };
        let mut leaves = vec![leaf(&self.anchor), leaf(&self.positive)];
        let mut batch = Batch::pairs(leaves[0].clone(), leaves[1].clone());
        if self.k > 0 {
            leaves.push(leaf(&self.hard));
            batch = batch.with_hard_negatives(leaves[2].clone().reshape([self.n, self.k, self.d]));
        }
        if let Some(excluded) = &self.excluded {
            let data = TensorData::new(excluded.clone(), [self.n, self.n]);
            batch = batch.with_excluded(Tensor::<2, Bool>::from_data(data, device));
        }
        if let Some(groups) = &self.groups {
            batch = batch.with_groups(Tensor::<1, Int>::from_data(groups.as_slice(), device));
        }
        if let Some(weights) = &self.weights {
            let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
            batch = batch.with_row_weights(Tensor::from_floats(weights.as_slice(), device));
        }
        (leaves, batch)
    }

    /// The crate's loss and gradients, in the order of [`gradient`](Self::gradient).
    pub fn ours(&self, evaluation: Evaluation) -> (f64, Vec<f64>) {
        let (leaves, batch) = self.leaves(&Device::flex().autodiff());
        let loss = self.init(evaluation).forward_batch(batch).loss;
        let value = scalar(&loss);
        let gradients = loss.backward();
        let gradient = |leaf: &Tensor<2>| values(leaf.grad(&gradients).expect("every leaf has a gradient"));
        (value, leaves.iter().flat_map(gradient).collect())
    }
}

pub fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// The largest difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |x, y| if y.is_nan() { f64::INFINITY } else { x.max(y) })
}

pub fn largest(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |x, y| x.max(y.abs()))
}

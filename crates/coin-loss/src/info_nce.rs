//! InfoNCE with in-batch negatives, in both directions.
//!
//! `S_ij = cos(a_i, p_j) / temperature`, and the loss is the mean of the cross entropies of the rows and of the
//! columns of `S` with the diagonal as target (CoIN, Yan et al. 2024, equation 2; van den Oord et al. 2018).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, DType, Int, Tensor};

use crate::LossError;

/// Added to squared norms before the root, so that a zero vector has similarity 0 to everything instead of NaN.
const NORM_EPSILON: f64 = 1e-12;

/// What an excluded similarity becomes: far below any logit, finite so that no NaN arises in the backward pass.
const EXCLUDED: f64 = -1e9;

/// Settings of [`InfoNce`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoNceConfig {
    /// Divides the cosine similarities. Default 0.05 (the paper's).
    pub temperature: f64,
}

impl InfoNceConfig {
    /// The paper's settings.
    pub fn new() -> Self {
        InfoNceConfig { temperature: 0.05 }
    }

    /// Sets the temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// The loss with these settings.
    ///
    /// # Errors
    /// [`LossError::Temperature`] unless the temperature is positive and finite.
    pub fn init(&self) -> Result<InfoNce, LossError> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(LossError::Temperature(self.temperature));
        }
        Ok(InfoNce { temperature: self.temperature })
    }
}

impl Default for InfoNceConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// InfoNCE over cosine similarities; see the [module page](self).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoNce {
    temperature: f64,
}

/// What [`InfoNce::forward`] returns; every tensor is on the inputs' device, and reading one synchronises.
#[derive(Debug, Clone)]
pub struct InfoNceOutput {
    /// The loss, `[1]`, in nats.
    pub loss: Tensor<1>,
    /// Each row's share: the mean of its row's and its column's cross entropy, `[n]`.
    pub per_row: Tensor<1>,
    /// Share of rows whose positive ranks above every column that is not excluded, `[1]`.
    pub accuracy: Tensor<1>,
    /// Mean cosine of the positive pairs, `[1]`.
    pub similarity_positive: Tensor<1>,
    /// Mean cosine over negatives that are not excluded, `[1]`; 0 where there is none.
    pub similarity_negative: Tensor<1>,
}

impl InfoNce {
    /// Contrasts every anchor with every positive.
    ///
    /// # Shapes
    /// - anchor, positive: `[n, d]`; row i of one belongs to row i of the other
    /// - excluded: `[n, n]`, true where column j is no negative of row i (a false negative: same task, same answer);
    ///   the diagonal is never excluded, whatever it says
    ///
    /// The similarities are computed in f32 whatever the inputs' type. With `n = 1`, or with every negative
    /// excluded, the loss is 0 and so are its gradients.
    ///
    /// # Panics
    /// As burn does, if the shapes disagree.
    pub fn forward(&self, anchor: Tensor<2>, positive: Tensor<2>, excluded: Option<Tensor<2, Bool>>) -> InfoNceOutput {
        let [n, _] = anchor.dims();
        let device = anchor.device();
        let cosine = unit(anchor).matmul(unit(positive).transpose());
        let diagonal = Tensor::<1, Int>::arange(0..n as i64, &device).unsqueeze_dim::<2>(1);
        let own = Tensor::<2, Bool>::diag_mask([n, n], 0, &device).bool_not();
        let off = match excluded {
            Some(excluded) => excluded.bool_or(own.clone()),
            None => own.clone(),
        };
        // Excluded columns leave both directions; the diagonal always stays.
        let out = off.clone().bool_and(own.bool_not());
        let logits = (cosine.clone() / self.temperature).mask_fill(out, EXCLUDED);

        let rows = log_softmax(logits.clone(), 1).gather(1, diagonal.clone());
        let columns = log_softmax(logits.clone().transpose(), 1).gather(1, diagonal.clone());
        let per_row = ((rows + columns) / -2.0).squeeze_dim::<1>(1);

        let cosine = cosine.detach();
        let positives = cosine.clone().gather(1, diagonal);
        let negative = off.bool_not();
        let above =
            positives.clone().greater(cosine.clone().mask_fill(negative.clone().bool_not(), EXCLUDED).max_dim(1));
        let count = negative.clone().float().sum().clamp_min(1.0);
        InfoNceOutput {
            loss: per_row.clone().mean(),
            per_row,
            accuracy: above.float().mean(),
            similarity_positive: positives.mean(),
            similarity_negative: (cosine * negative.float()).sum() / count,
        }
    }
}

/// Rows scaled to length one, in f32; a zero row stays zero.
fn unit(rows: Tensor<2>) -> Tensor<2> {
    let rows = rows.cast(DType::F32);
    let norm = (rows.clone().square().sum_dim(1) + NORM_EPSILON).sqrt();
    rows / norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn tensor(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
        let flat: Vec<f32> = rows.iter().flatten().copied().collect();
        Tensor::<1>::from_floats(flat.as_slice(), device).reshape([rows.len(), rows[0].len()])
    }

    fn scalar(tensor: &Tensor<1>) -> f64 {
        f64::from(tensor.clone().into_scalar::<f32>())
    }

    /// The same formula, written out in f64.
    fn reference(anchor: &[Vec<f32>], positive: &[Vec<f32>], excluded: &dyn Fn(usize, usize) -> bool, t: f64) -> f64 {
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            dot(a, b) / (dot(a, a) + NORM_EPSILON).sqrt() / (dot(b, b) + NORM_EPSILON).sqrt()
        };
        let n = anchor.len();
        let mut total = 0.0;
        for i in 0..n {
            let own = cosine(&anchor[i], &positive[i]) / t;
            let keep = |j: usize, excluded: bool| j == i || !excluded;
            let row: f64 = (0..n)
                .filter(|&j| keep(j, excluded(i, j)))
                .map(|j| (cosine(&anchor[i], &positive[j]) / t - own).exp())
                .sum();
            let column: f64 = (0..n)
                .filter(|&j| keep(j, excluded(j, i)))
                .map(|j| (cosine(&anchor[j], &positive[i]) / t - own).exp())
                .sum();
            total += (row.ln() + column.ln()) / 2.0;
        }
        total / n as f64
    }

    fn rows(n: usize, d: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
        proptest::collection::vec(proptest::collection::vec(-2.0f32..2.0, d), n)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn agrees_with_the_formula(a in rows(5, 4), p in rows(5, 4), bits in 0u32..(1 << 25), t in 0.05f64..1.0) {
            let device = Device::flex();
            let excluded = |i: usize, j: usize| bits >> (i * 5 + j) & 1 == 1;
            let mask: Vec<bool> = (0..25).map(|k| excluded(k / 5, k % 5)).collect();
            let mask = Tensor::<1, Bool>::from_data(mask.as_slice(), &device).reshape([5, 5]);
            let loss = InfoNceConfig::new().with_temperature(t).init().unwrap();
            let output = loss.forward(tensor(&a, &device), tensor(&p, &device), Some(mask));
            let expected = reference(&a, &p, &excluded, t);
            // f32 cosines divided by a temperature as small as 0.05: about 2e-6 absolute per logit.
            prop_assert!((scalar(&output.loss) - expected).abs() < 1e-4 * (1.0 + expected));
        }

        #[test]
        fn both_sides_may_be_swapped_and_scaled(a in rows(4, 3), p in rows(4, 3), s in 0.5f32..20.0) {
            let device = Device::flex();
            let loss = InfoNceConfig::new().with_temperature(0.3).init().unwrap();
            let plain = loss.forward(tensor(&a, &device), tensor(&p, &device), None);
            let swapped = loss.forward(tensor(&p, &device) * s, tensor(&a, &device), None);
            prop_assert!((scalar(&plain.loss) - scalar(&swapped.loss)).abs() < 1e-4);
        }
    }

    #[test]
    fn one_pair_and_zero_vectors_are_defined() {
        let device = Device::flex().autodiff();
        let anchor = Tensor::<2>::from_floats([[0.0, 0.0]], &device).require_grad();
        let output = InfoNceConfig::new().init().unwrap().forward(anchor.clone(), anchor.clone(), None);
        assert_eq!(scalar(&output.loss), 0.0);
        assert_eq!(scalar(&output.similarity_negative), 0.0);
        let gradient = anchor.grad(&output.loss.backward()).unwrap();
        assert_eq!(gradient.abs().sum().into_scalar::<f32>(), 0.0);
    }

    #[test]
    fn statistics_leave_excluded_columns_out() {
        let device = Device::flex();
        let anchor = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]], &device);
        let positive = Tensor::<2>::from_floats([[1.0, 0.2], [0.0, 1.0], [1.0, 0.0]], &device);
        let loss = InfoNceConfig::new().init().unwrap();
        // cos(a0, p2) = 1 > cos(a0, p0) = 0.981, and cos(a2, p0) = 0.9952 > cos(a2, p2) = 0.9950: only row 1 is right.
        let plain = loss.forward(anchor.clone(), positive.clone(), None);
        assert!((scalar(&plain.accuracy) - 1.0 / 3.0).abs() < 1e-6);
        let twins =
            Tensor::<2, Bool>::from_data([[false, false, true], [false, false, false], [true, false, false]], &device);
        let masked = loss.forward(anchor, positive, Some(twins));
        assert_eq!(scalar(&masked.accuracy), 1.0);
        assert!(scalar(&masked.similarity_negative) < scalar(&plain.similarity_negative));
    }

    #[test]
    fn a_temperature_must_be_positive() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(InfoNceConfig::new().with_temperature(bad).init().is_err());
        }
    }
}

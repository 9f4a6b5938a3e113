//! Supervised contrastive loss.

use burn::tensor::{Bool, DType, Int, Tensor};

use crate::batch::Part;
use crate::logits::LEFT_OUT;
use crate::settings::config;
use crate::statistics::Statistics;
use crate::tiled::{self, tie};
use crate::{Batch, Evaluation, Loss, LossError, LossOutput, Similarity};

config! {
    /// Settings of [`SupCon`].
    #[derive(Copy)]
    SupConConfig {
        /// Divides the similarities. Default 0.1 (the paper's, section 4.4).
        temperature / with_temperature: f64 = 0.1,
        /// Similarity of two rows. Default [`Similarity::Cosine`] (the paper's).
        similarity / with_similarity: Similarity = Similarity::Cosine,
        /// Evaluation of the similarity matrix. Default [`Evaluation::Auto`] (this crate's choice).
        evaluation / with_evaluation: Evaluation = Evaluation::Auto,
    }
}

impl SupConConfig {
    /// Builds the loss.
    ///
    /// # Errors
    /// [`LossError::Temperature`] unless the temperature is between 1e-20 and 1e20, and [`LossError::Tile`].
    pub fn init(&self) -> Result<SupCon, LossError> {
        LossError::check_temperature(self.temperature)?;
        if self.evaluation == Evaluation::Tiled(0) {
            return Err(LossError::Tile);
        }
        Ok(SupCon { config: *self })
    }
}

/// Supervised contrastive loss (Khosla et al. 2020, equation 2, `L_out`): each row should be closer to every row of its group
/// than to the rest.
///
/// ```text
/// S_ij = sim(z_i, z_j) / temperature
/// t_i  = - 1 / |P(i)|  sum_{p in P(i)} ( S_ip - log sum_{a != i} exp(S_ia) )
/// L    = mean of t_i over rows with a positive
/// ```
///
/// P(i) is the set of other rows in row i's group.
///
/// Use it for several paraphrases of an instance, or for labeled rows. With two rows per group it is NT-Xent (Chen et al.
/// 2020), which, unlike [`InfoNce`](crate::InfoNce), also contrasts the anchors with each other. [`Evaluation`] bounds the memory of
/// large batches.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use coin_loss::SupConConfig;
/// let device = Device::flex();
/// // Three wordings of one instance, two of another.
/// let rows = Tensor::<2>::from_floats([[1.0, 0.1], [1.0, 0.0], [0.9, 0.2], [0.0, 1.0], [0.1, 1.0]], &device);
/// let groups = Tensor::<1, Int>::from_data([0, 0, 0, 1, 1], &device);
/// let output = SupConConfig::new().init()?.forward(rows, groups);
/// assert_eq!(output.accuracy.into_scalar::<f32>(), 1.0);
/// // A row of the first instance divides its probability between two positives: its term is at least log 2.
/// assert!(output.loss.into_scalar::<f32>() < 0.6);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SupCon {
    config: SupConConfig,
}

/// The result of [`SupCon::forward`], on the inputs' device. Only `loss` has a graph.
#[derive(Debug, Clone)]
pub struct SupConOutput {
    /// The loss in nats, `[1]`; 0 if no row has a positive.
    pub loss: Tensor<1>,
    /// Each row's term, `[n]`; 0 for a row without a positive, which is not part of the mean.
    pub per_row: Tensor<1>,
    /// Share of rows with both a positive and a negative, `[1]`. If it is 0, `accuracy` is meaningless.
    pub contrasted: Tensor<1>,
    /// Share of the rows with a positive and a negative whose nearest other row is in their group, `[1]`. A tie does not count.
    /// 0 if no row has both.
    pub accuracy: Tensor<1>,
    /// Mean similarity within groups, `[1]`; 0 without such pairs.
    pub similarity_positive: Tensor<1>,
    /// Mean similarity across groups, `[1]`; 0 without such pairs.
    pub similarity_negative: Tensor<1>,
}

impl SupCon {
    /// Contrasts every row with every other.
    ///
    /// # Shapes
    /// - rows: `[n, d]`; computed in f32 whatever their dtype
    /// - groups: `[n]`, equal for rows of the same group
    ///
    /// # Panics
    /// Panics with the message of [`LossError`] if the batch is empty or the shapes differ.
    pub fn forward(&self, rows: Tensor<2>, groups: Tensor<1, Int>) -> SupConOutput {
        let batch = Batch::labeled(rows, groups);
        self.checked(batch).unwrap_or_else(|error| panic!("SupCon: {error}"))
    }

    /// Like [`forward`](Self::forward), for a batch of rows with groups ([`Batch::labeled`]), or of several views of each item
    /// ([`Batch::views`]); items with the same group number belong together. It looks at the values too, for which it reads from the
    /// device.
    ///
    /// # Errors
    /// [`LossError`] names an argument of the wrong shape, one that the loss would ignore, and the first row that is not finite or,
    /// with cosines, zero.
    pub fn try_forward(&self, batch: Batch) -> Result<SupConOutput, LossError> {
        batch.check_values(self.config.similarity == Similarity::Cosine)?;
        self.checked(batch)
    }

    fn checked(&self, batch: Batch) -> Result<SupConOutput, LossError> {
        let needed: &[Part] = if batch.views.len() == 1 { &[Part::Groups] } else { &[] };
        let [n, _] = batch.check("SupCon", 1..=usize::MAX, &[Part::Groups], needed)?;
        let views = batch.views.len();
        let groups = batch.groups.unwrap_or_else(|| Tensor::arange(0..n as i64, &batch.views[0].device()));
        let groups = if views == 1 { groups } else { groups.repeat_dim(0, views) };
        Ok(self.of_rows(Tensor::cat(batch.views, 0), groups))
    }

    fn of_rows(&self, rows: Tensor<2>, groups: Tensor<1, Int>) -> SupConOutput {
        let [n, d] = rows.dims();
        let tile = match self.config.evaluation {
            Evaluation::Plain => n,
            Evaluation::Auto if n <= tiled::PLAIN_ROWS => n,
            Evaluation::Auto => tiled::default_tile(n, d),
            Evaluation::Tiled(tile) => tile,
        };
        match tile < n {
            true => self.by_blocks(rows, groups, tile),
            false => {
                let prepared = self.config.similarity.prepare(rows);
                let block = self.block(&prepared, &prepared, &groups, 0);
                let with_positive = block.count.clone().clamp_max(1.0).sum();
                let loss = block.terms.clone().sum() / with_positive.clamp_min(1.0);
                block.tally.finish(loss, block.terms.without_autodiff().squeeze_dim(1), n)
            }
        }
    }

    /// The terms of the rows from `first` against all rows, `[count, d]` and `[n, d]`, both prepared.
    fn block(&self, own: &Tensor<2>, all: &Tensor<2>, groups: &Tensor<1, Int>, first: usize) -> Block {
        let ([count, _], device) = (own.dims(), own.device());
        let [n, _] = all.dims();
        let similarity = own.clone().matmul(all.clone().transpose());
        let of_own = groups.clone().narrow(0, first, count).unsqueeze_dim::<2>(1);
        let same = of_own.equal(groups.clone().unsqueeze_dim::<2>(0));
        let numbers = Tensor::<1, Int>::arange(first as i64..(first + count) as i64, &device).unsqueeze_dim::<2>(1);
        let itself = numbers.equal(Tensor::<1, Int>::arange(0..n as i64, &device).unsqueeze_dim::<2>(0));
        let positive = same.clone().bool_and(itself.clone().bool_not());
        let number = positive.clone().float().cast(DType::F32).sum_dim(1);
        // A single row has only excluded columns. Its number of positives is 0 too, so it does not enter the mean.
        let logits = (similarity.clone() / self.config.temperature).mask_fill(itself, LEFT_OUT);
        let log_share = burn::tensor::activation::log_softmax(logits, 1);
        let of_positives = log_share.clone().mask_fill(positive.clone().bool_not(), 0.0);
        let terms = (of_positives.sum_dim(1) / number.clone().clamp_min(1.0)).neg();
        let tally = Tally::new(similarity.without_autodiff(), &positive, same.bool_not());
        Block { terms, count: number, positive, log_share, tally }
    }

    /// Evaluates blocks of `tile` rows outside the graph, with the gradient in closed form: with
    /// `G_ij = exp(S_ij - r_i) - [j in P(i)] / |P(i)|` for rows with a positive, `dL / dz = (G + G^T) z / (rows temperature)`.
    fn by_blocks(&self, rows: Tensor<2>, groups: Tensor<1, Int>, tile: usize) -> SupConOutput {
        let ([n, d], device) = (rows.dims(), rows.device());
        let (all, length) = self.config.similarity.prepare_with_length(rows.clone().without_autodiff());
        let groups = groups.without_autodiff();
        let mut gradient = rows.is_tracked().then(|| Tensor::<2>::zeros([n, d], (&all.device(), DType::F32)));
        let (mut tally, mut terms, mut counts) = (None::<Tally>, Vec::new(), Vec::new());
        for first in (0..n).step_by(tile) {
            let count = tile.min(n - first);
            let own = all.clone().narrow(0, first, count);
            let block = self.block(&own, &all, &groups, first);
            if let Some(sum) = gradient.take() {
                let share = block.positive.clone().float().cast(DType::F32) / block.count.clone().clamp_min(1.0);
                let pull = (block.log_share.exp() - share) * block.count.clone().clamp_max(1.0);
                let of_own = pull.clone().matmul(all.clone()) + sum.clone().narrow(0, first, count);
                let sum = sum.slice_assign([first..first + count, 0..d], of_own);
                gradient = Some(sum + pull.transpose().matmul(own));
            }
            tally = Some(match tally {
                Some(tally) => tally.plus(block.tally),
                None => block.tally,
            });
            terms.push(block.terms);
            counts.push(block.count);
        }
        let per_row = Tensor::cat(terms, 0).squeeze_dim::<1>(1);
        let with_positive = Tensor::cat(counts, 0).clamp_max(1.0).sum().clamp_min(1.0);
        let mut loss = per_row.clone().sum() / with_positive.clone();
        if let Some(gradient) = gradient {
            let gradient = gradient / (with_positive.unsqueeze::<2>() * self.config.temperature);
            loss = tie(loss, Some(rows), Some(Similarity::pull_back(all, length, gradient)));
        } else if device.is_autodiff() {
            loss = loss.autodiff();
        }
        tally.expect("the batch has rows").finish(loss, per_row, n)
    }
}

/// The rows of a block.
struct Block {
    /// `[count, 1]`; 0 without a positive.
    terms: Tensor<2>,
    /// Number of positives, `[count, 1]`.
    count: Tensor<2>,
    /// `[count, n]`
    positive: Tensor<2, Bool>,
    /// Logarithms of the softmax, `[count, n]`.
    log_share: Tensor<2>,
    tally: Tally,
}

/// Sums for the statistics, `[1]` each, outside any graph.
struct Tally {
    contrasted: Tensor<1>,
    right: Tensor<1>,
    positive: [Tensor<1>; 2],
    negative: [Tensor<1>; 2],
}

impl Tally {
    /// `similarity`, `[count, n]`, and what of it is within a group and across groups.
    fn new(similarity: Tensor<2>, positive: &Tensor<2, Bool>, negative: Tensor<2, Bool>) -> Self {
        let positive = positive.clone().without_autodiff();
        let negative = negative.without_autodiff();
        let number = |mask: Tensor<2, Bool>| mask.float().cast(DType::F32).sum();
        let best = |mask: &Tensor<2, Bool>| similarity.clone().mask_fill(mask.clone().bool_not(), LEFT_OUT).max_dim(1);
        let sum = |mask: Tensor<2, Bool>| {
            let chosen = similarity.clone().mask_fill(mask.clone().bool_not(), 0.0);
            [chosen.sum(), number(mask)]
        };
        let (best_positive, best_negative) = (best(&positive), best(&negative));
        // Rows with both. In a row without a negative, the positive would always rank first.
        let both = best_positive.clone().greater_elem(LEFT_OUT).bool_and(best_negative.clone().greater_elem(LEFT_OUT));
        Tally {
            contrasted: number(both.clone()),
            right: number(best_positive.greater(best_negative).bool_and(both)),
            positive: sum(positive),
            negative: sum(negative),
        }
    }

    fn plus(self, other: Self) -> Self {
        let add = |[sum, number]: [Tensor<1>; 2], [more, others]: [Tensor<1>; 2]| [sum + more, number + others];
        Tally {
            contrasted: self.contrasted + other.contrasted,
            right: self.right + other.right,
            positive: add(self.positive, other.positive),
            negative: add(self.negative, other.negative),
        }
    }

    fn finish(self, loss: Tensor<1>, per_row: Tensor<1>, n: usize) -> SupConOutput {
        let mean = |[sum, number]: [Tensor<1>; 2]| sum / number.clamp_min(1.0);
        SupConOutput {
            loss,
            per_row,
            contrasted: self.contrasted.clone() / n as f64,
            accuracy: self.right / self.contrasted.clamp_min(1.0),
            similarity_positive: mean(self.positive),
            similarity_negative: mean(self.negative),
        }
    }
}

impl Loss for SupCon {
    fn name(&self) -> &'static str {
        "supcon"
    }

    fn evaluate(&self, batch: Batch) -> Result<LossOutput, LossError> {
        let SupConOutput { loss, per_row, contrasted, accuracy, similarity_positive, similarity_negative } =
            self.checked(batch)?;
        let statistics = Statistics { contrasted, accuracy, similarity_positive, similarity_negative };
        Ok(LossOutput::new(loss).with_per_row(per_row).with_contrast(statistics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn tensor(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
        Tensor::<1>::from_floats(rows.concat().as_slice(), device).reshape([rows.len(), rows[0].len()])
    }

    fn scalar(tensor: &Tensor<1>) -> f64 {
        f64::from(tensor.clone().into_scalar::<f32>())
    }

    /// The formula in f64.
    fn reference(rows: &[Vec<f64>], groups: &[i32], temperature: f64) -> f64 {
        let n = rows.len();
        let logit = |i: usize, j: usize| {
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            dot(&rows[i], &rows[j]) / (dot(&rows[i], &rows[i]) * dot(&rows[j], &rows[j])).sqrt() / temperature
        };
        let mut terms = Vec::new();
        for i in 0..n {
            let all: f64 = (0..n).filter(|&a| a != i).map(|a| logit(i, a).exp()).sum();
            let positives: Vec<usize> = (0..n).filter(|&p| p != i && groups[p] == groups[i]).collect();
            if !positives.is_empty() {
                let sum: f64 = positives.iter().map(|&p| logit(i, p) - all.ln()).sum();
                terms.push(-sum / positives.len() as f64);
            }
        }
        terms.iter().sum::<f64>() / terms.len().max(1) as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn value_and_gradient_match_the_formulas(
            rows in proptest::collection::vec(proptest::collection::vec(0.1f32..2.0, 3), 6),
            groups in proptest::collection::vec(0i32..4, 6),
        ) {
            let device = Device::flex().autodiff();
            let leaf = tensor(&rows, &device).require_grad();
            let config = SupConConfig::new().with_temperature(0.3);
            let evaluate = |evaluation| {
                let loss = config.with_evaluation(evaluation).init().unwrap();
                loss.forward(leaf.clone(), Tensor::from_data(groups.as_slice(), &device))
            };
            let output = evaluate(Evaluation::Plain);
            for tile in [1, 4] {
                let tiled = evaluate(Evaluation::Tiled(tile));
                for (a, b) in [
                    (&tiled.loss, &output.loss),
                    (&tiled.contrasted, &output.contrasted),
                    (&tiled.accuracy, &output.accuracy),
                    (&tiled.similarity_positive, &output.similarity_positive),
                    (&tiled.similarity_negative, &output.similarity_negative),
                ] {
                    prop_assert!((scalar(a) - scalar(b)).abs() < 1e-5, "{} {}", scalar(a), scalar(b));
                }
                let of = |evaluation| leaf.grad(&evaluate(evaluation).loss.backward()).unwrap();
                let (tiled, plain) = (of(Evaluation::Tiled(tile)), of(Evaluation::Plain));
                let off = (tiled - plain.clone()).abs().max().into_scalar::<f32>();
                prop_assert!(off < 1e-5 * (1.0 + plain.abs().max().into_scalar::<f32>()), "{off}");
            }
            let exact: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect();
            prop_assert!((scalar(&output.loss) - reference(&exact, &groups, 0.3)).abs() < 1e-5);
            let gradient = leaf.grad(&output.loss.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
            for (at, ours) in gradient.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut rows = exact.clone();
                    rows[at / 3][at % 3] += by;
                    reference(&rows, &groups, 0.3)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                // Rows as short as 0.17 have gradients of several units.
                prop_assert!((f64::from(ours) - expected).abs() < 5e-5 * (1.0 + expected.abs()), "{ours} {expected}");
            }
        }
    }

    #[test]
    fn rows_without_a_positive_are_left_out_of_the_mean() {
        let device = Device::flex().autodiff();
        let rows = Tensor::<2>::from_floats([[1.0, 0.0], [0.8, 0.6], [0.0, 0.0]], &device).require_grad();
        let loss = SupConConfig::new().with_temperature(1.0).init().unwrap();
        let groups = |ids: [i32; 3]| Tensor::<1, Int>::from_data(ids, &device);
        let output = loss.forward(rows.clone(), groups([0, 0, 1]));
        // Both rows see 0.8 and 0: log(e^0.8 + 1) - 0.8.
        let term = (0.8f64.exp() + 1.0).ln() - 0.8;
        assert!((scalar(&output.loss) - term).abs() < 1e-6);
        let per_row = output.per_row.try_into_vec_as::<f32>().unwrap();
        assert!((f64::from(per_row[0]) - term).abs() < 1e-6 && per_row[2] == 0.0);
        assert!((scalar(&output.similarity_positive) - 0.8).abs() < 1e-6);
        assert_eq!((scalar(&output.similarity_negative), scalar(&output.accuracy)), (0.0, 1.0));
        assert!((scalar(&output.contrasted) - 2.0 / 3.0).abs() < 1e-6);
        // All rows in one group: no negative, and nothing to rank.
        let output = loss.forward(rows.clone(), groups([0, 0, 0]));
        assert_eq!((scalar(&output.contrasted), scalar(&output.accuracy)), (0.0, 0.0));
        // Without positives, and for a single row, the loss and its gradients are 0.
        for output in [
            loss.forward(rows.clone(), groups([0, 1, 2])),
            loss.forward(rows.clone().narrow(0, 0, 1), groups([0, 0, 0]).narrow(0, 0, 1)),
        ] {
            assert_eq!((scalar(&output.loss), scalar(&output.accuracy)), (0.0, 0.0));
            assert_eq!(rows.grad(&output.loss.backward()).unwrap().abs().sum().into_scalar::<f32>(), 0.0);
        }
    }

    #[test]
    fn a_temperature_must_be_positive() {
        assert!(matches!(SupConConfig::new().with_temperature(0.0).init(), Err(LossError::Temperature(_))));
    }
}

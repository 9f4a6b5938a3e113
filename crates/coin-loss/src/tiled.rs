//! InfoNCE by blocks of anchors: memory grows with n x tile instead of n x n.
//!
//! `S_ij` are the scaled similarities, `g_i` the factors of the rows' terms, and `f` is 1/2 for the symmetric form and 1
//! for the one-sided form. The loss `sum_i g_i t_i` has the derivative
//!
//! ```text
//! dL / dS_ij = f g_i exp(S_ij - r_i) + (symmetric) f g_j exp(S_ij - c_j) - (i = j) g_i
//! r_i = log sum_j exp(S_ij)      (hard negatives included)
//! c_j = log sum_i exp(S_ij)
//! ```
//!
//! A first pass over the blocks computes r, and c as a running maximum and a running sum (streaming log-sum-exp, Milakov
//! and Gimelshein 2018). A second pass computes the gradients of the inputs, block by block. It computes S again unless S
//! was small enough to keep.
//!
//! Autodiff would keep every block, so both passes run outside the graph. The result enters the graph as
//! `L + sum((x - sg(x)) * dL/dx)`, where sg is stop-gradient: the value is exactly L (the sum is 0) and the gradient is
//! the computed one. The upstream gradient of a scalar is a factor, so a loss that is scaled, capped or added to others
//! is differentiated correctly on every backend. Second derivatives are 0.

use std::ops::Range;

use burn::tensor::{Bool, DType, Device, Tensor};
use rayon::prelude::*;

use crate::evaluation::Evaluated;
use crate::logits::{LEFT_OUT, NegativeLogits};
use crate::plain::hard_rows;
use crate::similarity::hard_similarity;
use crate::statistics::{Tally, own};
use crate::{Batch, Direction, InfoNceConfig, Reduction, Similarity};

/// Number of pairs up to which `Evaluation::Auto` is plain.
pub(crate) const PLAIN_ROWS: usize = 512;

/// Largest number of similarities (64 MiB, 4096 x 4096) that is kept between the passes, if `keep` allows it.
const KEPT: usize = 1 << 24;

/// Columns of the positives' gradient that are summed at a time, to keep the temporary small.
const GRADIENT_COLUMNS: usize = 512;

/// Maximum number of blocks at a time on the CPU; each needs separate temporaries.
const AT_ONCE: usize = 4;

/// Number of similarities in a block from which another core is worth asking.
const WORTH_A_CORE: usize = 1 << 16;

/// Default number of anchors in a block.
///
/// Summing the positives' gradients costs 3 n d memory accesses per block, so blocks should be large; their temporaries
/// should be small. A block has at most 2^22 similarities (16 MiB), and there are at least four blocks, for four cores.
pub(crate) fn default_tile(n: usize, d: usize) -> usize {
    (d / 4)
        .clamp(64, 1024)
        .max((1 << 19) / n.max(1))
        .min(n.div_ceil(4).max(d / 8))
        .min(((1 << 22) / n.max(1)).max(16))
        .max(1)
}

/// Computes the loss of `batch` in blocks of `tile` anchors; `scale` is the inverse temperature, `[1]`.
pub(crate) fn evaluate(config: &InfoNceConfig, batch: &Batch, scale: &Tensor<1>, tile: usize, keep: bool) -> Evaluated {
    let [n, _] = batch.anchor().dims();
    if config.direction != Direction::Symmetric || batch.own_rows() == (0..n) {
        return one_way(config, batch, scale, tile, keep);
    }
    // Some rows only: the sums of their columns are the sums of their rows with the views exchanged.
    let config = config.with_direction(Direction::AnchorToPositive);
    let exchanged = Batch {
        views: batch.views.iter().rev().cloned().collect(),
        hard_negatives: None,
        hard_excluded: None,
        hard_weights: None,
        shared_negatives: None,
        shared_excluded: None,
        excluded: batch.excluded.clone().map(Tensor::transpose),
        ..batch.clone()
    };
    let (forth, back) = (one_way(&config, batch, scale, tile, keep), one_way(&config, &exchanged, scale, tile, keep));
    Evaluated {
        loss: (forth.loss + back.loss) / 2.0,
        per_row: (forth.per_row + back.per_row) / 2.0,
        statistics: forth.statistics,
    }
}

/// Computes the loss with every row of `batch`, or with the sums of rows only.
fn one_way(config: &InfoNceConfig, batch: &Batch, scale: &Tensor<1>, tile: usize, keep: bool) -> Evaluated {
    let [n, d] = batch.anchor().dims();
    let tracked = |tensor: &Option<Tensor<2>>| tensor.as_ref().is_some_and(Tensor::is_tracked);
    let needed = Needed {
        anchor: batch.anchor().is_tracked(),
        positive: batch.positive().is_tracked() || tracked(&batch.shared_negatives),
        hard: batch.hard_negatives.as_ref().is_some_and(Tensor::is_tracked),
        scale: scale.is_tracked(),
    };
    let rows = batch.own_rows();
    let pass = Pass {
        config,
        batch: batch.without_autodiff(),
        factor: scale.clone().without_autodiff().unsqueeze(),
        blocks: rows.clone().step_by(tile).map(|first| (first, tile.min(rows.end - first))).collect(),
        at_once: match tile * n >= WORTH_A_CORE && on_the_cpu(&batch.anchor().device()) {
            true => rayon::current_num_threads().min(AT_ONCE),
            false => 1,
        },
    };
    let columns = pass.columns();
    let number = columns.0.dims()[0];
    let (sums, tally, kept) = pass.sums(&columns.0, keep && needed.any() && rows.len() * number <= KEPT);
    let per_row = sums.terms(config.direction);
    let weights = pass.row_factors();
    let statistics = tally.finish(rows.len(), scale.clone().without_autodiff());
    let mut loss = (per_row.clone() * weights.clone().squeeze_dim::<1>(1)).sum();
    if needed.any() {
        let gradients = pass.gradients(columns, sums, kept, weights, &needed);
        // Filled as in the passes: a masked row may be infinite, and infinity minus itself is NaN.
        let hard = batch.hard_negatives.clone();
        let hard = hard.map(|hard| hard_rows(hard, &batch.hard_masked(), &(0..n)).reshape([-1, d as i32]));
        let part = |gradient: &Option<Tensor<2>>, first: usize, count: usize| {
            gradient.clone().map(|gradient| if count == number { gradient } else { gradient.narrow(0, first, count) })
        };
        loss = tie(loss, Some(batch.anchor().clone()), gradients.anchor.map(|own| spread(own, &rows, n, 1)));
        loss = tie(loss, Some(batch.positive().clone()), part(&gradients.positive, 0, n));
        if batch.shared_negatives.is_some() {
            loss = tie(loss, batch.shared_negatives.clone(), part(&gradients.positive, n, number - n));
        }
        loss = tie(
            loss,
            hard,
            gradients.hard.map(|own| {
                let k = own.dims()[0] / rows.len();
                spread(own, &rows, n, k)
            }),
        );
        loss = tie(loss, Some(scale.clone().unsqueeze()), gradients.scale);
    } else if batch.anchor().is_autodiff() {
        loss = loss.autodiff();
    }
    Evaluated { loss, per_row, statistics }
}

/// True on a device that computes on this processor. The variants of burn's devices exist only with their features, so the name is
/// all that can be asked for here.
fn on_the_cpu(device: &Device) -> bool {
    let name = format!("{:?}", device.clone().inner());
    name.contains("Flex") || name.contains("NdArray")
}

/// Puts the gradients of `rows`, `per` for each, among zeros for the rest of the n rows.
fn spread(own: Tensor<2>, rows: &Range<usize>, n: usize, per: usize) -> Tensor<2> {
    if rows.len() == n {
        return own;
    }
    let [_, d] = own.dims();
    let all = Tensor::zeros([n * per, d], (&own.device(), DType::F32));
    all.slice_assign([rows.start * per..rows.end * per, 0..d], own)
}

/// Makes `loss` a function of `input` with the given gradient, without changing its value.
pub(crate) fn tie(loss: Tensor<1>, input: Option<Tensor<2>>, gradient: Option<Tensor<2>>) -> Tensor<1> {
    match (input, gradient) {
        (Some(input), Some(gradient)) if input.is_tracked() => {
            let zero = input.clone().cast(DType::F32) - input.without_autodiff().cast(DType::F32);
            (zero * gradient).sum() + loss
        }
        _ => loss,
    }
}

/// The inputs that are part of a graph.
struct Needed {
    anchor: bool,
    positive: bool,
    hard: bool,
    scale: bool,
}

impl Needed {
    fn any(&self) -> bool {
        self.anchor || self.positive || self.hard || self.scale
    }
}

/// Results of the first pass, `[n, 1]` each; of the columns also those of shared negatives.
struct Sums {
    /// `S_ii`
    own: Tensor<2>,
    /// `r_i`
    rows: Tensor<2>,
    /// `c_i`, in the symmetric form.
    columns: Option<Tensor<2>>,
}

impl Sums {
    fn terms(&self, direction: Direction) -> Tensor<1> {
        let rows = self.rows.clone() - self.own.clone();
        match (direction, &self.columns) {
            (Direction::Symmetric, Some(columns)) => {
                let [n, _] = self.own.dims();
                (rows + columns.clone().narrow(0, 0, n) - self.own.clone()) / 2.0
            }
            _ => rows,
        }
        .squeeze_dim(1)
    }
}

/// Gradients of the inputs that need them; `[n * k, d]` for the hard negatives, `[1, 1]` for the scale.
struct InputGradients {
    anchor: Option<Tensor<2>>,
    positive: Option<Tensor<2>>,
    hard: Option<Tensor<2>>,
    scale: Option<Tensor<2>>,
}

/// A batch outside any graph, and its division into blocks.
struct Pass<'a> {
    config: &'a InfoNceConfig,
    batch: Batch,
    /// The scale, `[1, 1]`.
    factor: Tensor<2>,
    /// First row and number of rows.
    blocks: Vec<(usize, usize)>,
    /// Blocks at a time. burn's CPU backend runs elementwise operations on the calling thread; only matrix products use
    /// all cores.
    at_once: usize,
}

/// A block's rows.
struct Block {
    first: usize,
    count: usize,
    /// The anchors, prepared and scaled, `[count, d]`.
    anchor: Tensor<2>,
    length: Option<Tensor<2>>,
    /// The hard negatives, prepared, `[count, k, d]`, and their lengths, `[count * k, 1]`.
    hard: Option<Tensor<3>>,
    hard_length: Option<Tensor<2>>,
}

/// Prepared rows, `[n, d]`, and their lengths.
type Prepared = (Tensor<2>, Option<Tensor<2>>);

/// Results of the first pass for a block.
struct Seen {
    tally: Tally,
    /// `S_ii` and `r_i` of its rows.
    own: Tensor<2>,
    rows: Tensor<2>,
    /// In the symmetric form, the maximum of each column and the sum of exponentials relative to it, `[1, n]`.
    columns: Option<(Tensor<2>, Tensor<2>)>,
    kept: Option<(Block, Tensor<2>)>,
}

/// Results of the second pass for a block.
struct Pulled {
    /// The anchors, prepared and scaled, `[count, d]`, and `dL / dS`, `[count, n]`. Their product is the block's share of
    /// the positives' gradient.
    anchor: Tensor<2>,
    pull: Tensor<2>,
    of_anchor: Option<Tensor<2>>,
    of_hard: Option<Tensor<2>>,
    /// `[1]`
    of_scale: Option<Tensor<1>>,
}

impl Pass<'_> {
    /// Runs `work` on `items` and returns the results in order. On the CPU they run at once, in the caller's rayon pool.
    ///
    /// The results do not depend on the number of items that run together.
    fn together<I: Send, T: Send>(&self, items: Vec<I>, work: impl Fn(I) -> T + Sync + Send) -> Vec<T> {
        match self.at_once {
            1 => items.into_iter().map(work).collect(),
            _ => items.into_par_iter().with_max_len(1).map(work).collect(),
        }
    }

    /// Runs [`together`](Self::together) on any number of items, `at_once` at a time.
    fn in_turns<I: Send, T: Send>(&self, items: Vec<I>, work: impl Fn(I) -> T + Sync + Send) -> Vec<T> {
        let (mut items, mut results) = (items.into_iter(), Vec::new());
        loop {
            let some: Vec<I> = items.by_ref().take(self.at_once).collect();
            if some.is_empty() {
                return results;
            }
            results.extend(self.together(some, &work));
        }
    }

    fn block(&self, first: usize, count: usize) -> Block {
        let similarity = self.config.similarity;
        let (anchor, length) = similarity.prepare_with_length(self.batch.anchor().clone().narrow(0, first, count));
        let hard = self.batch.hard_negatives.clone().map(|hard| {
            let [_, k, d] = hard.dims();
            let rows = hard_rows(hard, &self.batch.hard_masked(), &(first..first + count)).reshape([count * k, d]);
            let (rows, length) = similarity.prepare_with_length(rows);
            (rows.reshape([count, k, d]), length)
        });
        let (hard, hard_length) = hard.map_or((None, None), |(rows, length)| (Some(rows), length));
        Block { first, count, anchor: anchor * self.factor.clone(), length, hard, hard_length }
    }

    /// The logits of a block's hard negatives.
    fn hard_logits(&self, block: &Block) -> Option<NegativeLogits> {
        block.hard.clone().map(|hard| {
            let part = |values: Tensor<2>| values.narrow(0, block.first, block.count);
            let masked = self.batch.hard_masked().map(|masked| masked.narrow(0, block.first, block.count));
            let weights = self.batch.hard_weights.clone().map(part);
            let logits = hard_similarity(block.anchor.clone(), hard);
            NegativeLogits::new(logits, masked, self.config.hard_negative_weight, weights)
        })
    }

    /// Prepares the rows that anchors are compared with, by blocks, so that temporaries are not larger than a block: the positives, and
    /// after them the negatives that all anchors share.
    fn columns(&self) -> Prepared {
        let [_, width] = self.batch.anchor().dims();
        let tile = self.blocks.first().map_or(1, |&(_, count)| count);
        let sources: Vec<&Tensor<2>> =
            [Some(self.batch.positive()), self.batch.shared_negatives.as_ref()].into_iter().flatten().collect();
        let parts = sources.iter().flat_map(|rows| {
            let n = rows.dims()[0];
            (0..n).step_by(tile).map(move |first| (*rows, first, tile.min(n - first)))
        });
        let prepare = |(rows, first, count): (&Tensor<2>, usize, usize)| {
            self.config.similarity.prepare_with_length(rows.clone().slice([first..first + count, 0..width]))
        };
        let (parts, lengths): (Vec<_>, Vec<_>) = self.in_turns(parts.collect(), prepare).into_iter().unzip();
        let lengths: Option<Vec<_>> = lengths.into_iter().collect();
        (Tensor::cat(parts, 0), lengths.map(|lengths| Tensor::cat(lengths, 0)))
    }

    /// The factors `g_i` of the rows whose terms make up the loss, `[rows, 1]`.
    fn row_factors(&self) -> Tensor<2> {
        let rows = self.batch.own_rows();
        let weights = match &self.batch.row_weights {
            Some(weights) => weights.clone().cast(DType::F32).narrow(0, rows.start, rows.len()),
            None => Tensor::ones([rows.len()], (&self.batch.anchor().device(), DType::F32)),
        };
        let weights = weights.unsqueeze_dim(1);
        if self.config.reduction == Reduction::Mean { weights / rows.len() as f64 } else { weights }
    }

    /// The mask of columns that are neither a row's negative nor its positive; `number` is that of all columns.
    fn left_out(&self, first: usize, count: usize, number: usize) -> Option<Tensor<2, Bool>> {
        let out = self.batch.left_out(first, count);
        let [n, _] = self.batch.anchor().dims();
        if number == n {
            return out;
        }
        let shared = self.batch.shared_excluded.clone().map(|mask| mask.narrow(0, first, count));
        if out.is_none() && shared.is_none() {
            return None;
        }
        let none =
            |columns: usize| Tensor::<2>::zeros([count, columns], &self.batch.anchor().device()).not_equal_elem(0.0);
        let parts = vec![out.unwrap_or_else(|| none(n)), shared.unwrap_or_else(|| none(number - n))];
        Some(Tensor::cat(parts, 1))
    }

    /// Where a block's rows are among the rows whose terms make up the loss.
    fn place(&self, first: usize) -> usize {
        first - self.batch.own_rows().start
    }

    /// Runs the first pass. Returns the blocks and their logits if `keep` is true.
    fn sums(&self, positive: &Tensor<2>, keep: bool) -> (Sums, Tally, Vec<(Block, Tensor<2>)>) {
        let (n, device) = (positive.dims()[0], positive.device());
        let mut tally = Tally::empty(&device);
        let (mut own_logits, mut rows, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let mut maximum = Tensor::<2>::full([1, n], LEFT_OUT, (&device, DType::F32));
        let mut total = Tensor::<2>::zeros([1, n], (&device, DType::F32));
        for blocks in self.blocks.chunks(self.at_once) {
            for seen in self.together(blocks.to_vec(), |place| self.see(place, positive, keep)) {
                tally = tally.plus(seen.tally);
                own_logits.push(seen.own);
                rows.push(seen.rows);
                if let Some((of_block, sum)) = seen.columns {
                    // As long as every entry of a column is excluded, its sum is too large; its own row rescales it to 0.
                    let larger = maximum.clone().max_pair(of_block.clone());
                    total = total * (maximum - larger.clone()).exp() + sum * (of_block - larger.clone()).exp();
                    maximum = larger;
                }
                kept.extend(seen.kept);
            }
        }
        let columns = (self.config.direction == Direction::Symmetric).then(|| (total.log() + maximum).transpose());
        (Sums { own: Tensor::cat(own_logits, 0), rows: Tensor::cat(rows, 0), columns }, tally, kept)
    }

    /// Runs the first pass over one block.
    fn see(&self, (first, count): (usize, usize), positive: &Tensor<2>, keep: bool) -> Seen {
        let block = self.block(first, count);
        let logits = block.anchor.clone().matmul(positive.clone().transpose());
        let hard = self.hard_logits(&block);
        let more: Vec<&NegativeLogits> = hard.iter().collect();
        let left_out = self.left_out(first, count, positive.dims()[0]);
        let (tally, logits) = Tally::new(logits, first, left_out, &more);
        let columns = (self.config.direction == Direction::Symmetric).then(|| {
            let maximum = logits.clone().max_dim(0);
            let sum = (logits.clone() - maximum.clone()).exp().sum_dim(0);
            (maximum, sum)
        });
        Seen {
            tally,
            own: own(&logits, first),
            rows: log_sum_exp(&logits, hard.map(NegativeLogits::into_candidates)),
            columns,
            kept: keep.then_some((block, logits)),
        }
    }

    /// Runs the second pass; `weights` are the factors of the rows' terms.
    fn gradients(
        &self,
        (positive, length): Prepared,
        sums: Sums,
        kept: Vec<(Block, Tensor<2>)>,
        weights: Tensor<2>,
        needed: &Needed,
    ) -> InputGradients {
        let [_, d] = positive.dims();
        let columns: Vec<(usize, usize)> =
            (0..d).step_by(GRADIENT_COLUMNS).map(|first| (first, GRADIENT_COLUMNS.min(d - first))).collect();
        let mut kept = kept.into_iter();
        let (mut of_anchor, mut of_hard) = (Vec::new(), Vec::new());
        let mut of_positive: Vec<Tensor<2>> = Vec::new();
        let mut of_scale = Tensor::<1>::zeros([1], (&positive.device(), DType::F32));
        for blocks in self.blocks.chunks(self.at_once) {
            let places = blocks.iter().map(|&place| (place, kept.next())).collect();
            let pulled = self.together(places, |(place, kept)| {
                let block = self.second_look(place, kept, &positive);
                self.pulled(block, &positive, &sums, &weights, needed)
            });
            for Pulled { anchor, pull, of_anchor: anchors, of_hard: hard, of_scale: scale } in pulled {
                if needed.positive {
                    let earlier = std::mem::take(&mut of_positive).into_iter().map(Some).chain(std::iter::repeat(None));
                    let places: Vec<_> = columns.iter().copied().zip(earlier).collect();
                    of_positive = self.in_turns(places, |((at, width), earlier)| {
                        let share = pull.clone().transpose().matmul(anchor.clone().narrow(1, at, width));
                        match earlier {
                            Some(sum) => sum + share,
                            None => share,
                        }
                    });
                }
                of_anchor.extend(anchors);
                of_hard.extend(hard);
                if let Some(scale) = scale {
                    of_scale = of_scale + scale;
                }
            }
        }
        let joined = |parts: Vec<Tensor<2>>, dim| (!parts.is_empty()).then(|| Tensor::cat(parts, dim));
        if let (Some(length), false) = (length, of_positive.is_empty()) {
            // `Similarity::pull_back`, in groups of columns.
            let part = |(at, width): (usize, usize)| positive.clone().narrow(1, at, width);
            let parts: Vec<_> = columns.iter().copied().zip(of_positive).collect();
            let dots = self.in_turns(parts.clone(), |(at, sum)| (part(at) * sum).sum_dim(1));
            let along = Tensor::cat(dots, 1).sum_dim(1);
            of_positive = self.in_turns(parts, |(at, sum)| (sum - part(at) * along.clone()) / length.clone());
        }
        InputGradients {
            anchor: joined(of_anchor, 0),
            positive: joined(of_positive, 1),
            hard: joined(of_hard, 0),
            scale: needed.scale.then(|| of_scale.unsqueeze() / self.factor.clone()),
        }
    }

    /// Returns a block with its scaled similarities, which are computed again unless they were kept.
    fn second_look(
        &self,
        (first, count): (usize, usize),
        kept: Option<(Block, Tensor<2>)>,
        positive: &Tensor<2>,
    ) -> (Block, Tensor<2>) {
        kept.unwrap_or_else(|| {
            let block = self.block(first, count);
            let logits = block.anchor.clone().matmul(positive.clone().transpose());
            let logits = match self.left_out(first, count, positive.dims()[0]) {
                Some(out) => logits.mask_fill(out, LEFT_OUT),
                None => logits,
            };
            (block, logits)
        })
    }

    /// Runs the second pass over one block.
    fn pulled(
        &self,
        (block, logits): (Block, Tensor<2>),
        positive: &Tensor<2>,
        sums: &Sums,
        weights: &Tensor<2>,
        needed: &Needed,
    ) -> Pulled {
        let pull = self.pull(&block, logits, sums, weights);
        let hard_pull = self.hard_logits(&block).map(|logits| self.hard_pull(&block, logits, sums, weights));
        let Block { anchor, length, hard, hard_length, .. } = block;
        let (mut of_anchor, mut of_scale) = (None, None);
        if needed.anchor || needed.scale {
            let mut gradient = pull.clone().matmul(positive.clone());
            if let (Some(pull), Some(rows)) = (&hard_pull, &hard) {
                gradient = gradient + pull.clone().unsqueeze_dim::<3>(1).matmul(rows.clone()).squeeze_dim::<2>(1);
            }
            of_scale = needed.scale.then(|| (anchor.clone() * gradient.clone()).sum());
            of_anchor = needed.anchor.then(|| {
                let prepared = anchor.clone() / self.factor.clone();
                Similarity::pull_back(prepared, length, gradient * self.factor.clone())
            });
        }
        let of_hard = match (hard_pull, hard) {
            (Some(pull), Some(rows)) if needed.hard => {
                let [count, k, d] = rows.dims();
                let gradient = pull.unsqueeze_dim::<3>(2) * anchor.clone().unsqueeze_dim::<3>(1);
                let (rows, gradient) = (rows.reshape([count * k, d]), gradient.reshape([count * k, d]));
                Some(Similarity::pull_back(rows, hard_length, gradient))
            }
            _ => None,
        };
        Pulled { anchor, pull, of_anchor, of_hard, of_scale }
    }

    /// `dL / dS` of a block, `[count, columns]`.
    fn pull(&self, block: &Block, logits: Tensor<2>, sums: &Sums, weights: &Tensor<2>) -> Tensor<2> {
        let (first, count) = (block.first, block.count);
        let of_block = |column: &Tensor<2>| column.clone().narrow(0, self.place(first), count);
        let mine = of_block(weights);
        let pull = match &sums.columns {
            Some(columns) => {
                let [number, _] = columns.dims();
                let [n, _] = weights.dims();
                // A shared negative has no term of its own.
                let weights = match number > n {
                    true => Tensor::cat(vec![weights.clone(), Tensor::zeros([number - n, 1], &weights.device())], 0),
                    false => weights.clone(),
                };
                let from_columns = (logits.clone() - columns.clone().transpose()).exp() * (weights / 2.0).transpose();
                (logits - of_block(&sums.rows)).exp() * (mine.clone() / 2.0) + from_columns
            }
            None => (logits - of_block(&sums.rows)).exp() * mine.clone(),
        };
        // Subtract the diagonal's share before the products, so that the remainder keeps its precision.
        let off = Tensor::<2, Bool>::diag_mask([count, count], 0, &pull.device());
        let diagonal = mine.expand([count, count]).mask_fill(off, 0.0);
        let square = pull.clone().narrow(1, first, count) - diagonal;
        pull.slice_assign([0..count, first..first + count], square)
    }

    /// The derivative with respect to the scaled similarities to the hard negatives, `[count, k]`.
    fn hard_pull(&self, block: &Block, logits: NegativeLogits, sums: &Sums, weights: &Tensor<2>) -> Tensor<2> {
        let of_block = |column: &Tensor<2>| column.clone().narrow(0, self.place(block.first), block.count);
        let share = if self.config.direction == Direction::Symmetric { 0.5 } else { 1.0 };
        (logits.into_candidates() - of_block(&sums.rows)).exp() * (of_block(weights) * share)
    }
}

/// The logarithm of each row's sum of exponentials, `[count, 1]`.
fn log_sum_exp(logits: &Tensor<2>, more: Option<Tensor<2>>) -> Tensor<2> {
    let mut maximum = logits.clone().max_dim(1);
    if let Some(more) = &more {
        maximum = maximum.max_pair(more.clone().max_dim(1));
    }
    let mut sum = (logits.clone() - maximum.clone()).exp().sum_dim(1);
    if let Some(more) = more {
        sum = sum + (more - maximum.clone()).exp().sum_dim(1);
    }
    sum.log() + maximum
}

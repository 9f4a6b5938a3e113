//! InfoNCE with the whole similarity matrix, in an ordinary graph.

use std::ops::Range;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, DType, Int, Tensor};

use crate::evaluation::Evaluated;
use crate::logits::{LEFT_OUT, NegativeLogits};
use crate::similarity::hard_similarity;
use crate::statistics::{Tally, own};
use crate::{Batch, Direction, Hardness, InfoNceConfig, Reduction};

/// Computes the loss of `batch`; `scale` is the inverse temperature, `[1]`.
pub(crate) fn evaluate(config: &InfoNceConfig, batch: &Batch, scale: Tensor<1>) -> Evaluated {
    let InfoNceConfig { similarity, direction, .. } = *config;
    let [n, _] = batch.anchor().dims();
    let rows = batch.own_rows();
    let (first, count) = (rows.start, rows.len());
    let factor = scale.clone().unsqueeze::<2>();
    let anchors = similarity.prepare(batch.anchor().clone());
    let positives = similarity.prepare(batch.positive().clone());
    let own_rows = |all: &Tensor<2>| if count == n { all.clone() } else { all.clone().narrow(0, first, count) };
    let (anchor, positive) = (own_rows(&anchors), own_rows(&positives));

    // What the similarity adds to a negative's logit, `[count, columns]`, outside the graph.
    let penalty = |similarity: &Tensor<2>, of: Hardness| {
        let weighted = config.hardness != 0.0 && (config.hardness_of == of || config.hardness_of == Hardness::All);
        weighted.then(|| similarity.clone().detach() * config.hardness)
    };

    let hard = batch.hard_negatives.clone().map(|hard| {
        let masked = batch.hard_masked();
        let logits = hard_similarity(anchor.clone(), similarity.prepare_hard(hard_rows(hard, &masked, &rows)));
        let weights = batch.hard_weights.clone().map(|weights| weights.narrow(0, first, count));
        let masked = masked.map(|masked| masked.narrow(0, first, count));
        let penalty = penalty(&logits, Hardness::Hard);
        NegativeLogits::new(logits * factor.clone(), masked, config.hard_negative_weight, weights).with_penalty(penalty)
    });
    let shared = batch.shared_negatives.clone().map(|shared| {
        let logits = anchor.clone().matmul(similarity.prepare(shared).transpose());
        let penalty = penalty(&logits, Hardness::InBatch);
        let masked = batch.shared_excluded.clone().map(|masked| masked.narrow(0, first, count));
        NegativeLogits::new(logits * factor.clone(), masked, 1.0, None).with_penalty(penalty)
    });
    let cosines = anchor.clone().matmul(positives.clone().transpose());
    let of_batch = penalty(&cosines, Hardness::InBatch)
        .map(|penalty| penalty.mask_fill(diagonal(&rows, n, &anchor.device()), 0.0));
    let logits = cosines * factor.clone();

    let left_out = batch.left_out(first, count);
    let of_negatives: Vec<&NegativeLogits> = hard.iter().chain(&shared).collect();
    let (tally, _) = Tally::new(logits.clone().without_autodiff(), first, left_out.clone(), &of_negatives);

    let fill = |logits: Tensor<2>, mask: Option<Tensor<2, Bool>>| match mask {
        Some(mask) => logits.mask_fill(mask, LEFT_OUT),
        None => logits,
    };
    // The similarities of each row's positive to the anchors.
    let columns = (direction != Direction::AnchorToPositive).then(|| match count == n {
        true => fill(logits.clone(), left_out.clone()).transpose(),
        false => {
            let logits = positive.clone().matmul(anchors.clone().transpose()) * factor.clone();
            let by_column = Batch { excluded: batch.excluded.clone().map(Tensor::transpose), ..batch.clone() };
            fill(logits, by_column.left_out(first, count))
        }
    });
    let logits = match of_batch {
        Some(penalty) => logits + penalty,
        None => logits,
    };
    let mut candidates = vec![fill(logits, left_out)];
    candidates.extend(hard.into_iter().chain(shared).map(NegativeLogits::into_candidates));
    // Rows of one side contrasted with each other; a row is not its own negative.
    let within = |own: &Tensor<2>, all: &Tensor<2>, excluded: &Option<Tensor<2, Bool>>| {
        let logits = own.clone().matmul(all.clone().transpose()) * factor.clone();
        fill(fill(logits, batch.mask(excluded, first, count)), Some(diagonal(&rows, n, &own.device())))
    };
    if config.contrast_anchors {
        candidates.push(within(&anchor, &anchors, &batch.excluded_anchors));
    }
    if config.contrast_positives {
        candidates.push(within(&positive, &positives, &batch.excluded_positives));
    }
    if let (Direction::Joint, Some(columns)) = (direction, &columns) {
        candidates.push(columns.clone());
    }
    let of_rows = own(&log_softmax(Tensor::cat(candidates, 1), 1), first);
    let terms = match (direction, columns) {
        (Direction::Symmetric, Some(columns)) => (of_rows + own(&log_softmax(columns, 1), first)) / -2.0,
        _ => of_rows.neg(),
    }
    .squeeze_dim::<1>(1);
    let per_row = terms.clone().without_autodiff();
    let terms = match &batch.row_weights {
        Some(weights) => terms * weights.clone().without_autodiff().cast(DType::F32).narrow(0, first, count),
        None => terms,
    };
    let loss = match config.reduction {
        Reduction::Mean => terms.mean(),
        Reduction::Sum => terms.sum(),
        Reduction::None => terms,
    };
    Evaluated { loss, per_row, statistics: tally.finish(count, scale.without_autodiff()) }
}

/// The hard negatives of some rows. Masked ones become 1, since they may be anything, and 0 times infinity is NaN.
pub(crate) fn hard_rows(hard: Tensor<3>, masked: &Option<Tensor<2, Bool>>, rows: &Range<usize>) -> Tensor<3> {
    let hard = hard.narrow(0, rows.start, rows.len());
    match masked {
        Some(masked) => {
            let shape = hard.dims();
            let masked = masked.clone().narrow(0, rows.start, rows.len());
            hard.mask_fill(masked.unsqueeze_dim::<3>(2).expand(shape), 1.0)
        }
        None => hard,
    }
}

/// True where the column is the row, `[rows, n]`.
fn diagonal(rows: &Range<usize>, n: usize, device: &burn::tensor::Device) -> Tensor<2, Bool> {
    let own = Tensor::<1, Int>::arange(rows.start as i64..rows.end as i64, device).unsqueeze_dim::<2>(1);
    own.equal(Tensor::<1, Int>::arange(0..n as i64, device).unsqueeze_dim::<2>(0))
}

//! The input of the pairwise contrastive losses.

use burn::tensor::{Bool, DType, Int, Tensor};

use crate::collective::{Collective, CollectiveError};

/// A batch of pairs and their negatives; the input of [`InfoNce::forward_batch`](crate::InfoNce).
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use coin_loss::{InfoNceConfig, PairBatch};
/// let device = Device::flex();
/// let rows = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], &device);
/// let loss = InfoNceConfig::new().init()?;
/// // Rows 0 and 1 are the same item, so each is a false negative of the other.
/// let naive = loss.forward_batch(PairBatch::new(rows.clone(), rows.clone()));
/// let groups = Tensor::<1, Int>::from_data([7, 7, 8], &device);
/// let grouped = loss.forward_batch(PairBatch::new(rows.clone(), rows).with_groups(groups));
/// assert!(naive.loss.into_scalar::<f32>() > 0.4);
/// assert!(grouped.loss.into_scalar::<f32>() < 1e-6);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PairBatch {
    pub(crate) anchor: Tensor<2>,
    pub(crate) positive: Tensor<2>,
    pub(crate) hard_negatives: Option<Tensor<3>>,
    pub(crate) excluded: Option<Tensor<2, Bool>>,
    pub(crate) groups: Option<Tensor<1, Int>>,
    pub(crate) row_weights: Option<Tensor<1>>,
}

impl PairBatch {
    /// Pairs row i of `anchor` with row i of `positive`; both are `[n, d]` with n at least 1. Every other row of
    /// `positive` is a negative.
    pub fn new(anchor: Tensor<2>, positive: Tensor<2>) -> Self {
        PairBatch { anchor, positive, hard_negatives: None, excluded: None, groups: None, row_weights: None }
    }

    /// Adds one hard negative per anchor, `[n, d]`; see [`with_hard_negatives`](Self::with_hard_negatives).
    pub fn with_hard_negative(self, rows: Tensor<2>) -> Self {
        self.with_hard_negatives(rows.unsqueeze_dim(1))
    }

    /// Adds hard negatives, `[n, k, d]`: k for each anchor, used by that anchor only. They enter the direction from
    /// anchor to positive only, and masks and groups do not affect them.
    pub fn with_hard_negatives(mut self, rows: Tensor<3>) -> Self {
        self.hard_negatives = Some(rows);
        self
    }

    /// Sets a mask, `[n, n]`, that is true where positive j is not a negative of anchor i; the diagonal is ignored. The
    /// mask takes one byte per entry. If pairs form groups, [`with_groups`](Self::with_groups) needs only n numbers.
    pub fn with_excluded(mut self, excluded: Tensor<2, Bool>) -> Self {
        self.excluded = Some(excluded);
        self
    }

    /// Sets a group number per pair, `[n]`: pairs with equal numbers are not negatives of each other.
    pub fn with_groups(mut self, groups: Tensor<1, Int>) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Sets a factor for each row's term in the reduced loss, `[n]`. The factors are constants and get no gradient. The
    /// mean still divides by n.
    pub fn with_row_weights(mut self, weights: Tensor<1>) -> Self {
        self.row_weights = Some(weights);
        self
    }

    /// Gathers the batches of all ranks, in rank order. Only this rank's rows are part of its graph; see
    /// [`collective`](crate::collective). All ranks must pass the same shapes.
    ///
    /// Each rank evaluates the whole loss, so every rank has the complete gradient of a learnable temperature. Do not sum
    /// that gradient over ranks.
    ///
    /// # Errors
    /// Fails if a rank is gone or passed other shapes, or if the batch has a mask. Groups
    /// ([`with_groups`](Self::with_groups)) can be gathered.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use coin_loss::collective::{Collective, LocalCollective};
    /// use coin_loss::{InfoNceConfig, PairBatch};
    /// let loss = InfoNceConfig::new().init()?;
    /// let losses: Vec<f32> = std::thread::scope(|scope| {
    ///     let ranks = LocalCollective::new(2).into_iter().map(|collective| {
    ///         let loss = loss.clone();
    ///         scope.spawn(move || {
    ///             // One pair per rank: on its own, neither rank would have a negative.
    ///             let own = [[1.0, collective.rank() as f32]];
    ///             let rows = || Tensor::<2>::from_floats(own, &Device::flex());
    ///             let batch = PairBatch::new(rows(), rows()).all_gather(&collective)?;
    ///             Ok(loss.forward_batch(batch).loss.into_scalar::<f32>())
    ///         })
    ///     });
    ///     let ranks: Vec<_> = ranks.collect();
    ///     ranks.into_iter().map(|rank| rank.join().expect("the rank panicked")).collect::<Vec<_>>()
    /// }).into_iter().collect::<Result<_, coin_loss::collective::CollectiveError>>()?;
    /// assert!(losses[0] > 0.0 && losses[0] == losses[1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn all_gather(self, collective: &dyn Collective) -> Result<Self, CollectiveError> {
        if self.excluded.is_some() {
            return Err(CollectiveError::Excluded);
        }
        if collective.world_size() == 1 {
            return Ok(self);
        }
        // One exchange for both: each costs a round trip.
        let [_, d] = self.anchor.dims();
        let pairs = Tensor::cat(vec![self.anchor.cast(DType::F32), self.positive.cast(DType::F32)], 1);
        let pairs = collective.all_gather_with_graph(pairs)?;
        let hard_negatives = self.hard_negatives.map(|rows| {
            let [n, k, d] = rows.dims();
            let all = collective.all_gather_with_graph(rows.reshape([n, k * d]))?;
            Ok::<_, CollectiveError>(all.reshape([collective.world_size() * n, k, d]))
        });
        // Split into 16-bit halves, which f32 represents exactly.
        let groups = self.groups.map(|groups| {
            let low = groups.clone().bitwise_and_scalar(0xffff);
            let high = groups.bitwise_right_shift_scalar(16);
            let halves = Tensor::stack::<2>(vec![high.float(), low.float()], 1);
            let all = collective.all_gather(halves)?.int();
            let half = |at: usize| all.clone().narrow(1, at, 1).squeeze_dim::<1>(1);
            Ok::<_, CollectiveError>(half(0).bitwise_left_shift_scalar(16).bitwise_or(half(1)))
        });
        let row_weights = self.row_weights.map(|weights| {
            let all = collective.all_gather(weights.unsqueeze_dim::<2>(1))?;
            Ok::<_, CollectiveError>(all.squeeze_dim::<1>(1))
        });
        Ok(PairBatch {
            anchor: pairs.clone().narrow(1, 0, d),
            positive: pairs.narrow(1, d, d),
            hard_negatives: hard_negatives.transpose()?,
            excluded: None,
            groups: groups.transpose()?,
            row_weights: row_weights.transpose()?,
        })
    }

    /// Returns the anchors and the positives, `[n, d]` each.
    pub fn into_pairs(self) -> [Tensor<2>; 2] {
        [self.anchor, self.positive]
    }

    /// The same batch outside any graph.
    pub(crate) fn without_autodiff(&self) -> Self {
        PairBatch {
            anchor: self.anchor.clone().without_autodiff(),
            positive: self.positive.clone().without_autodiff(),
            hard_negatives: self.hard_negatives.clone().map(Tensor::without_autodiff),
            excluded: self.excluded.clone().map(Tensor::without_autodiff),
            groups: self.groups.clone().map(Tensor::without_autodiff),
            row_weights: self.row_weights.clone().map(Tensor::without_autodiff),
        }
    }

    /// The mask of columns that are neither a row's negative nor its positive, `[count, n]` for the rows from `first`.
    pub(crate) fn left_out(&self, first: usize, count: usize) -> Option<Tensor<2, Bool>> {
        let excluded = self.excluded.as_ref().map(|excluded| excluded.clone().narrow(0, first, count));
        let grouped = self.groups.as_ref().map(|groups| {
            let rows = groups.clone().narrow(0, first, count).unsqueeze_dim::<2>(1);
            rows.equal(groups.clone().unsqueeze_dim::<2>(0))
        });
        let either = match (excluded, grouped) {
            (Some(a), Some(b)) => a.bool_or(b),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        let device = self.anchor.device();
        let [n, _] = self.anchor.dims();
        let rows = Tensor::<1, Int>::arange(first as i64..(first + count) as i64, &device).unsqueeze_dim::<2>(1);
        let columns = Tensor::<1, Int>::arange(0..n as i64, &device).unsqueeze_dim::<2>(0);
        Some(either.bool_and(rows.not_equal(columns)))
    }
}

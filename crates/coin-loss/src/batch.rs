//! The input of every loss.

use std::ops::Range;

use burn::tensor::{Bool, DType, Int, Tensor};

use crate::LossError;
use crate::collective::{Collective, CollectiveError};

/// A batch of items, each seen in one or more views, with what a loss needs to know of them.
///
/// A view is a tensor `[n, d]`, and row i of every view belongs to item i: an image and its caption, a query and its document,
/// two wordings of an instruction. Most losses take two views, the anchors and the positives ([`Batch::pairs`]). [`SupCon`]
/// takes any number.
///
/// A loss refuses what it cannot use, so nothing that was added is ignored in silence.
///
/// [`SupCon`]: crate::SupCon
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use coin_loss::{Batch, InfoNceConfig};
/// let device = Device::flex();
/// let rows = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], &device);
/// let loss = InfoNceConfig::new().init()?;
/// // Rows 0 and 1 are the same item, so each is a false negative of the other.
/// let naive = loss.forward_batch(Batch::pairs(rows.clone(), rows.clone()));
/// let groups = Tensor::<1, Int>::from_data([7, 7, 8], &device);
/// let grouped = loss.forward_batch(Batch::pairs(rows.clone(), rows).with_groups(groups));
/// assert!(naive.loss.into_scalar::<f32>() > 0.4);
/// assert!(grouped.loss.into_scalar::<f32>() < 1e-6);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    pub(crate) views: Vec<Tensor<2>>,
    pub(crate) hard_negatives: Option<Tensor<3>>,
    pub(crate) hard_excluded: Option<Tensor<2, Bool>>,
    pub(crate) hard_weights: Option<Tensor<2>>,
    pub(crate) shared_negatives: Option<Tensor<2>>,
    pub(crate) shared_excluded: Option<Tensor<2, Bool>>,
    pub(crate) excluded: Option<Tensor<2, Bool>>,
    pub(crate) excluded_anchors: Option<Tensor<2, Bool>>,
    pub(crate) excluded_positives: Option<Tensor<2, Bool>>,
    pub(crate) groups: Option<Tensor<1, Int>>,
    pub(crate) row_weights: Option<Tensor<1>>,
    pub(crate) rows: Option<Range<usize>>,
    pub(crate) scores: Option<Tensor<1>>,
    pub(crate) teacher_scores: Option<Tensor<2>>,
}

/// What can be added to the views of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    HardNegatives,
    SharedNegatives,
    Excluded,
    ExcludedWithin,
    Groups,
    RowWeights,
    Rows,
    Scores,
    TeacherScores,
}

impl Part {
    /// The argument's name in messages, and the method that adds it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Part::HardNegatives => ("hard negatives", "Batch::with_hard_negatives"),
            Part::SharedNegatives => ("shared negatives", "Batch::with_shared_negatives"),
            Part::Excluded => ("a mask of excluded columns", "Batch::with_excluded"),
            Part::ExcludedWithin => ("masks of excluded anchors or positives", "Batch::with_excluded_within"),
            Part::Groups => ("groups", "Batch::with_groups"),
            Part::RowWeights => ("row weights", "Batch::with_row_weights"),
            Part::Rows => ("a range of rows", "Batch::with_rows"),
            Part::Scores => ("scores", "Batch::with_scores"),
            Part::TeacherScores => ("teacher scores", "Batch::with_teacher_scores"),
        }
    }
}

impl Batch {
    /// Pairs row i of `anchor` with row i of `positive`; both are `[n, d]` with n at least 1. Every other row of
    /// `positive` is a negative.
    pub fn pairs(anchor: Tensor<2>, positive: Tensor<2>) -> Self {
        Self::views(vec![anchor, positive])
    }

    /// Holds any number of views, `[n, d]` each; row i of every view belongs to item i.
    pub fn views(views: Vec<Tensor<2>>) -> Self {
        Batch {
            views,
            hard_negatives: None,
            hard_excluded: None,
            hard_weights: None,
            shared_negatives: None,
            shared_excluded: None,
            excluded: None,
            excluded_anchors: None,
            excluded_positives: None,
            groups: None,
            row_weights: None,
            rows: None,
            scores: None,
            teacher_scores: None,
        }
    }

    /// Holds rows with labels: rows `[n, d]` in one view, and an equal number in `labels`, `[n]`, for rows that belong together.
    pub fn labeled(rows: Tensor<2>, labels: Tensor<1, Int>) -> Self {
        Self::views(vec![rows]).with_groups(labels)
    }

    /// Adds one hard negative per anchor, `[n, d]`; see [`with_hard_negatives`](Self::with_hard_negatives).
    pub fn with_hard_negative(self, rows: Tensor<2>) -> Self {
        self.with_hard_negatives(rows.unsqueeze_dim(1))
    }

    /// Adds hard negatives, `[n, k, d]`: k for each anchor, used by that anchor only. They enter the direction from
    /// anchor to positive only; groups and the mask of in-batch negatives do not affect them.
    pub fn with_hard_negatives(mut self, rows: Tensor<3>) -> Self {
        self.hard_negatives = Some(rows);
        self
    }

    /// Sets a mask of hard negatives, `[n, k]`, that is true where anchor i has no hard negative k: padding, where anchors have
    /// different numbers of them, or a false negative. A masked row's values are not used; they may be anything.
    pub fn with_hard_excluded(mut self, excluded: Tensor<2, Bool>) -> Self {
        self.hard_excluded = Some(excluded);
        self
    }

    /// Sets a weight for each hard negative, `[n, k]`, that multiplies its exponential in the sum; an in-batch negative has weight 1.
    /// A weight of 0 is a masked negative. The weights are constants and get no gradient.
    pub fn with_hard_weights(mut self, weights: Tensor<2>) -> Self {
        self.hard_weights = Some(weights);
        self
    }

    /// Adds negatives that every anchor is contrasted with, `[m, d]`: a memory queue (MoCo), or the hard negatives of all anchors, as
    /// sentence-transformers uses them. They enter the direction from anchor to positive only.
    pub fn with_shared_negatives(mut self, rows: Tensor<2>) -> Self {
        self.shared_negatives = Some(rows);
        self
    }

    /// Sets a mask, `[n, m]`, that is true where shared negative j is not a negative of anchor i.
    pub fn with_shared_excluded(mut self, excluded: Tensor<2, Bool>) -> Self {
        self.shared_excluded = Some(excluded);
        self
    }

    /// Sets a mask, `[n, n]`, that is true where positive j is not a negative of anchor i; the diagonal is ignored. The
    /// mask takes one byte per entry. If pairs form groups, [`with_groups`](Self::with_groups) needs only n numbers.
    pub fn with_excluded(mut self, excluded: Tensor<2, Bool>) -> Self {
        self.excluded = Some(excluded);
        self
    }

    /// Sets masks, `[n, n]` each, that are true where anchor j is not a negative of anchor i, and where positive j is not a negative
    /// of positive i. They matter for a loss that contrasts anchors with anchors or positives with positives.
    pub fn with_excluded_within(mut self, anchors: Tensor<2, Bool>, positives: Tensor<2, Bool>) -> Self {
        self.excluded_anchors = Some(anchors);
        self.excluded_positives = Some(positives);
        self
    }

    /// Sets a group number per item, `[n]`: items with equal numbers are not negatives of each other.
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

    /// Limits the loss to the terms of these rows. All other rows are still negatives. A reduced loss is reduced over these rows.
    ///
    /// A rank of a large batch uses it to compute its own share only (OpenCLIP's `local_loss`).
    pub fn with_rows(mut self, rows: Range<usize>) -> Self {
        self.rows = Some(rows);
        self
    }

    /// Sets how similar the two views of each item are, `[n]`, on any scale that grows with similarity.
    pub fn with_scores(mut self, scores: Tensor<1>) -> Self {
        self.scores = Some(scores);
        self
    }

    /// Sets a teacher's scores of each anchor, `[n, 1 + k]`: of its positive, then of its k hard negatives.
    pub fn with_teacher_scores(mut self, scores: Tensor<2>) -> Self {
        self.teacher_scores = Some(scores);
        self
    }

    /// Gathers the batches of all ranks, in rank order. Only this rank's rows are part of its graph; see
    /// [`collective`](crate::collective). All ranks must pass the same shapes.
    ///
    /// Each rank evaluates the whole loss, so every rank has the complete gradient of a learnable temperature. Do not sum
    /// that gradient over ranks.
    ///
    /// # Errors
    /// Fails if a rank is gone or passed other shapes, or if the batch has a mask of columns, a range of rows, or negatives that are
    /// shared already. Groups ([`with_groups`](Self::with_groups)) can be gathered.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use coin_loss::collective::{Collective, LocalCollective};
    /// use coin_loss::{Batch, InfoNceConfig};
    /// let loss = InfoNceConfig::new().init()?;
    /// let losses: Vec<f32> = std::thread::scope(|scope| {
    ///     let ranks = LocalCollective::new(2).into_iter().map(|collective| {
    ///         let loss = loss.clone();
    ///         scope.spawn(move || {
    ///             // One pair per rank: on its own, neither rank would have a negative.
    ///             let own = [[1.0, collective.rank() as f32]];
    ///             let rows = || Tensor::<2>::from_floats(own, &Device::flex());
    ///             let batch = Batch::pairs(rows(), rows()).all_gather(&collective)?;
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
        if self.excluded.is_some() || self.excluded_anchors.is_some() {
            return Err(CollectiveError::Excluded);
        }
        if self.rows.is_some() {
            return Err(CollectiveError::Ungathered("a range of rows"));
        }
        if self.shared_negatives.is_some() {
            return Err(CollectiveError::Ungathered("shared negatives"));
        }
        if collective.world_size() == 1 {
            return Ok(self);
        }
        // One exchange for all views: each costs a round trip.
        let widths: Vec<usize> = self.views.iter().map(|view| view.dims()[1]).collect();
        let all = Tensor::cat(self.views.into_iter().map(|view| view.cast(DType::F32)).collect(), 1);
        let all = collective.all_gather_with_graph(all)?;
        let mut first = 0;
        let views = widths.into_iter().map(|width| {
            first += width;
            all.clone().narrow(1, first - width, width)
        });
        let views = views.collect();
        let hard_negatives = self.hard_negatives.map(|rows| {
            let [n, k, d] = rows.dims();
            let all = collective.all_gather_with_graph(rows.reshape([n, k * d]))?;
            Ok::<_, CollectiveError>(all.reshape([collective.world_size() * n, k, d]))
        });
        let matrix = |values: Option<Tensor<2>>| values.map(|values| collective.all_gather(values)).transpose();
        let hard_excluded = matrix(self.hard_excluded.map(|mask| mask.float()))?.map(|mask| mask.bool());
        let groups = self.groups.map(|groups| all_gather_groups(groups, collective)).transpose()?;
        let column = |values: Option<Tensor<1>>| {
            let gathered = values.map(|values| collective.all_gather(values.unsqueeze_dim::<2>(1)));
            Ok::<_, CollectiveError>(gathered.transpose()?.map(|all| all.squeeze_dim::<1>(1)))
        };
        Ok(Batch {
            hard_negatives: hard_negatives.transpose()?,
            hard_excluded,
            hard_weights: matrix(self.hard_weights)?,
            groups,
            row_weights: column(self.row_weights)?,
            scores: column(self.scores)?,
            teacher_scores: matrix(self.teacher_scores)?,
            ..Batch::views(views)
        })
    }

    /// The views, `[n, d]` each.
    pub fn all_views(&self) -> &[Tensor<2>] {
        &self.views
    }

    /// The hard negatives, `[n, k, d]`, and the mask of those that take no part, `[n, k]`.
    pub fn hard_negatives(&self) -> Option<(&Tensor<3>, Option<Tensor<2, Bool>>)> {
        self.hard_negatives.as_ref().map(|rows| (rows, self.hard_masked()))
    }

    /// The negatives of every anchor, `[m, d]`.
    pub fn shared_negatives(&self) -> Option<&Tensor<2>> {
        self.shared_negatives.as_ref()
    }

    /// The positives that are not negatives of each anchor, by mask or by group, `[n, n]`. The diagonal is false.
    pub fn excluded(&self) -> Option<Tensor<2, Bool>> {
        self.left_out(0, self.views.first()?.dims()[0])
    }

    /// The group numbers, `[n]`.
    pub fn groups(&self) -> Option<&Tensor<1, Int>> {
        self.groups.as_ref()
    }

    /// The factors of the rows' terms, `[n]`.
    pub fn row_weights(&self) -> Option<&Tensor<1>> {
        self.row_weights.as_ref()
    }

    /// How similar the views of each item are, `[n]`.
    pub fn scores(&self) -> Option<&Tensor<1>> {
        self.scores.as_ref()
    }

    /// Returns the anchors and the positives, `[n, d]` each, of a batch that has nothing else.
    ///
    /// # Errors
    /// The batch does not have exactly two views, their shapes differ, or it has negatives, masks, groups, weights or scores, which
    /// would be lost.
    pub fn into_pairs(self) -> Result<[Tensor<2>; 2], LossError> {
        let [n, d] = self.check("a loss of plain pairs", 2..=2, &[], &[])?;
        <[Tensor<2>; 2]>::try_from(self.views).map_err(|_| LossError::Shape {
            argument: "views",
            got: vec![n, d],
            expected: "two views".to_owned(),
        })
    }

    pub(crate) fn anchor(&self) -> &Tensor<2> {
        &self.views[0]
    }

    pub(crate) fn positive(&self) -> &Tensor<2> {
        &self.views[1]
    }

    /// The rows whose terms make up the loss.
    pub(crate) fn own_rows(&self) -> Range<usize> {
        self.rows.clone().unwrap_or(0..self.views[0].dims()[0])
    }

    /// Checks the shapes of everything in the batch, and that `loss` uses all of it. Returns n and d.
    pub(crate) fn check(
        &self,
        loss: &'static str,
        views: std::ops::RangeInclusive<usize>,
        used: &[Part],
        needed: &[Part],
    ) -> Result<[usize; 2], LossError> {
        let [n, d] = self.check_views(views)?;
        for (part, present) in self.parts() {
            let (argument, method) = part.names();
            if present && !used.contains(&part) && !needed.contains(&part) {
                return Err(LossError::Unused { loss, argument });
            }
            if !present && needed.contains(&part) {
                return Err(LossError::Missing { loss, argument, method });
            }
        }
        let k = self.check_hard_negatives(loss, [n, d])?;
        if let Some(shared) = &self.shared_negatives {
            let [m, width] = shared.dims();
            if m == 0 || width != d {
                return Err(shape("shared negatives", &[m, width], format!("[m, d] = [m, {d}] with m at least 1")));
            }
            if let Some(excluded) = &self.shared_excluded {
                exact("the mask of shared negatives", excluded.dims(), [n, m], "[n, m]")?;
            }
        } else if self.shared_excluded.is_some() {
            let (argument, method) = Part::SharedNegatives.names();
            return Err(LossError::Missing { loss, argument, method });
        }
        for (argument, mask) in [
            ("the mask of excluded columns", &self.excluded),
            ("the mask of excluded anchors", &self.excluded_anchors),
            ("the mask of excluded positives", &self.excluded_positives),
        ] {
            if let Some(mask) = mask {
                exact(argument, mask.dims(), [n, n], "[n, n]")?;
            }
        }
        if let Some(groups) = &self.groups {
            exact("groups", groups.dims(), [n], "[n]")?;
        }
        if let Some(weights) = &self.row_weights {
            exact("row weights", weights.dims(), [n], "[n]")?;
        }
        if let Some(scores) = &self.scores {
            exact("scores", scores.dims(), [n], "[n]")?;
        }
        if let Some(scores) = &self.teacher_scores {
            exact("teacher scores", scores.dims(), [n, 1 + k], "[n, 1 + k]")?;
        }
        if let Some(rows) = &self.rows
            && (rows.is_empty() || rows.end > n)
        {
            let expected = format!("a range within 0..{n} that is not empty");
            return Err(shape("the range of rows", &[rows.start, rows.end], expected));
        }
        Ok([n, d])
    }

    /// Checks that the batch has values that a loss can use: every value is finite, and with `direction`, that no row of a view or of
    /// negatives is zero. Masked hard negatives are not checked. It reads from the device.
    pub(crate) fn check_values(&self, direction: bool) -> Result<(), LossError> {
        const NAMES: [&str; 3] = ["the anchors", "the positives", "view"];
        for (at, view) in self.views.iter().enumerate() {
            let name = if self.views.len() == 1 { "the rows" } else { NAMES[at.min(2)] };
            check_rows(name, view.clone(), direction)?;
        }
        if let Some(rows) = &self.hard_negatives {
            let [n, k, d] = rows.dims();
            let mut rows = rows.clone().without_autodiff();
            if let Some(mask) = self.hard_masked() {
                rows = rows.mask_fill(mask.unsqueeze_dim::<3>(2).expand([n, k, d]), 1.0);
            }
            check_rows("the hard negatives", rows.reshape([n * k, d]), direction)?;
        }
        if let Some(weights) = &self.hard_weights {
            check_rows("the weights of hard negatives", weights.clone(), false)?;
        }
        if let Some(shared) = &self.shared_negatives {
            check_rows("the shared negatives", shared.clone(), direction)?;
        }
        for (name, values) in [("the row weights", &self.row_weights), ("the scores", &self.scores)] {
            if let Some(values) = values {
                check_rows(name, values.clone().unsqueeze_dim(1), false)?;
            }
        }
        match &self.teacher_scores {
            Some(scores) => check_rows("the teacher scores", scores.clone(), false),
            None => Ok(()),
        }
    }

    fn parts(&self) -> [(Part, bool); 9] {
        [
            (Part::HardNegatives, self.hard_negatives.is_some()),
            (Part::SharedNegatives, self.shared_negatives.is_some()),
            (Part::Excluded, self.excluded.is_some()),
            (Part::ExcludedWithin, self.excluded_anchors.is_some()),
            (Part::Groups, self.groups.is_some()),
            (Part::RowWeights, self.row_weights.is_some()),
            (Part::Rows, self.rows.is_some()),
            (Part::Scores, self.scores.is_some()),
            (Part::TeacherScores, self.teacher_scores.is_some()),
        ]
    }

    fn check_views(&self, count: std::ops::RangeInclusive<usize>) -> Result<[usize; 2], LossError> {
        if !count.contains(&self.views.len()) || self.views.is_empty() {
            let expected = match (*count.start(), *count.end()) {
                (least, most) if least == most => format!("{least} views"),
                (least, usize::MAX) => format!("at least {least} views"),
                (least, most) => format!("{least} to {most} views"),
            };
            return Err(shape("a list of views", &[self.views.len()], expected));
        }
        let [n, d] = self.views[0].dims();
        if n == 0 || d == 0 {
            let argument = if self.views.len() == 1 { "the rows" } else { "the anchors" };
            return Err(LossError::Empty { argument, got: vec![n, d] });
        }
        for view in &self.views[1..] {
            let argument = if self.views.len() == 2 { "the positives" } else { "a view" };
            exact(argument, view.dims(), [n, d], "[n, d], as the first view")?;
        }
        Ok([n, d])
    }

    /// Checks the shapes of hard negatives and returns k.
    fn check_hard_negatives(&self, loss: &'static str, [n, d]: [usize; 2]) -> Result<usize, LossError> {
        let Some(rows) = &self.hard_negatives else {
            let (argument, method) = Part::HardNegatives.names();
            return match self.hard_excluded.is_some() || self.hard_weights.is_some() {
                true => Err(LossError::Missing { loss, argument, method }),
                false => Ok(0),
            };
        };
        let [count, k, width] = rows.dims();
        if count != n || k == 0 || width != d {
            let expected = format!("[n, k, d] = [{n}, k, {d}] with k at least 1");
            return Err(shape("hard negatives", &[count, k, width], expected));
        }
        if let Some(excluded) = &self.hard_excluded {
            exact("the mask of hard negatives", excluded.dims(), [n, k], "[n, k]")?;
        }
        if let Some(weights) = &self.hard_weights {
            exact("the weights of hard negatives", weights.dims(), [n, k], "[n, k]")?;
        }
        Ok(k)
    }

    /// The hard negatives that take no part, `[n, k]`: those of the mask and those of weight 0.
    pub(crate) fn hard_masked(&self) -> Option<Tensor<2, Bool>> {
        let weightless = self.hard_weights.clone().map(|weights| weights.without_autodiff().lower_equal_elem(0.0));
        match (self.hard_excluded.clone().map(Tensor::without_autodiff), weightless) {
            (Some(a), Some(b)) => Some(a.bool_or(b)),
            (one, other) => one.or(other),
        }
    }

    /// The same batch outside any graph.
    pub(crate) fn without_autodiff(&self) -> Self {
        let matrix = |values: &Option<Tensor<2>>| values.clone().map(Tensor::without_autodiff);
        let mask = |values: &Option<Tensor<2, Bool>>| values.clone().map(Tensor::without_autodiff);
        let column = |values: &Option<Tensor<1>>| values.clone().map(Tensor::without_autodiff);
        Batch {
            views: self.views.iter().cloned().map(Tensor::without_autodiff).collect(),
            hard_negatives: self.hard_negatives.clone().map(Tensor::without_autodiff),
            hard_excluded: mask(&self.hard_excluded),
            hard_weights: matrix(&self.hard_weights),
            shared_negatives: matrix(&self.shared_negatives),
            shared_excluded: mask(&self.shared_excluded),
            excluded: mask(&self.excluded),
            excluded_anchors: mask(&self.excluded_anchors),
            excluded_positives: mask(&self.excluded_positives),
            groups: self.groups.clone().map(Tensor::without_autodiff),
            row_weights: column(&self.row_weights),
            rows: self.rows.clone(),
            scores: column(&self.scores),
            teacher_scores: matrix(&self.teacher_scores),
        }
    }

    /// The mask of positives that are neither a row's negative nor its positive, `[count, n]` for the rows from `first`.
    pub(crate) fn left_out(&self, first: usize, count: usize) -> Option<Tensor<2, Bool>> {
        self.mask(&self.excluded, first, count)
    }

    /// The same for the columns of one of the masks.
    pub(crate) fn mask(
        &self,
        excluded: &Option<Tensor<2, Bool>>,
        first: usize,
        count: usize,
    ) -> Option<Tensor<2, Bool>> {
        let excluded = excluded.as_ref().map(|excluded| excluded.clone().narrow(0, first, count));
        let grouped = self.groups.as_ref().map(|groups| {
            let rows = groups.clone().narrow(0, first, count).unsqueeze_dim::<2>(1);
            rows.equal(groups.clone().unsqueeze_dim::<2>(0))
        });
        let either = match (excluded, grouped) {
            (Some(a), Some(b)) => a.bool_or(b),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        let device = either.device();
        let [_, n] = either.dims();
        let rows = Tensor::<1, Int>::arange(first as i64..(first + count) as i64, &device).unsqueeze_dim::<2>(1);
        let columns = Tensor::<1, Int>::arange(0..n as i64, &device).unsqueeze_dim::<2>(0);
        Some(either.bool_and(rows.not_equal(columns)))
    }
}

/// Gathers integers through f32: in parts of 16 bits, which f32 represents exactly.
fn all_gather_groups(groups: Tensor<1, Int>, collective: &dyn Collective) -> Result<Tensor<1, Int>, CollectiveError> {
    let dtype = groups.dtype();
    let parts = (dtype.size() / 2).max(1) as i32;
    let part = |at: i32| groups.clone().bitwise_right_shift_scalar(16 * at).bitwise_and_scalar(0xffff).float();
    let all = collective.all_gather(Tensor::stack::<2>((0..parts).map(part).collect(), 1))?;
    let whole = (0..parts).map(|at| {
        let part = all.clone().narrow(1, at as usize, 1).squeeze_dim::<1>(1).int().cast(dtype);
        part.bitwise_left_shift_scalar(16 * at)
    });
    Ok(whole.reduce(Tensor::bitwise_or).expect("there is at least one part"))
}

fn shape(argument: &'static str, got: &[usize], expected: String) -> LossError {
    LossError::Shape { argument, got: got.to_vec(), expected }
}

/// Checks a shape that is known exactly. burn would broadcast a dimension of 1 without a word.
fn exact<const D: usize>(
    argument: &'static str,
    got: [usize; D],
    expected: [usize; D],
    form: &str,
) -> Result<(), LossError> {
    match got == expected {
        true => Ok(()),
        false => Err(shape(argument, &got, format!("{form} = {expected:?}"))),
    }
}

/// Names the first row that has a value that is not finite, or, with `direction`, only zeros.
fn check_rows(argument: &'static str, rows: Tensor<2>, direction: bool) -> Result<(), LossError> {
    let rows = rows.without_autodiff().cast(DType::F32);
    // The second summand is 0, or NaN if a value is not finite: a maximum may hide a NaN.
    let largest = (rows.clone().abs().max_dim(1) + (rows * 0.0).sum_dim(1)).squeeze_dim::<1>(1);
    let values = largest.try_into_vec_as::<f32>().unwrap_or_default();
    for (row, value) in values.into_iter().enumerate() {
        if !value.is_finite() {
            return Err(LossError::NotFinite { argument, row });
        }
        if direction && value == 0.0 {
            return Err(LossError::ZeroRow { argument, row });
        }
    }
    Ok(())
}

//! Cached gradients are those of the whole batch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Tensor, TensorData};
use coin_loss::collective::{Collective, CollectiveError, LocalCollective, SingleProcess, sum_gradients};
use coin_loss::{
    CachedGradients, Direction, Encoded, EncodedBatch, Encoder, GradientCache, GradientCacheError, InfoNce,
    InfoNceConfig, MicroBatch, Pass, Reduction,
};

const ITEMS: usize = 11;
/// The last micro-batch has 3 items.
const MICRO: usize = 4;
const SEED: u64 = 7;

/// The CPU's random numbers belong to the process.
fn random_numbers() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn filled(rows: usize, columns: usize, phase: f32) -> Tensor<2> {
    let values: Vec<f32> = (0..rows * columns).map(|at| (at as f32 * 1.7 + phase).sin()).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), &device())
}

/// Two towers of different widths, a head for a loss of single items, and dropout.
#[derive(Module, Debug)]
struct Model {
    first: [Linear; 2],
    second: [Linear; 2],
    head: Linear,
    dropout: Dropout,
}

impl Model {
    fn new(dropout: f64) -> Self {
        let linear = |input, output, phase| {
            let mut linear = LinearConfig::new(input, output).with_bias(false).init(&device());
            linear.weight = Param::from_tensor(filled(input, output, phase));
            linear
        };
        Model {
            first: [linear(5, 9, 0.1), linear(9, 6, 0.2)],
            second: [linear(4, 7, 0.3), linear(7, 6, 0.4)],
            head: linear(6, 1, 0.5),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    fn tower([first, second]: &[Linear; 2], dropout: impl Fn(Tensor<2>) -> Tensor<2>, rows: Tensor<2>) -> Tensor<2> {
        second.forward(dropout(tanh(first.forward(rows))))
    }

    /// Embeds the items of the whole batch from `first`. Dropout takes its masks from the device, which `key` seeds.
    fn embed(&self, first: usize, count: usize, key: u64) -> [Tensor<2>; 2] {
        // Without dropout there is nothing to seed, and no need for `random_numbers`.
        if self.dropout.prob > 0.0 {
            device().seed(key);
        }
        self.embed_with(first, count, |rows| self.dropout.forward(rows))
    }

    fn embed_with(&self, first: usize, count: usize, dropout: impl Fn(Tensor<2>) -> Tensor<2>) -> [Tensor<2>; 2] {
        let [left, right] = [filled(ITEMS, 5, 0.7), filled(ITEMS, 4, 0.8)].map(|rows| rows.narrow(0, first, count));
        [Self::tower(&self.first, &dropout, left), Self::tower(&self.second, &dropout, right)]
    }

    /// The part of a mean over the batch that belongs to some items.
    fn extra(&self, rows: Tensor<2>) -> Tensor<1> {
        self.head.forward(rows).powi_scalar(2).sum() / ITEMS as f64
    }
}

/// Dropout by a mask of the item's own number, for ranks in threads.
fn mask_by_item(first: usize) -> impl Fn(Tensor<2>) -> Tensor<2> {
    move |rows| {
        let [count, width] = rows.dims();
        let kept = |at: usize| f32::from((first * width + at).wrapping_mul(2_654_435_761) >> 7 & 3 != 0);
        let mask: Vec<f32> = (0..count * width).map(kept).collect();
        rows * Tensor::from_data(TensorData::new(mask, [count, width]), &device())
    }
}

struct Collect<'a>(&'a GradientsParams, Vec<Vec<f32>>);

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.0.get::<D>(param.id) {
            self.1.push(gradient.try_into_vec_as::<f32>().unwrap());
        }
    }
}

/// The gradients of each parameter that has one.
fn values<M: Module>(model: &M, gradients: &GradientsParams) -> Vec<Vec<f32>> {
    let mut collect = Collect(gradients, Vec::new());
    model.visit(&mut collect);
    collect.1
}

#[track_caller]
fn assert_equal(a: &[Vec<f32>], b: &[Vec<f32>]) {
    assert!(!a.is_empty());
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
    let largest = a.iter().flatten().fold(0.0f32, |largest, a| largest.max(a.abs()));
    assert!(largest > 1e-3, "{largest}");
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!((a - b).abs() <= 1e-5 * largest.max(1.0), "{a} {b}");
    }
}

fn info_nce() -> InfoNce {
    InfoNceConfig::new().with_temperature(0.3).init().unwrap()
}

fn minimize(loss: &InfoNce, batch: EncodedBatch<2>) -> Result<(Tensor<1>, f32), GradientCacheError> {
    let [left, right] = batch.embeddings;
    let loss = loss.forward(left, right, None).loss;
    Ok((loss.clone(), loss.into_scalar::<f32>()))
}

/// Encodes with the masks of the device.
fn encode(model: &Model, part: &MicroBatch) -> Result<Encoded<2>, GradientCacheError> {
    Ok(Encoded::new(model.embed(part.items.start, part.len(), part.key)))
}

/// The embeddings of the whole batch in one graph, with the masks of the micro-batches' keys.
fn uncached(model: &Model, keys: &[u64]) -> [Tensor<2>; 2] {
    let parts: Vec<[Tensor<2>; 2]> =
        keys.iter().enumerate().map(|(at, &key)| model.embed(at * MICRO, MICRO.min(ITEMS - at * MICRO), key)).collect();
    [0, 1].map(|output| Tensor::cat(parts.iter().map(|part| part[output].clone()).collect(), 0))
}

#[test]
fn two_towers_with_dropout_get_the_gradients_of_the_whole_batch() {
    let _alone = random_numbers();
    let model = Model::new(0.5);
    let mut seen = Vec::new();
    let cached = GradientCache::new(MICRO, SEED)
        .gradients(
            &model,
            ITEMS,
            |model, part| {
                seen.push(part.clone());
                encode(model, part)
            },
            |batch| {
                assert_eq!(batch.own, 0..ITEMS);
                minimize(&info_nce(), batch)
            },
        )
        .unwrap();
    let passes = |pass| seen.iter().filter(move |part| part.pass == pass).map(|part| (part.items.clone(), part.key));
    let first: Vec<_> = passes(Pass::Values).collect();
    assert_eq!(first.iter().map(|(items, _)| items.clone()).collect::<Vec<_>>(), [0..4, 4..8, 8..11]);
    assert_eq!(first, passes(Pass::Gradients).collect::<Vec<_>>());
    let keys: Vec<u64> = first.iter().map(|(_, key)| *key).collect();
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);

    let [left, right] = uncached(&model, &keys);
    let loss = info_nce().forward(left, right, None).loss;
    assert!((loss.clone().into_scalar::<f32>() - cached.output).abs() < 1e-6);
    let expected = GradientsParams::from_grads(loss.backward(), &model);
    assert_equal(&values(&model, &expected), &values(&model, &cached.gradients));

    // Another seed gives other masks.
    let other = GradientCache::new(MICRO, SEED + 1)
        .gradients(&model, ITEMS, encode, |batch| minimize(&info_nce(), batch))
        .unwrap();
    assert!((other.output - cached.output).abs() > 1e-3);
}

#[test]
fn an_extra_loss_is_summed_and_the_loss_may_depend_on_its_value() {
    let _alone = random_numbers();
    let model = Model::new(0.3);
    let mut keys = Vec::new();
    let encode = |model: &Model, part: &MicroBatch| {
        keys.push(part.key);
        let [left, right] = model.embed(part.items.start, part.len(), part.key);
        let extra = model.extra(left.clone());
        Ok::<_, GradientCacheError>(Encoded::new([left, right]).with_extra_loss(extra))
    };
    let cached = GradientCache::new(MICRO, SEED)
        .gradients(&model, ITEMS, encode, |batch| {
            let (loss, _) = minimize(&info_nce(), batch.clone())?;
            Ok((loss * batch.extra_loss, batch.extra_loss))
        })
        .unwrap();
    let [left, right] = uncached(&model, &keys[..3]);
    let extra = model.extra(left.clone());
    assert!((f64::from(extra.clone().into_scalar::<f32>()) - cached.extra_loss).abs() < 1e-6);
    assert_eq!(cached.extra_loss, cached.output);
    let loss = info_nce().forward(left, right, None).loss * extra.clone().detach() + extra;
    let expected = GradientsParams::from_grads(loss.backward(), &model);
    let of_all = values(&model, &cached.gradients);
    assert_eq!(of_all.len(), 5);
    assert_equal(&values(&model, &expected), &of_all);
}

#[test]
fn a_measured_loss_needs_one_pass_and_has_no_gradients() {
    let model = Model::new(0.0);
    let mut passes = Vec::new();
    let encode = |model: &Model, part: &MicroBatch| {
        passes.push(part.pass);
        let [left, right] = model.embed_with(part.items.start, part.len(), |rows| rows);
        let extra = model.extra(left.clone());
        Ok::<_, GradientCacheError>(Encoded::new([left, right]).with_extra_loss(extra))
    };
    let mut cached = GradientCache::new(MICRO, SEED)
        .with_measured_loss()
        .gradients(&model, ITEMS, encode, |batch| {
            assert!(!batch.embeddings[0].is_autodiff());
            minimize(&info_nce(), batch)
        })
        .unwrap();
    assert_eq!(passes, [Pass::Gradients; 3]);
    let [left, right] = model.embed_with(0, ITEMS, |rows| rows);
    let loss = info_nce().forward(left.clone(), right, None).loss.into_scalar::<f32>();
    assert!((loss - cached.output).abs() < 1e-6);
    let expected = GradientsParams::from_grads(model.extra(left).backward(), &model);
    assert_equal(&values(&model, &expected), &values(&model, &cached.gradients));
    assert!(cached.loss_gradients(&info_nce()).is_empty());
}

#[test]
fn one_micro_batch_is_encoded_once() {
    let _alone = random_numbers();
    let model = Model::new(0.5);
    let mut seen = Vec::new();
    let encode = |model: &Model, part: &MicroBatch| {
        seen.push(part.clone());
        encode(model, part)
    };
    let cached = GradientCache::new(usize::MAX, SEED)
        .gradients(&model, ITEMS, encode, |batch| minimize(&info_nce(), batch))
        .unwrap();
    assert_eq!(
        seen.iter().map(|part| (part.items.clone(), part.pass)).collect::<Vec<_>>(),
        [(0..ITEMS, Pass::Gradients)]
    );
    let [left, right] = model.embed(0, ITEMS, seen[0].key);
    let expected = GradientsParams::from_grads(info_nce().forward(left, right, None).loss.backward(), &model);
    // The same operations in the same order.
    assert_eq!(values(&model, &expected), values(&model, &cached.gradients));
}

#[test]
fn parameters_without_values_get_theirs_and_keep_their_gradients() {
    // burn draws the values when they are first used.
    let _alone = random_numbers();
    let model = LinearConfig::new(5, 6).init(&device());
    let encode = |model: &Linear, part: &MicroBatch| {
        let rows = filled(ITEMS, 5, 0.7).narrow(0, part.items.start, part.len());
        Ok(Encoded::new([model.forward(rows.clone()), model.forward(rows + 0.1)]))
    };
    let cached =
        GradientCache::new(MICRO, SEED).gradients(&model, ITEMS, encode, |batch| minimize(&info_nce(), batch)).unwrap();
    assert!(model.weight.is_require_grad());
    assert_eq!(values(&model, &cached.gradients).len(), 2);
}

#[test]
fn a_learnable_temperature_gets_its_gradient() {
    let model = Model::new(0.0);
    let loss = InfoNceConfig::new().with_temperature(0.3).init_learnable(&device()).unwrap();
    let encode = |model: &Model, part: &MicroBatch| {
        Ok(Encoded::new(model.embed_with(part.items.start, part.len(), |rows| rows)))
    };
    let mut cached =
        GradientCache::new(MICRO, SEED).gradients(&model, ITEMS, encode, |batch| minimize(&loss, batch)).unwrap();
    let [left, right] = model.embed_with(0, ITEMS, |rows| rows);
    let expected = GradientsParams::from_grads(loss.forward(left, right, None).loss.backward(), &loss);
    let of_loss = cached.loss_gradients(&loss);
    assert_eq!(of_loss.len(), 1);
    assert_equal(&values(&loss, &expected), &values(&loss, &of_loss));
}

/// Runs a function on ranks that are threads.
fn on_ranks<R: Send>(world_size: usize, run: impl Fn(&dyn Collective) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let run = &run;
        let ranks: Vec<_> = LocalCollective::new(world_size)
            .into_iter()
            .map(|collective| scope.spawn(move || run(&collective)))
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// A rank's gradients of the towers and of a learnable temperature, and its extra loss. The first ranks have `full`
/// items each.
fn of_rank(
    model: &Model,
    loss: &InfoNce,
    full: usize,
    local: bool,
    collective: &dyn Collective,
) -> (Vec<Vec<f32>>, Vec<Vec<f32>>, f64) {
    let first = (collective.rank() * full).min(ITEMS);
    let count = full.min(ITEMS - first);
    let encode = |model: &Model, part: &MicroBatch| {
        assert_eq!(part.offset, first);
        let first = first + part.items.start;
        let [left, right] = model.embed_with(first, part.len(), mask_by_item(first));
        let extra = model.extra(left.clone());
        Ok::<_, GradientCacheError>(Encoded::new([left, right]).with_extra_loss(extra))
    };
    let cache = GradientCache::new(2, SEED).with_collective(collective);
    let whole = |batch: EncodedBatch<2>| {
        let [left, right] = batch.embeddings;
        Ok((loss.forward(left, right, None).loss, ()))
    };
    // The terms of this rank's rows against all columns. The share of a rank without rows is 0.
    let share = |batch: EncodedBatch<2>| {
        let [left, right] = batch.embeddings;
        let terms = loss.forward(left, right, None).loss;
        let own: Vec<f32> = (0..ITEMS).map(|row| f32::from(batch.own.contains(&row)) / ITEMS as f32).collect();
        Ok(((terms * Tensor::<1>::from_floats(own.as_slice(), &device())).sum(), ()))
    };
    let mut cached: CachedGradients<()> = match local {
        false => cache.gradients(model, count, encode, whole).unwrap(),
        true => cache.with_local_loss().gradients(model, count, encode, share).unwrap(),
    };
    let of_loss = cached.loss_gradients(loss);
    let of_loss = match local {
        false => of_loss,
        true => sum_gradients(loss, of_loss, collective).unwrap(),
    };
    (values(model, &cached.gradients), values(loss, &of_loss), cached.extra_loss)
}

#[test]
fn ranks_get_the_gradients_of_one_rank() {
    let model = Model::new(0.0);
    let loss = InfoNceConfig::new().with_temperature(0.3).init_learnable(&device()).unwrap();
    let (expected, of_temperature, extra) = of_rank(&model, &loss, ITEMS, false, &SingleProcess);
    assert_eq!(expected.len(), 5);
    // The last rank has fewer items than the others, or none. Rank 1 of the last division has a single micro-batch.
    for (world_size, full) in [(2, 6), (3, 6), (2, 9)] {
        let ranks = on_ranks(world_size, |collective| of_rank(&model, &loss, full, false, collective));
        for rank in &ranks {
            assert_eq!(rank.0, ranks[0].0);
            assert_equal(&expected, &rank.0);
            assert_equal(&of_temperature, &rank.1);
            assert!((extra - rank.2).abs() < 1e-6);
        }
    }
}

#[test]
fn local_losses_of_ranks_are_shares_of_the_whole() {
    let model = Model::new(0.0);
    let config = InfoNceConfig::new().with_temperature(0.3).with_direction(Direction::Symmetric);
    let whole = config.init_learnable(&device()).unwrap();
    let (expected, of_temperature, _) = of_rank(&model, &whole, ITEMS, false, &SingleProcess);
    let terms = config.with_reduction(Reduction::None).init_learnable(&device()).unwrap();
    for (world_size, full) in [(1, ITEMS), (2, 6), (3, 6)] {
        for rank in on_ranks(world_size, |collective| of_rank(&model, &terms, full, true, collective)) {
            assert_equal(&expected, &rank.0);
            assert_equal(&of_temperature, &rank.1);
        }
    }
}

#[track_caller]
fn refused<O>(result: Result<CachedGradients<O>, GradientCacheError>) -> GradientCacheError {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error,
    }
}

#[test]
fn passes_that_differ_are_refused() {
    let _alone = random_numbers();
    let model = Model::new(0.5);
    let cache = GradientCache::new(MICRO, SEED);
    let plain = |batch| minimize(&info_nce(), batch);
    // A first pass outside of autodiff, where dropout is off.
    let valid = |model: &Model, part: &MicroBatch| match part.pass {
        Pass::Values => encode(&model.valid(), part),
        Pass::Gradients => encode(model, part),
    };
    let error = refused(cache.gradients(&model, ITEMS, valid, plain));
    assert!(matches!(&error, GradientCacheError::PassesDiffer { output: 0, items, .. } if *items == (0..4)), "{error}");
    assert!(error.to_string().contains("dropout"), "{error}");
    // Masks that are not keyed.
    let unkeyed = |model: &Model, part: &MicroBatch| {
        let [left, right] = model.embed_with(part.items.start, part.len(), |rows| model.dropout.forward(rows));
        Ok(Encoded::new([left, right]))
    };
    let error = refused(cache.gradients(&model, ITEMS, unkeyed, plain));
    assert!(matches!(error, GradientCacheError::PassesDiffer { .. }), "{error}");
    // The comparison can be switched off. Then the gradients are those of something else.
    cache.clone().with_tolerance(None).gradients(&model, ITEMS, unkeyed, plain).unwrap();
    // Without dropout a first pass outside of autodiff is right.
    let model = Model::new(0.0);
    cache.with_tolerance(1e-5).gradients(&model, ITEMS, valid, plain).unwrap();
}

#[test]
fn graphs_where_there_must_be_none_and_missing_graphs_are_refused() {
    let model = Model::new(0.0);
    let cache = GradientCache::new(MICRO, SEED);
    let plain = |batch| minimize(&info_nce(), batch);
    // Not the model that the encoder is given.
    let error = refused(cache.gradients(&model, ITEMS, |_, part| encode(&model, part), plain));
    assert!(matches!(error, GradientCacheError::FirstPassGraph { .. }), "{error}");
    let with_head = |given: &Model, part: &MicroBatch| {
        let encoded = encode(given, part)?;
        Ok(encoded.with_extra_loss(model.extra(filled(part.len(), 6, 0.9))))
    };
    let error = refused(cache.gradients(&model, ITEMS, with_head, plain));
    assert!(matches!(error, GradientCacheError::FirstPassGraph { .. }), "{error}");
    let error = refused(cache.gradients(&model, ITEMS, |model, part| encode(&model.valid(), part), plain));
    assert!(matches!(error, GradientCacheError::NoGraph(_)), "{error}");
    assert!(error.to_string().contains("micro-batch"), "{error}");
    let detached = |batch: EncodedBatch<2>| {
        let [left, right] = batch.embeddings.map(Tensor::inner);
        Ok((info_nce().forward(left, right, None).loss, ()))
    };
    let error = refused(cache.gradients(&model, ITEMS, encode, detached));
    assert!(matches!(error, GradientCacheError::NoGraph("loss of the batch")), "{error}");
}

#[test]
fn bad_inputs_are_refused() {
    let model = Model::new(0.0);
    let run = |cache: GradientCache, items| {
        refused(cache.gradients(&model, items, encode, |batch| minimize(&info_nce(), batch)))
    };
    assert!(matches!(run(GradientCache::new(0, SEED), ITEMS), GradientCacheError::MicroBatch));
    assert!(matches!(run(GradientCache::new(MICRO, SEED), 0), GradientCacheError::Empty));
    for tolerance in [-1.0, f64::NAN] {
        let error = run(GradientCache::new(MICRO, SEED).with_tolerance(tolerance), ITEMS);
        assert!(matches!(error, GradientCacheError::Tolerance(_)), "{error}");
    }
    let with = |change: &dyn Fn(&MicroBatch, [Tensor<2>; 2]) -> Encoded<2>| {
        let encode = |model: &Model, part: &MicroBatch| {
            Ok(change(part, model.embed_with(part.items.start, part.len(), |rows| rows)))
        };
        refused(GradientCache::new(MICRO, SEED).gradients(&model, ITEMS, encode, |batch| minimize(&info_nce(), batch)))
    };
    let error = with(&|_, [left, right]| Encoded::new([left, right.narrow(0, 0, 2)]));
    assert_eq!(error.to_string(), "output 1 of items 0..4 has 2 rows, expected 4, one for each item");
    let error = with(&|part, [left, right]| Encoded::new([left.narrow(1, 0, 6 - part.items.start / 4), right]));
    assert_eq!(error.to_string(), "output 0 of items 4..8 has 5 columns, expected 6 as in the previous micro-batches");
    let error =
        with(&|_, [left, right]| Encoded::new([left.clone(), right]).with_extra_loss(left.sum_dim(1).squeeze_dim(1)));
    assert_eq!(error.to_string(), "the extra loss has 4 elements, expected 1");
    let terms = |batch: EncodedBatch<2>| {
        let [left, right] = batch.embeddings;
        Ok(((left * right).sum_dim(1).squeeze_dim(1), ()))
    };
    let error = refused(GradientCache::new(MICRO, SEED).gradients(&model, ITEMS, encode, terms));
    assert_eq!(error.to_string(), "the loss of the batch has 11 elements, expected 1");
}

#[test]
fn errors_of_the_closures_and_of_other_ranks_come_back() {
    #[derive(Debug)]
    enum Error {
        Mine(usize),
        Cache,
    }
    impl From<GradientCacheError> for Error {
        fn from(_: GradientCacheError) -> Self {
            Error::Cache
        }
    }
    let model = Model::new(0.0);
    let result = GradientCache::new(MICRO, SEED).gradients(
        &model,
        ITEMS,
        |_, part| Err::<Encoded<2>, _>(Error::Mine(part.len())),
        |_| Err::<(_, ()), _>(Error::Mine(0)),
    );
    assert!(matches!(result, Err(Error::Mine(4))), "{result:?}");
    let result = GradientCache::new(MICRO, SEED).gradients(
        &model,
        ITEMS,
        |model, part| Ok(encode(model, part)?),
        |_| Err::<(_, ()), _>(Error::Mine(0)),
    );
    assert!(matches!(result, Err(Error::Mine(0))), "{result:?}");

    // Embeddings of different widths, and no items at all.
    let errors = on_ranks(2, |collective| {
        let width = 5 + collective.rank();
        let narrow = |model: &Model, part: &MicroBatch| {
            let embedded = model.embed_with(part.items.start, part.len(), |rows| rows);
            Ok(Encoded::new(embedded.map(|rows| rows.narrow(1, 0, width))))
        };
        let cache = GradientCache::new(MICRO, SEED).with_collective(collective);
        let minimize = |batch| minimize(&info_nce(), batch);
        [refused(cache.gradients(&model, 3, narrow, minimize)), refused(cache.gradients(&model, 0, narrow, minimize))]
    });
    for [widths, empty] in errors {
        let GradientCacheError::Collective(CollectiveError::Disagreement { rank: 1, .. }) = widths else {
            panic!("{widths}")
        };
        assert!(matches!(empty, GradientCacheError::Empty), "{empty}");
    }
}

/// An encoder with passes of its own: keyed masks allow a first pass outside of autodiff, and the loss is scaled.
struct Keyed {
    scale: f64,
}

impl Encoder<Model, 2> for Keyed {
    type Tape = Pass;
    type Error = GradientCacheError;

    fn encode(&mut self, model: &Model, part: &MicroBatch) -> Result<(Encoded<2>, Pass), GradientCacheError> {
        let first = part.items.start;
        Ok((Encoded::new(model.embed_with(first, part.len(), mask_by_item(first))), part.pass))
    }

    fn backward(&mut self, model: &Model, loss: Tensor<1>, tape: Pass) -> Result<GradientsParams, GradientCacheError> {
        assert_eq!(tape, Pass::Gradients);
        Ok(GradientsParams::from_grads((loss * self.scale).backward(), model))
    }

    fn model_for_values(&self, model: &Model) -> Model {
        model.valid()
    }
}

#[test]
fn an_encoder_may_have_passes_of_its_own() {
    let model = Model::new(0.0);
    let cached = GradientCache::new(MICRO, SEED)
        .with_tolerance(1e-5)
        .gradients_with(&model, ITEMS, &mut Keyed { scale: 8.0 }, |batch| minimize(&info_nce(), batch))
        .unwrap();
    let [left, right] = model.embed_with(0, ITEMS, mask_by_item(0));
    let loss = info_nce().forward(left, right, None).loss * 8.0;
    let expected = GradientsParams::from_grads(loss.backward(), &model);
    assert_equal(&values(&model, &expected), &values(&model, &cached.gradients));
}

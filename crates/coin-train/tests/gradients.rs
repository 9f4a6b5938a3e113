//! Gradients of a step do not depend on the split of its effective batch.

use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use coin_data::tokenize::{PairRow, TokenRow};
use coin_loss::collective::LocalCollective;
use coin_loss::{CoinLossConfig, ConsistencyConfig, InfoNceConfig, Loss, Pooling, SupConConfig};
use coin_model::{Llama, LlamaConfig, LoraConfig, TokenBatch};
use coin_train::config::{Objective, TrainPreset};
use coin_train::{Compared, StepObjective, StepValues, Term};

fn model() -> Llama {
    let config: LlamaConfig = serde_json::from_value(serde_json::json!({
        "model_type": "llama", "vocab_size": 31, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": true, "initializer_range": 0.3,
    }))
    .unwrap();
    let lora = LoraConfig { rank: 4, dropout: 0.2, ..LoraConfig::default() };
    let model = Llama::new(&config, 5, &Device::flex().autodiff()).unwrap().with_lora(&lora, 9).unwrap();
    // B starts at zero, so A would not get a gradient.
    model.map(&mut FillZeros)
}

/// Fills every zero matrix with a fixed pattern.
struct FillZeros;

impl burn::module::ModuleMapper for FillZeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let zero = param.val().abs().sum().into_scalar::<f32>() == 0.0;
        if !zero {
            return param;
        }
        param.map(|tensor| {
            let shape = tensor.shape();
            let count = shape.num_elements() as i64;
            let pattern = Tensor::<1, burn::tensor::Int>::arange(0..count, &tensor.device()).float().sin() * 0.1;
            pattern.reshape(shape).detach().require_grad()
        })
    }
}

fn pairs() -> Vec<PairRow> {
    let row = |seed: u32, length: u32| TokenRow {
        ids: (0..length).map(|at| (seed * 7 + at * 3) % 31).collect(),
        prompt: (length - 2) as usize,
        shortened: 0,
        cut: 0,
    };
    (0..6)
        .map(|pair| PairRow {
            original: row(pair, 6 + pair % 3),
            paraphrase: row(pair + 11, 7 + (pair * 2) % 5),
            task: Some("cola".to_owned()),
            target: ["yes", "no"][pair as usize % 2].to_owned(),
        })
        .collect()
}

fn refs(pairs: &[PairRow]) -> Vec<&PairRow> {
    pairs.iter().collect()
}

struct Collect<'a> {
    gradients: &'a GradientsParams,
    values: Vec<f32>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.values.extend(gradient.try_into_vec_as::<f32>().unwrap());
        }
    }
}

fn flat(model: &Llama, gradients: &GradientsParams) -> Vec<f32> {
    let mut collect = Collect { gradients, values: Vec::new() };
    model.visit(&mut collect);
    collect.values
}

fn objective(kind: Objective, preset: TrainPreset, lambda: f64) -> StepObjective {
    let loss = CoinLossConfig::new().with_lambda(lambda).init().unwrap();
    StepObjective {
        kind,
        preset,
        loss,
        terms: Vec::new(),
        contrastive_batch: 64,
        pooling: Pooling::Last,
        seed: 3,
        gradient_checkpointing: false,
        loss_scale: 1.0,
    }
}

/// The objective with a term of each kind.
fn with_terms(objective: StepObjective) -> StepObjective {
    let term = |weight: f64, compared: Compared, loss: Arc<dyn Loss>| Term { weight, compared, loss };
    let terms = vec![
        term(2.0, Compared::StatesOfOtherAnswers, Arc::new(InfoNceConfig::new().with_temperature(0.2).init().unwrap())),
        term(0.5, Compared::States, Arc::new(SupConConfig::new().init().unwrap())),
        term(3.0, Compared::Answers, Arc::new(ConsistencyConfig::new().init().unwrap())),
    ];
    StepObjective { terms, ..objective }
}

/// A step computes the last layer at the ends of its rows only. Here it is computed at every position, one row at a time.
#[test]
fn losses_are_those_of_whole_rows() {
    let (model, pairs) = (model().with_dropout(0.0), pairs());
    let (_, values) =
        objective(Objective::Coin, TrainPreset::Strict, 1000.0).step(&model, &refs(&pairs), 6, 0).unwrap();
    let of_row = |row: &TokenRow| {
        let batch = TokenBatch::left_padded(std::slice::from_ref(&row.ids), 0, 1, &model.device()).unwrap();
        let hidden: Tensor<2> = model.hidden(&batch, None, None).squeeze_dim(0);
        let [seq, _] = hidden.dims();
        let scores = log_softmax(model.logits(hidden.clone()), 1).try_into_vec_as::<f32>().unwrap();
        let nats = (row.prompt..seq).map(|at| -f64::from(scores[(at - 1) * 31 + row.ids[at] as usize]));
        (nats.sum::<f64>() / row.supervised() as f64, hidden.narrow(0, seq - 1, 1).try_into_vec_as::<f32>().unwrap())
    };
    let rows = |wording: fn(&PairRow) -> &TokenRow| pairs.iter().map(|pair| of_row(wording(pair))).collect::<Vec<_>>();
    let (originals, paraphrases) = (rows(|pair| &pair.original), rows(|pair| &pair.paraphrase));
    // Every row has two supervised tokens.
    let generation = originals.iter().chain(&paraphrases).map(|(nats, _)| nats / pairs.len() as f64).sum::<f64>();
    assert!((values.generation - generation).abs() < 1e-5, "{} {generation}", values.generation);
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let positive = originals.iter().zip(&paraphrases).map(|((_, a), (_, b))| cosine(a, b) / pairs.len() as f64);
    let positive = positive.sum::<f64>();
    assert!((values.similarity_positive - positive).abs() < 1e-5, "{} {positive}", values.similarity_positive);
}

/// One step at a time runs in the thread pool; concurrent steps do not.
#[test]
fn concurrent_steps_equal_consecutive_ones() {
    let objective = objective(Objective::Coin, TrainPreset::Strict, 1000.0);
    let pairs = pairs();
    let losses = || {
        let model = model();
        let loss = |step| objective.step(&model, &refs(&pairs), 2, step).unwrap().1.loss;
        (0..4).map(loss).collect::<Vec<_>>()
    };
    let alone = losses();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(losses)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
fn cached_and_checkpointed_gradients_equal_the_plain_ones() {
    let (model, pairs) = (model(), pairs());
    for (kind, lambda, terms) in [
        (Objective::Coin, 1000.0, false),
        (Objective::Coin, 0.3, false),
        (Objective::Cit, 1000.0, false),
        (Objective::Coin, 0.3, true),
        (Objective::Cit, 1000.0, true),
    ] {
        let objective = objective(kind, TrainPreset::Strict, lambda);
        let objective = if terms { with_terms(objective) } else { objective };
        let (plain, values) = objective.step(&model, &refs(&pairs), 6, 4).unwrap();
        let plain = flat(&model, &plain);
        assert!(plain.iter().any(|value| value.abs() > 1e-3));
        // A power of two does not change any digit.
        let checkpointed = StepObjective { gradient_checkpointing: true, loss_scale: 64.0, ..objective.clone() };
        // Includes an uneven last micro-batch: 4 + 2.
        for (objective, micro) in [(&objective, 2), (&objective, 4), (&checkpointed, 6), (&checkpointed, 4)] {
            let (cached, again) = objective.step(&model, &refs(&pairs), micro, 4).unwrap();
            assert!((values.loss - again.loss).abs() < 1e-5, "{values:?} {again:?}");
            assert!((values.contrastive - again.contrastive).abs() < 1e-5);
            let cached = flat(&model, &cached);
            assert_eq!(plain.len(), cached.len());
            // f32 sums in another order, gradients of order 0.1 to 1.
            let largest = plain.iter().zip(&cached).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let scale = plain.iter().map(|a| a.abs()).fold(0.0, f32::max);
            assert!(largest < 1e-5 * scale.max(1.0), "{kind:?}, micro {micro}: {largest}, scale {scale}");
        }
    }
}

/// Returns the results of every rank in a step that is divided among them.
fn of_ranks(
    objective: &StepObjective,
    model: &Llama,
    pairs: &[PairRow],
    micro: usize,
    ranks: usize,
) -> Vec<(Vec<f32>, StepValues)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = LocalCollective::new(ranks)
            .into_iter()
            .map(|collective| {
                let model = model.clone();
                scope.spawn(move || {
                    let (gradients, values) =
                        objective.step_of_rank(&model, &refs(pairs), micro, 4, &collective).unwrap();
                    (flat(&model, &gradients), values)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn gradients_of_several_ranks_are_those_of_one() {
    let (model, pairs) = (model(), pairs());
    for (kind, preset, terms) in [
        (Objective::Coin, TrainPreset::Strict, false),
        (Objective::Cit, TrainPreset::Strict, false),
        (Objective::Coin, TrainPreset::Paper, false),
        (Objective::Cit, TrainPreset::Paper, false),
        (Objective::Coin, TrainPreset::Strict, true),
        (Objective::Cit, TrainPreset::Strict, true),
    ] {
        let objective = objective(kind, preset, 1000.0);
        let objective = if terms { with_terms(objective) } else { objective };
        // Two ranks get 4 + 2 of six pairs. With four ranks, one gets none.
        for (micro, ranks) in [(2, 2), (2, 3), (2, 4), (6, 2), (4, 2)] {
            let (single, values) = objective.step(&model, &refs(&pairs), micro, 4).unwrap();
            let single = flat(&model, &single);
            let all = of_ranks(&objective, &model, &pairs, micro, ranks);
            for (rank, (gradients, of_rank)) in all.iter().enumerate() {
                let what = format!("{kind:?} {preset:?} {terms}, micro {micro}, rank {rank} of {ranks}");
                assert_eq!((gradients, of_rank), (&all[0].0, &all[0].1), "{what}: ranks must agree to the bit");
                assert!((values.loss - of_rank.loss).abs() < 1e-5, "{what}: {values:?} {of_rank:?}");
                assert!((values.terms - of_rank.terms).abs() < 1e-5, "{what}");
                assert!((values.contrastive - of_rank.contrastive).abs() < 1e-5, "{what}");
                assert!((values.accuracy.unwrap() - of_rank.accuracy.unwrap()).abs() < 1e-6, "{what}");
                let largest = single.iter().zip(gradients).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let scale = single.iter().map(|a| a.abs()).fold(0.0, f32::max);
                // f32 sums in another order.
                assert!(largest < 1e-5 * scale.max(1.0), "{what}: {largest}, scale {scale}");
            }
        }
    }
}

#[test]
fn contrastive_batches_see_only_themselves() {
    let (model, pairs) = (model(), pairs());
    let of = |contrastive_batch: usize, pairs: &[PairRow], step: u64| {
        let objective = StepObjective { contrastive_batch, ..objective(Objective::Coin, TrainPreset::Strict, 1000.0) };
        objective.step(&model.clone().with_dropout(0.0), &refs(pairs), 2, step).unwrap().1
    };
    let (couples, whole) = (of(2, &pairs, 0), of(6, &pairs, 0));
    let alone: f64 = pairs.chunks(2).map(|couple| of(2, couple, 0).contrastive / 3.0).sum();
    assert!((couples.contrastive - alone).abs() < 1e-5, "{} {alone}", couples.contrastive);
    assert!(couples.contrastive < whole.contrastive);
}

#[test]
fn the_released_program_contrasts_within_micro_batches() {
    let (model, pairs) = (model(), pairs());
    let paper = objective(Objective::Coin, TrainPreset::Paper, 1000.0);
    let (_, whole) = paper.step(&model, &refs(&pairs), 6, 0).unwrap();
    let (_, split) = paper.step(&model, &refs(&pairs), 2, 0).unwrap();
    // Two columns are easier than six.
    assert!(split.contrastive < whole.contrastive, "{split:?} {whole:?}");
}

#[test]
fn terms_are_part_of_the_loss() {
    let (model, pairs) = (model(), pairs());
    let cit = objective(Objective::Cit, TrainPreset::Strict, 1000.0);
    let (without, plain) = cit.step(&model, &refs(&pairs), 6, 0).unwrap();
    let (with, values) = with_terms(cit.clone()).step(&model, &refs(&pairs), 6, 0).unwrap();
    // The generation loss is what the terms leave of an f32 sum.
    assert!((values.generation - plain.generation).abs() < 1e-5 && plain.terms == 0.0, "{values:?} {plain:?}");
    assert!(values.terms > 0.0 && (values.loss - values.generation - values.terms).abs() < 1e-6, "{values:?}");
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-4);
    let (without, with) = (flat(&model, &without), flat(&model, &with));
    assert!(differ(&without, &with));
    // Each term alone changes the gradient.
    for at in 0..3 {
        let all = with_terms(cit.clone());
        let one = StepObjective { terms: vec![all.terms[at].clone()], ..all };
        assert!(differ(&without, &flat(&model, &one.step(&model, &refs(&pairs), 2, 0).unwrap().0)), "term {at}");
    }
    // A weight of 0 changes nothing.
    let mut idle = with_terms(cit);
    idle.terms.iter_mut().for_each(|term| term.weight = 0.0);
    assert!(!differ(&without, &flat(&model, &idle.step(&model, &refs(&pairs), 6, 0).unwrap().0)));
}

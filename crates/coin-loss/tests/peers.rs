//! Values and gradients compared with other libraries, in f32. `scripts/loss_peers/make_fixtures.py` runs the libraries and writes the
//! fixture. With `COIN_WRITE_PEERS=FILE` the test writes the table of `docs/losses.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::activation::tanh;
use burn::tensor::{Bool, Device, Gradients, Int, Tensor, TensorData};
use coin_loss::{
    Batch, CoSentConfig, ConsistencyConfig, Direction, DistillationConfig, Distilled, Divergence, Encoded,
    GradientCache, GradientCacheError, Guide, Hardness, InfoNce, InfoNceConfig, Loss, Margin, Matryoshka, SigLip,
    SigLipConfig, Similarity, SupConConfig,
};
use serde::Deserialize;

/// The largest difference that is not a rounding error, relative to 1 plus the magnitude.
const TOLERANCE: f64 = 1e-5;

/// Cases that this crate computes differently, or not at all, with the reason.
const OTHERS: [(&str, &str); 13] = [
    ("gist/negative_margin_keeps_self", "a row is never a negative of itself"),
    ("clip_ranks/local_without_grad/rank0", "drops a part of the gradient"),
    ("clip_ranks/local_without_grad/rank1", "drops a part of the gradient"),
    ("directions/qd_dd_joint_shared_hard_2", "hard negatives are contrasted with anchors only"),
    ("directions/qd_qq_dd_joint_shared_hard_1", "hard negatives are contrasted with anchors only"),
    ("gte/all_shared_hard_1", "hard negatives are contrasted with anchors only"),
    ("gte/all_shared_hard_2", "hard negatives are contrasted with anchors only"),
    ("gte/positive_once", "the pair counts on both sides, as in the paper"),
    ("hardness/all_gte_hard_1", "hard negatives are contrasted with anchors only"),
    ("ntxent/two_of_three", "one term per positive pair; SupCon has one per row"),
    ("ntxent/unequal", "one term per positive pair; SupCon has one per row"),
    ("ntxent/unequal_and_singletons", "one term per positive pair; SupCon has one per row"),
    ("distill_kl/in_batch", "the candidates are hard negatives"),
];

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    peer: String,
    settings: serde_json::Value,
    inputs: BTreeMap<String, Array>,
    loss: f64,
    gradients: BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// The inputs of a case as leaves of a graph, `[rows, width]`.
struct Inputs<'a> {
    case: &'a Case,
    leaves: BTreeMap<&'a str, Tensor<2>>,
}

fn device() -> Device {
    Device::flex().autodiff()
}

impl<'a> Inputs<'a> {
    fn new(case: &'a Case) -> Self {
        let leaves = case.inputs.iter().map(|(name, array)| {
            let values: Vec<f32> = array.values.iter().map(|&value| value as f32).collect();
            let width = if array.shape.len() > 1 { array.shape[array.shape.len() - 1] } else { 1 };
            let data = TensorData::new(values, [array.values.len() / width, width]);
            (name.as_str(), Tensor::from_data(data, &device()).require_grad())
        });
        Inputs { case, leaves: leaves.collect() }
    }

    fn has(&self, name: &str) -> bool {
        self.leaves.contains_key(name)
    }

    fn matrix(&self, name: &str) -> Tensor<2> {
        self.leaves[name].clone()
    }

    /// `[n, k, d]`
    fn cube(&self, name: &str) -> Tensor<3> {
        let shape: [usize; 3] = self.case.inputs[name].shape.clone().try_into().expect("three dimensions");
        self.matrix(name).reshape(shape)
    }

    fn column(&self, name: &str) -> Tensor<1> {
        self.matrix(name).without_autodiff().flatten(0, 1)
    }

    fn number(&self, setting: &str) -> Option<f64> {
        self.case.settings[setting].as_f64()
    }

    fn text(&self, setting: &str) -> &str {
        self.case.settings[setting].as_str().unwrap_or_default()
    }

    fn flag(&self, setting: &str) -> bool {
        self.case.settings[setting].as_bool().unwrap_or_default()
    }

    fn list(&self, setting: &str) -> Vec<&str> {
        let list = self.case.settings[setting].as_array();
        list.into_iter().flatten().filter_map(serde_json::Value::as_str).collect()
    }

    fn similarity(&self) -> Similarity {
        if self.text("similarity") == "dot" { Similarity::Dot } else { Similarity::Cosine }
    }

    /// The one-sided InfoNCE of the case.
    fn info_nce(&self) -> InfoNceConfig {
        let temperature = match self.number("temperature").or(self.number("scale").map(f64::recip)) {
            Some(temperature) => temperature,
            None => self.case.inputs["logit_scale"].values[0].recip(),
        };
        let direction = match self.text("direction") {
            "symmetric" => Direction::Symmetric,
            _ => Direction::AnchorToPositive,
        };
        let config = InfoNceConfig::new().with_temperature(temperature).with_min_temperature(1e-4);
        config.with_direction(direction).with_similarity(self.similarity())
    }

    fn pairs(&self) -> Batch {
        Batch::pairs(self.matrix("anchor"), self.matrix("positive"))
    }

    /// The pairs with hard negatives: of the own row, or of all rows for every anchor.
    fn with_negatives(&self) -> Batch {
        let batch = self.pairs();
        match (self.has("hard"), self.text("hard_of")) {
            (false, _) => batch,
            (true, "own_row") => batch.with_hard_negatives(self.cube("hard")),
            (true, _) => batch.with_shared_negatives(self.matrix("hard")),
        }
    }
}

/// A case as this crate computes it.
struct Ours {
    /// The loss whose value is compared.
    loss: Tensor<1>,
    /// The loss whose gradients are compared.
    minimized: Tensor<1>,
    /// The loss's parameters, in the order of `logit_scale` and `logit_bias`.
    parameters: Parameters,
    /// The rows whose gradients are compared.
    rows: Option<Range<usize>>,
}

impl Ours {
    fn new(loss: &dyn Loss, batch: Batch) -> Self {
        let loss = loss.evaluate(batch).expect("a valid batch").loss;
        Ours { minimized: loss.clone(), loss, parameters: Parameters::None, rows: None }
    }

    /// A rank's share: the gradients of its rows are those of all ranks' losses.
    fn of_rank(inputs: &Inputs, loss: &dyn Loss, batch: &dyn Fn() -> Batch) -> Self {
        let number = |setting: &str| inputs.number(setting).expect("a number") as usize;
        let (rank, world_size) = (number("rank"), number("world_size"));
        let count = inputs.case.inputs["anchor"].shape[0] / world_size;
        let of = |rank: usize| {
            let batch = batch().with_rows(rank * count..(rank + 1) * count);
            loss.evaluate(batch).expect("a valid batch").loss
        };
        let all = (0..world_size).map(of).reduce(|sum, loss| sum + loss).expect("a rank");
        Ours {
            loss: of(rank),
            minimized: all,
            parameters: Parameters::None,
            rows: Some(rank * count..(rank + 1) * count),
        }
    }
}

/// Computes the case, or returns `None` if this crate has no such loss.
fn ours(inputs: &Inputs) -> Option<Ours> {
    let case = inputs.case;
    let (family, variant) = case.name.split_once('/').expect("family/variant");
    if OTHERS.iter().any(|(name, _)| case.name == *name || family == "ntxent" && case.name.starts_with(name)) {
        return None;
    }
    let info_nce = |config: InfoNceConfig, batch: Batch| Ours::new(&config.init().expect("valid settings"), batch);
    Some(match family {
        "info_nce" if inputs.has("logit_scale") => {
            let loss = inputs.info_nce().init_learnable(&device()).expect("valid settings");
            Ours { parameters: Parameters::InfoNce(loss.clone()), ..Ours::new(&loss, inputs.pairs()) }
        }
        "info_nce" => {
            let weight = inputs.number("hard_negative_weight").unwrap_or(1.0);
            info_nce(inputs.info_nce().with_hard_negative_weight(weight), inputs.with_negatives())
        }
        "queue" => {
            let batch = inputs.with_negatives().with_shared_negatives(inputs.matrix("queue"));
            // A queue alone: no row of the batch is a negative.
            let n = case.inputs["anchor"].shape[0];
            let alone = !inputs.flag("in_batch_negatives");
            let batch = if alone { batch.with_groups(Tensor::zeros([n], &device())) } else { batch };
            info_nce(inputs.info_nce(), batch)
        }
        "gist" => {
            let margin = inputs.number("margin").expect("a margin");
            let margin = if inputs.text("margin_strategy") == "relative" {
                Margin::Relative(margin)
            } else {
                Margin::Absolute(margin)
            };
            let guide = Guide {
                anchor: inputs.matrix("guide_anchor"),
                positive: inputs.matrix("guide_positive"),
                hard_negatives: None,
                shared_negatives: inputs.leaves.get("guide_hard").cloned(),
            };
            let config = inputs.info_nce().with_contrast_anchors(inputs.flag("contrast_anchors"));
            let batch = inputs.with_negatives().with_guide(&guide, margin).expect("a valid guide");
            info_nce(config.with_contrast_positives(inputs.flag("contrast_positives")), batch)
        }
        "clip_ranks" => {
            let loss = inputs
                .info_nce()
                .with_direction(Direction::Symmetric)
                .init_learnable(&device())
                .expect("valid settings");
            let of_rank = Ours::of_rank(inputs, &loss, &|| inputs.pairs());
            match inputs.flag("local_loss") {
                true => of_rank,
                // Every rank computes the loss of all rows. If gradients cross ranks, each row gets them once from every rank.
                false => {
                    let whole = Ours::new(&loss, inputs.pairs());
                    let factor = if inputs.flag("gather_with_grad") { 2.0 } else { 1.0 };
                    Ours { minimized: whole.minimized * factor, rows: of_rank.rows, ..whole }
                }
            }
        }
        "ranking_ranks" => {
            let loss = inputs.info_nce().init().expect("valid settings");
            Ours::of_rank(inputs, &loss, &|| inputs.with_negatives())
        }
        "siglip" | "siglip_ranks" => {
            let value = |name: &str| case.inputs[name].values[0];
            let config = SigLipConfig::new().with_scale(value("logit_scale")).with_bias(value("logit_bias"));
            let loss = config.init_learnable(&device()).expect("valid settings");
            match family {
                "siglip" => Ours { parameters: Parameters::SigLip(loss.clone()), ..Ours::new(&loss, inputs.pairs()) },
                _ => Ours::of_rank(inputs, &loss, &|| inputs.pairs()),
            }
        }
        "directions" | "gte" | "hardness" => {
            let directions = inputs.list("directions");
            let has = |name: &str| directions.contains(&name);
            let direction = match (has("doc_to_query"), inputs.text("partition_mode")) {
                (false, _) => Direction::AnchorToPositive,
                (true, "joint") => Direction::Joint,
                (true, _) => Direction::Symmetric,
            };
            let of = match inputs.text("hardness_mode") {
                "in_batch_negatives" => Hardness::InBatch,
                "hard_negatives" => Hardness::Hard,
                _ => Hardness::All,
            };
            let config = inputs.info_nce().with_direction(direction).with_contrast_anchors(has("query_to_query"));
            let config = config.with_contrast_positives(has("doc_to_doc")).with_hardness_of(of);
            let config = config.with_hardness(inputs.number("hardness_strength").unwrap_or(0.0));
            // Of the hard negatives of all rows, an anchor's own are harder.
            let batch = match family == "hardness" && inputs.has("hard") {
                true => {
                    let [n, k, _] = inputs.cube("hard").dims();
                    let own: Vec<bool> = (0..n * n * k).map(|at| at / (n * k) == at % (n * k) / k).collect();
                    let own = Tensor::<2, Bool>::from_data(TensorData::new(own, [n, n * k]), &device());
                    let batch = inputs.with_negatives().with_shared_excluded(own);
                    batch.with_hard_negatives(inputs.cube("hard"))
                }
                false => inputs.with_negatives(),
            };
            info_nce(config, batch)
        }
        "supcon" => {
            let groups: Vec<i32> = case.inputs["groups"].values.iter().map(|&group| group as i32).collect();
            let groups = Tensor::<1, Int>::from_data(groups.as_slice(), &device());
            let config = SupConConfig::new().with_temperature(inputs.number("temperature").expect("a temperature"));
            let loss = config.with_similarity(inputs.similarity()).init().expect("valid settings");
            Ours::new(&loss, Batch::labeled(inputs.matrix("rows"), groups))
        }
        "cosent" | "angle" => {
            let config = if family == "angle" { CoSentConfig::angle() } else { CoSentConfig::new() };
            let loss = config.with_scale(inputs.number("scale").expect("a scale")).init().expect("valid settings");
            let batch = match inputs.has("scores") {
                true => inputs.pairs().with_scores(inputs.column("scores")),
                // Positives are similar, hard negatives are not.
                false => {
                    let [n, k, _] = inputs.cube("hard").dims();
                    let hard = (0..k).map(|at| inputs.cube("hard").narrow(1, at, 1).squeeze_dim::<2>(1));
                    let columns: Vec<Tensor<2>> = std::iter::once(inputs.matrix("positive")).chain(hard).collect();
                    let anchors = Tensor::cat(vec![inputs.matrix("anchor"); 1 + k], 0);
                    let scores: Vec<f32> = (0..n * (1 + k)).map(|at| if at < n { 1.0 } else { 0.0 }).collect();
                    Batch::pairs(anchors, Tensor::cat(columns, 0))
                        .with_scores(Tensor::from_floats(scores.as_slice(), &device()))
                }
            };
            Ours::new(&loss, batch)
        }
        "margin_mse" | "distill_kl" => {
            let config = DistillationConfig::new().with_similarity(inputs.similarity());
            let config = match inputs.number("student_temperature") {
                Some(temperature) => config
                    .with_distilled(Distilled::Distribution)
                    .with_temperature(temperature)
                    .with_teacher_temperature(inputs.number("teacher_temperature")),
                None => config,
            };
            let teacher = inputs.matrix("teacher").without_autodiff();
            let teacher = match inputs.text("teacher") {
                // A margin is what the positive scores above a negative.
                "margins" => Tensor::cat(vec![teacher.clone().narrow(1, 0, 1) * 0.0, teacher.neg()], 1),
                _ => teacher,
            };
            let batch = inputs.pairs().with_hard_negatives(inputs.cube("hard")).with_teacher_scores(teacher);
            Ours::new(&config.init().expect("valid settings"), batch)
        }
        "matryoshka" => {
            let dims: Vec<usize> = serde_json::from_value(case.settings["dims"].clone()).expect("dims");
            let weights: Vec<f64> = serde_json::from_value(case.settings["weights"].clone()).expect("weights");
            let (inner, batch): (Box<dyn Loss>, Batch) = match inputs.has("scores") {
                true => {
                    let config = CoSentConfig::new().with_scale(inputs.number("scale").expect("a scale"));
                    (
                        Box::new(config.init().expect("valid settings")),
                        inputs.pairs().with_scores(inputs.column("scores")),
                    )
                }
                false => (Box::new(inputs.info_nce().init().expect("valid settings")), inputs.with_negatives()),
            };
            Ours::new(&Matryoshka::new(inner, &dims, &weights).expect("valid widths"), batch)
        }
        "consistency" => {
            let divergence =
                if variant.starts_with("js") { Divergence::JensenShannon } else { Divergence::SymmetricKl };
            let batch = Batch::pairs(inputs.matrix("first"), inputs.matrix("second"));
            let batch = match inputs.text("reduction") {
                "mean" => batch,
                reduction => {
                    let weights = inputs.column("row_weights");
                    let n = weights.dims()[0] as f64;
                    let by_weights = reduction == "weighted_mean_over_weights";
                    batch.with_row_weights(if by_weights { weights.clone() * n / weights.sum() } else { weights })
                }
            };
            Ours::new(&ConsistencyConfig::new().with_divergence(divergence).init().expect("valid settings"), batch)
        }
        _ => panic!("{}: no loss is known for this case", case.name),
    })
}

/// The parameters of a loss.
enum Parameters {
    None,
    InfoNce(InfoNce),
    SigLip(SigLip),
}

impl Parameters {
    /// Their gradients.
    fn read(&self, gradients: &mut Gradients) -> Vec<f64> {
        match self {
            Parameters::None => Vec::new(),
            Parameters::InfoNce(loss) => read(loss, gradients),
            Parameters::SigLip(loss) => read(loss, gradients),
        }
    }
}

fn read<M: Module>(module: &M, gradients: &mut Gradients) -> Vec<f64> {
    struct Read(GradientsParams, Vec<f64>);
    impl ModuleVisitor for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id).expect("every parameter has a gradient");
            self.1.extend(gradient.try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from));
        }
    }
    let mut read = Read(GradientsParams::from_module(gradients, module), Vec::new());
    module.visit(&mut read);
    read.1
}

/// The largest differences of a case in value and in gradient, relative to 1 plus the magnitude.
fn differences(case: &Case) -> Option<(f64, f64)> {
    let inputs = Inputs::new(case);
    let ours = ours(&inputs)?;
    let value = f64::from(ours.loss.into_scalar::<f32>());
    let mut gradients = ours.minimized.backward();
    let off = |ours: f64, theirs: f64| (ours - theirs).abs() / (1.0 + theirs.abs());
    let mut largest = 0.0f64;
    for (name, expected) in case.gradients.iter().filter(|(name, _)| !name.starts_with("logit_")) {
        let gradient = inputs.leaves[name.as_str()].grad(&gradients);
        let gradient = gradient.unwrap_or_else(|| panic!("{}: no gradient of {name}", case.name));
        let gradient = match &ours.rows {
            // Rows of the batch, or several for each.
            Some(rows) => {
                let per_row = gradient.dims()[0] / case.inputs["anchor"].shape[0];
                gradient.narrow(0, rows.start * per_row, rows.len() * per_row)
            }
            None => gradient,
        };
        let gradient = gradient.try_into_vec_as::<f32>().unwrap();
        assert_eq!(gradient.len(), expected.values.len(), "{}: {name}", case.name);
        for (ours, theirs) in gradient.into_iter().zip(&expected.values) {
            largest = largest.max(off(f64::from(ours), *theirs));
        }
    }
    for (gradient, name) in ours.parameters.read(&mut gradients).into_iter().zip(["logit_scale", "logit_bias"]) {
        // Ours is the gradient of the scale's logarithm.
        let factor = if name == "logit_scale" { case.inputs[name].values[0] } else { 1.0 };
        largest = largest.max(off(gradient / factor, case.gradients[name].values[0]));
    }
    Some((off(value, case.loss), largest))
}

#[test]
fn losses_and_gradients_are_those_of_other_libraries() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/peers.json")).expect("a valid fixture");
    let mut families = BTreeMap::<(String, String), (usize, f64, f64)>::new();
    let (mut wrong, mut others) = (Vec::new(), Vec::new());
    for case in fixture.cases.iter().filter(|case| !case.name.starts_with("grad_cache/")) {
        let Some((value, gradient)) = differences(case) else {
            others.push(case.name.as_str());
            continue;
        };
        // NaN is not below the tolerance.
        if !(value < TOLERANCE && gradient < TOLERANCE) {
            wrong.push(format!("{}: value {value:e}, gradient {gradient:e}", case.name));
        }
        let (family, _) = case.name.split_once('/').expect("family/variant");
        let peer = case.peer.split(':').next().unwrap_or_default();
        let (count, values, gradients) = families.entry((family.to_owned(), peer.to_owned())).or_default();
        (*count, *values, *gradients) = (*count + 1, values.max(value), gradients.max(gradient));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(others.len() < 20 && fixture.cases.len() > 120, "{others:?}");
    if let Ok(file) = std::env::var("COIN_WRITE_PEERS") {
        let mut table =
            "| loss | compared with | cases | largest difference in value | in a gradient |\n|---|---|---|---|---|\n"
                .to_owned();
        for ((family, peer), (count, value, gradient)) in families {
            writeln!(table, "| `{family}` | {peer} | {count} | {value:.0e} | {gradient:.0e} |").expect("text");
        }
        std::fs::write(file, table).expect("the table can be written");
    }
}

/// The encoder of the cases with gradient caching: `tanh(x w1 + b1) w2 + b2`.
#[derive(Module, Debug)]
struct Encoder {
    w1: Param<Tensor<2>>,
    b1: Param<Tensor<2>>,
    w2: Param<Tensor<2>>,
    b2: Param<Tensor<2>>,
}

impl Encoder {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let row = |bias: &Param<Tensor<2>>| bias.val().transpose();
        tanh(rows.matmul(self.w1.val()) + row(&self.b1)).matmul(self.w2.val()) + row(&self.b2)
    }
}

#[test]
fn cached_gradients_are_those_of_the_whole_batch_in_pytorch() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/peers.json")).expect("a valid fixture");
    let cases: Vec<&Case> = fixture.cases.iter().filter(|case| case.name.starts_with("grad_cache/")).collect();
    assert_eq!(cases.len(), 2);
    for (case, micro_batch) in cases.into_iter().flat_map(|case| [1, 3, 7].map(|size| (case, size))) {
        let inputs = Inputs::new(case);
        let parameter = |name: &str| Param::from_tensor(inputs.matrix(name).detach());
        let names = ["w1", "b1", "w2", "b2"];
        let [w1, b1, w2, b2] = names.map(parameter);
        let ids = [w1.id, b1.id, w2.id, b2.id];
        let encoder = Encoder { w1, b1, w2, b2 };
        let loss = inputs.info_nce().init().expect("valid settings");
        let views = [inputs.matrix("anchor"), inputs.matrix("positive")].map(|view| view.set_require_grad(false));
        let cached = GradientCache::new(micro_batch, 1)
            .gradients(
                &encoder,
                7,
                |encoder, part| {
                    let rows = |view: &Tensor<2>| view.clone().narrow(0, part.items.start, part.len());
                    Ok::<_, GradientCacheError>(Encoded::new(views.each_ref().map(|view| encoder.forward(rows(view)))))
                },
                |batch| {
                    let [anchor, positive] = batch.embeddings;
                    let output = loss.forward(anchor, positive, None);
                    Ok((output.loss.clone(), output.loss.into_scalar::<f32>()))
                },
            )
            .expect("a valid batch");
        assert!((f64::from(cached.output) - case.loss).abs() < TOLERANCE * (1.0 + case.loss), "{}", case.name);
        for (id, name) in ids.into_iter().zip(names) {
            let gradient = cached.gradients.get::<2>(id).expect("a gradient").try_into_vec_as::<f32>().unwrap();
            for (ours, theirs) in gradient.into_iter().zip(&case.gradients[name].values) {
                assert!((f64::from(ours) - theirs).abs() < TOLERANCE * (1.0 + theirs.abs()), "{}: {name}", case.name);
            }
        }
    }
}

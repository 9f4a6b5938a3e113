//! A text encoder for search, trained with negatives that it mines itself.
//!
//! Shows: tokens to one vector with `Pooling`; InfoNCE from query to document with hard negatives: before each round, the wrong
//!          documents that the encoder ranks highest; recall@1 of unseen queries. The program depends on `burn` and `coin-loss` only.
//! Command: `cargo run --release -p coin-loss --example text_retrieval`
//! Output:  Ends with an error if the loss did not fall or recall did not rise.
//! ```text
//! round    loss   recall@1 of unseen queries
//! before            0.0%
//!     1   1.956    58.0%
//!     2   0.942    94.6%
//!     3   0.575    99.1%
//!     4   0.394   100.0%
//! ```
//!          Without `with_hard_negatives` the last line has 95.5%. Less than a second, even in a development build.

use std::collections::HashMap;
use std::iter::repeat;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use coin_loss::{Batch, Direction, InfoNceConfig, Pooling};

/// Words of documents, and after the slash the words of queries, which share none.
const PEOPLE: &str = "doctor/medic child/kid robber/thief teacher/tutor pal/friend writer/author boss/chief cook/chef";
const VERBS: &str = "calls/phones helps/aids sees/spots follows/trails likes/adores pays/rewards hits/beats asks/begs";
const TOKENS: usize = 6;
const ROUNDS: usize = 4;
const BATCH: usize = 16;
const MINED: usize = 4;
const WIDTH: usize = 32;

/// All 448 documents and a query for each. Who does something to whom is only in the order of the words.
fn texts() -> [Vec<String>; 2] {
    let pairs = |words: &'static str| words.split(' ').map(|pair| pair.split_once('/').expect("a pair of words"));
    let (mut documents, mut queries) = (Vec::new(), Vec::new());
    for who in pairs(PEOPLE) {
        for does in pairs(VERBS) {
            for whom in pairs(PEOPLE).filter(|&whom| whom != who) {
                documents.push(format!("the {} {} the old {}", who.0, does.0, whom.0));
                queries.push(format!("which {} {} a {}", who.1, does.1, whom.1));
            }
        }
    }
    [documents, queries]
}

/// Token ids, `[texts, TOKENS]`. 0 is padding.
fn tokenize(texts: &[String], vocabulary: &mut HashMap<String, i64>, device: &Device) -> Tensor<2, Int> {
    let mut ids = Vec::new();
    for word in texts.iter().flat_map(|text| text.split(' ').chain(repeat("")).take(TOKENS)) {
        let new = vocabulary.len() as i64;
        ids.push(*vocabulary.entry(word.to_owned()).or_insert(new));
    }
    Tensor::from_data(TensorData::new(ids, [texts.len(), TOKENS]), device)
}

#[derive(Module, Debug)]
struct Encoder {
    tokens: Embedding,
    positions: Embedding,
    output: Linear,
}

impl Encoder {
    /// The texts at `index`, `[texts]`, to `[texts, WIDTH]`.
    fn forward(&self, ids: &Tensor<2, Int>, index: Tensor<1, Int>) -> Tensor<2> {
        let ids = ids.clone().select(0, index);
        let positions = Tensor::<1, Int>::arange(0..TOKENS as i64, &ids.device()).unsqueeze();
        let hidden = (self.tokens.forward(ids.clone()) + self.positions.forward(positions)).tanh();
        self.output.forward(Pooling::AverageAll.forward(hidden, ids.not_equal_elem(0)))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex().autodiff();
    device.seed(42);
    let mut vocabulary = HashMap::from([(String::new(), 0)]);
    let [documents, queries] = texts().map(|texts| tokenize(&texts, &mut vocabulary, &device));
    let count = queries.dims()[0];
    let index = |items: &[i64]| Tensor::<1, Int>::from_data(items, &device);
    // A fixed shuffle; the last quarter of the queries is never trained on. Their documents are in the corpus.
    let shuffled: Vec<i64> = (0..count).map(|at| (at * 197 % count) as i64).collect();
    let (seen, unseen) = shuffled.split_at(count * 3 / 4);
    let mut encoder = Encoder {
        tokens: EmbeddingConfig::new(vocabulary.len(), WIDTH).init(&device),
        positions: EmbeddingConfig::new(TOKENS, WIDTH).init(&device),
        output: LinearConfig::new(WIDTH, WIDTH).init(&device),
    };
    // The cosines of some queries and all documents, without a graph.
    let all: Vec<i64> = (0..count as i64).collect();
    let scores = |encoder: &Encoder, items: &[i64]| {
        let unit = |rows: Tensor<2>| rows.clone() / rows.square().sum_dim(1).sqrt();
        let [query, document] = [(&queries, items), (&documents, &all)].map(|(of, at)| encoder.forward(of, index(at)));
        unit(query.without_autodiff()).matmul(unit(document.without_autodiff()).transpose())
    };
    let recall_at_1 = |encoder: &Encoder| {
        let nearest = scores(encoder, unseen).argmax(1).squeeze_dim::<1>(1);
        nearest.equal(index(unseen).without_autodiff()).float().mean().into_scalar::<f32>()
    };
    let loss = InfoNceConfig::new().with_temperature(0.1).with_direction(Direction::AnchorToPositive).init()?;
    let mut optimizer = AdamWConfig::new().init();
    let (before, mut losses) = (recall_at_1(&encoder), Vec::new());
    println!("round    loss   recall@1 of unseen queries\nbefore          {:5.1}%", 100.0 * before);
    for round in 1..=ROUNDS {
        // The MINED best documents of each query, except its own, [queries, MINED].
        let scores = scores(&encoder, &all);
        let own = Tensor::<2, Bool>::diag_mask([count, count], 0, &scores.device()).bool_not();
        let (_, mined) = scores.mask_fill(own, -2.0).topk_with_indices(MINED, 1);
        let mut sum = 0.0;
        for items in seen.chunks(BATCH) {
            let hard = mined.clone().select(0, index(items).without_autodiff()).flatten(0, 1);
            let hard = encoder.forward(&documents, hard).reshape([items.len(), MINED, WIDTH]);
            let [query, document] = [&queries, &documents].map(|of| encoder.forward(of, index(items)));
            let output = loss.forward_batch(Batch::pairs(query, document).with_hard_negatives(hard));
            sum += output.loss.clone().into_scalar::<f32>() * items.len() as f32;
            let gradients = GradientsParams::from_grads(output.loss.backward(), &encoder);
            encoder = optimizer.step(1e-2, encoder, gradients);
        }
        losses.push(sum / seen.len() as f32);
        println!("{round:5}  {:6.3}   {:5.1}%", losses[round - 1], 100.0 * recall_at_1(&encoder));
    }
    if losses[ROUNDS - 1] > losses[0] / 2.0 || recall_at_1(&encoder) < before + 0.5 {
        return Err("the encoder did not learn".into());
    }
    Ok(())
}

//! Compares small random models of every supported kind with transformers and PEFT. `fixtures/make.py` computes the expected
//! values in f64.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use coin_model::generate::{Continuation, GenerateOptions, generate};
use coin_model::{Llama, LlamaConfig, PaddingSide, TokenBatch, WeightFormat, adapter, checkpoint};
use safetensors::SafeTensors;
use serde_json::Value;

/// Tolerance for logits with a standard deviation of at least 2; transformers in f32 stays within 8e-6.
const TOLERANCE: f64 = 1e-4;

/// One fixture.
struct Case {
    name: String,
    folder: PathBuf,
    expected: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn read_tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path).unwrap();
    let parsed = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |bytes: &[u8]| bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    parsed.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), floats(view.data())))).collect()
}

impl Case {
    fn all() -> Vec<Case> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.join("expected.json").exists());
        folders.sort();
        let case = |folder: PathBuf| Case {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            expected: serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap(),
            tensors: read_tensors(&folder.join("expected.safetensors")),
            folder,
        };
        let cases: Vec<Case> = folders.into_iter().map(case).collect();
        assert!(cases.len() >= 12);
        cases
    }

    fn rows(&self) -> Vec<Vec<u32>> {
        self.expected["rows"].as_array().unwrap().iter().map(ids).collect()
    }

    fn model(&self, device: &Device) -> Llama {
        let loaded = checkpoint::load(&self.folder.join("model"), WeightFormat::default(), device).unwrap();
        assert!(loaded.not_finite.is_empty());
        loaded.model
    }

    fn adapted(&self, device: &Device) -> Llama {
        adapter::load(self.model(device), &self.folder.join("adapter")).unwrap()
    }

    /// The largest absolute distance of hidden states and of logits from the expected ones. `kind` is `base` or
    /// `adapter`, and `order[i]` is the fixture row at row i of the batch.
    fn distance(&self, kind: &str, model: &Llama, batch: &TokenBatch, order: &[usize]) -> (f64, f64) {
        let hidden = model.hidden(batch, None, None);
        let width = hidden.dims()[2];
        let mut largest = (0f64, 0f64);
        for (at, &row) in order.iter().enumerate() {
            let start = batch.spans[at].start as u32;
            let positions: Vec<i32> =
                ids(&self.expected["positions"][row]).into_iter().map(|position| (start + position) as i32).collect();
            let positions = Tensor::<1, Int>::from_data(positions.as_slice(), &hidden.device());
            let states = hidden.clone().narrow(0, at, 1).reshape([batch.seq, width]).select(0, positions);
            let logits = model.logits(states.clone()).try_into_vec_as::<f32>().unwrap();
            let states = states.try_into_vec_as::<f32>().unwrap();
            let far = |ours: &[f32], name: &str| {
                let (_, theirs) = &self.tensors[&format!("{kind}.{name}.{row}")];
                assert_eq!(ours.len(), theirs.len());
                ours.iter().zip(theirs).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
            };
            largest.0 = largest.0.max(far(&states, "hidden"));
            largest.1 = largest.1.max(far(&logits, "logits"));
        }
        largest
    }
}

#[test]
fn logits_and_hidden_states_match_transformers() {
    let device = Device::flex();
    for case in Case::all() {
        let rows = case.rows();
        for (kind, model) in [("base", case.model(&device)), ("adapter", case.adapted(&device))] {
            let eight = [0, 1, 2, 0, 2, 1, 1, 0];
            let many: Vec<Vec<u32>> = eight.iter().map(|&row| rows[row].clone()).collect();
            let mut batches = vec![
                (TokenBatch::padded(&many, PaddingSide::Left, 0, 8, &device).unwrap(), eight.to_vec()),
                (TokenBatch::padded(&many, PaddingSide::Right, 5, 1, &device).unwrap(), eight.to_vec()),
            ];
            for (row, tokens) in rows.iter().enumerate() {
                let alone = TokenBatch::left_padded(std::slice::from_ref(tokens), 0, 1, &device).unwrap();
                batches.push((alone, vec![row]));
            }
            let mut largest = (0f64, 0f64);
            for (batch, order) in &batches {
                let (hidden, logits) = case.distance(kind, &model, batch, order);
                largest = (largest.0.max(hidden), largest.1.max(logits));
            }
            println!("{:20} {kind:8} hidden {:.1e}, logits {:.1e}", case.name, largest.0, largest.1);
            assert!(largest.0 < TOLERANCE && largest.1 < TOLERANCE, "{} {kind}: {largest:?}", case.name);
        }
    }
}

#[test]
fn gradients_of_every_factor_match_peft() {
    let device = Device::flex().autodiff();
    for case in Case::all() {
        let model = case.adapted(&device);
        let rows = case.rows();
        let batch = TokenBatch::left_padded(&rows, 0, 1, &device).unwrap();
        let loss = |hidden: Tensor<3>| {
            let [count, seq, width] = hidden.dims();
            let (mut places, mut targets) = (Vec::new(), Vec::new());
            for (row, tokens) in rows.iter().enumerate() {
                for (at, &token) in tokens.iter().enumerate().skip(1) {
                    places.push((row * seq + batch.spans[row].start + at - 1) as i32);
                    targets.push([token as i32]);
                }
            }
            let places = Tensor::<1, Int>::from_data(places.as_slice(), &device);
            let targets = Tensor::<1, Int>::from_data(targets.as_flattened(), &device).unsqueeze_dim(1);
            let logits = model.logits(hidden.reshape([count * seq, width]).select(0, places));
            log_softmax(logits, 1).gather(1, targets).neg().mean()
        };
        let plain = loss(model.hidden(&batch, None, None));
        let value = f64::from(plain.clone().into_scalar::<f32>());
        assert!((value - case.expected["loss"].as_f64().unwrap()).abs() < 1e-5, "{}", case.name);
        let (hidden, tape) = model.hidden_checkpointed(&batch, None);
        let ways = [
            ("kept", GradientsParams::from_grads(plain.backward(), &model)),
            ("recomputed", tape.backward(&model, loss(hidden).backward())),
        ];
        for (way, mut gradients) in ways {
            let mut worst = 0f64;
            let mut seen = 0;
            for (name, factors) in adapter::factors(&model) {
                for (factor, param) in ["lora_A", "lora_B"].into_iter().zip(factors) {
                    let ours = gradients.remove::<2>(param.id).unwrap().transpose().try_into_vec_as::<f32>().unwrap();
                    let (_, theirs) = &case.tensors[&format!("grad.base_model.model.{name}.{factor}.weight")];
                    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
                    let apart = norm(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(a - b)));
                    worst = worst.max(apart / norm(&mut theirs.iter().map(|v| f64::from(*v))));
                    seen += 1;
                }
            }
            assert_eq!(seen, case.tensors.keys().filter(|name| name.starts_with("grad.")).count(), "{}", case.name);
            println!("{:20} {way:10} gradients {worst:.1e}", case.name);
            assert!(worst < 1e-3, "{} {way}: {worst}", case.name);
        }
    }
}

#[test]
fn greedy_ids_match_transformers_alone_and_in_a_batch() {
    let device = Device::flex();
    for case in Case::all() {
        let model = case.adapted(&device);
        let greedy = &case.expected["greedy"];
        let expected = ids(&greedy["ids"]);
        let rows = case.rows();
        let prompt = rows[0][..greedy["prompt"].as_u64().unwrap() as usize].to_vec();
        // Seven shorter and longer prompts, some of which share a prefix with it.
        let mut prompts = vec![prompt.clone()];
        prompts.extend([3, 9, 15, 20, 31, 40].map(|length| rows[1][..length].to_vec()));
        prompts.push(prompt[..7].to_vec());
        let options = GenerateOptions {
            max_new_tokens: expected.len(),
            batch_size: 8,
            threads: 1,
            eos: Vec::new(),
            hidden: false,
            memory: None,
            sampling: None,
        };
        let run = |prompts: &[Vec<u32>], options: &GenerateOptions| generate(&model, prompts, options, |_, _| false);
        let alone = run(std::slice::from_ref(&prompt), &options).unwrap();
        assert_eq!(alone[0].ids, expected, "{}", case.name);
        let together = run(&prompts, &options).unwrap();
        assert_eq!(together[0].ids, expected, "{}", case.name);
        let one_by_one: Vec<Continuation> =
            prompts.iter().flat_map(|prompt| run(std::slice::from_ref(prompt), &options).unwrap()).collect();
        for (row, alone) in together.iter().zip(&one_by_one) {
            assert_eq!(row.ids, alone.ids, "{}", case.name);
            // The difference of two logits of order 1, with sums in a different order.
            assert!((row.margin - alone.margin).abs() < 1e-5, "{}: {} {}", case.name, row.margin, alone.margin);
        }
        // transformers counts the end id as output; this project does not.
        let ending = GenerateOptions { eos: ids(&greedy["eos"]), ..options };
        let until = greedy["until_eos"].as_u64().unwrap() as usize;
        let ended = run(&prompts, &ending).unwrap();
        let cut = if ending.eos.contains(&expected[until - 1]) { until - 1 } else { until };
        assert_eq!(ended[0].ids, expected[..cut], "{}", case.name);
    }
}

#[test]
fn a_saved_folder_round_trips() {
    let device = Device::flex();
    let dir = tempfile::tempdir().unwrap();
    for case in Case::all() {
        let model = case.adapted(&device);
        let lora = adapter::read_config(&case.folder.join("adapter")).unwrap();
        let (base, adapter_dir) = (dir.path().join(&case.name), dir.path().join(&case.name).join("adapter"));
        checkpoint::save(&model, &base, coin_model::FloatType::F32).unwrap();
        adapter::save(&model, &lora, None, &adapter_dir).unwrap();
        // If PEFT wrote f32 safetensors, names, shapes and values match PEFT's.
        let theirs = case.folder.join("adapter/adapter_model.safetensors");
        if theirs.exists() && case.name != "llama31-wide-heads" {
            let ours = read_tensors(&adapter_dir.join("adapter_model.safetensors"));
            assert_eq!(ours, read_tensors(&theirs), "{}", case.name);
        }
        assert_eq!(adapter::read_config(&adapter_dir).unwrap(), lora);
        assert_eq!(LlamaConfig::read(&base).unwrap(), *model.config());
        let again = checkpoint::load(&base, WeightFormat::default(), &device).unwrap().model;
        let again = adapter::load(again, &adapter_dir).unwrap();
        let batch = TokenBatch::left_padded(&case.rows(), 0, 1, &device).unwrap();
        let order = [0, 1, 2];
        let first = case.distance("adapter", &model, &batch, &order);
        assert_eq!(case.distance("adapter", &again, &batch, &order), first, "{}", case.name);
    }
}

#[test]
fn merged_weights_match_the_adapter() {
    let device = Device::flex();
    for case in Case::all() {
        let batch = TokenBatch::left_padded(&case.rows(), 0, 1, &device).unwrap();
        let (merged, difference) = adapter::merge(case.adapted(&device), &batch).unwrap();
        // The same sums in a different order.
        assert!(difference < 5e-4, "{}: {difference}", case.name);
        let (hidden, logits) = case.distance("adapter", &merged, &batch, &[0, 1, 2]);
        println!("{:20} merged: hidden {hidden:.1e}, logits {logits:.1e}", case.name);
        assert!(hidden < TOLERANCE && logits < TOLERANCE, "{}: {hidden} {logits}", case.name);
    }
}

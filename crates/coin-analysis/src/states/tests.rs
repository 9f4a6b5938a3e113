use super::*;

fn label(level: &str, row: usize) -> StateLabel<'_> {
    StateLabel { task: "cola", level, instruction: 1, row, gold: row % 2, predicted: Some(-1) }
}

fn states() -> Representations {
    let mut states = Representations::new("a \"model\"");
    for level in ["clean", "semantic"] {
        for row in [4, 9] {
            states.push(&label(level, row), &[row as f32, -0.1, f32::MIN_POSITIVE]).unwrap();
        }
    }
    states.push(&StateLabel { task: "sst2", ..label("clean", 4) }, &[1.0, 2.0, 3.0]).unwrap();
    states
}

/// The error of reading the file after `change`.
fn fault(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("states.safetensors");
    states().write(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let error = Representations::read(&path).unwrap_err().to_string();
    error.strip_prefix(&format!("{}: ", path.display())).expect("the path comes first").to_owned()
}

/// Replaces a text in the header with one of the same length.
fn edit(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}

#[test]
fn a_stream_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, stream) = (folder.path().join("whole"), folder.path().join("stream"));
    let states = states();
    states.write(&whole).unwrap();
    let mut writer = RepresentationWriter::create(&stream, states.model()).unwrap();
    for (index, label) in states.labels().enumerate() {
        writer.push(&label, states.state(index)).unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    writer.finish().unwrap();
    assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&stream).unwrap());
    assert_eq!(Representations::read(&stream).unwrap(), states);
}

#[test]
fn the_safetensors_crate_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("states.safetensors");
    states().write(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let hidden = file.tensor("hidden").unwrap();
    assert_eq!((hidden.dtype(), hidden.shape()), (safetensors::Dtype::F32, [5, 3].as_slice()));
    assert_eq!(hidden.data()[..4], 4f32.to_le_bytes());
    let rows: Vec<u8> = [4i64, 9, 4, 9, 4].iter().flat_map(|row| row.to_le_bytes()).collect();
    assert_eq!(file.tensor("row").unwrap().data(), rows);
    let start = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(start % 8, 0, "tensors are aligned");
}

#[test]
fn half_precision_is_read() {
    // 1.5, -2, 0.25 and so on are exact in 16 bits.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let mut states = Representations::new("m");
    states.push(&label("clean", 0), &[1.5, -2.0, 0.25, 8.0]).unwrap();
    states.write(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for (name, halves) in [
        ("F16", states.state(0).iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect::<Vec<_>>()),
        ("BF1", states.state(0).iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect()),
    ] {
        let mut bytes = whole[..whole.len() - 16].to_vec();
        // `BF16` is one character longer than `F32`, so the header grows by one byte.
        match name {
            "F16" => edit(&mut bytes, "\"F32\"", "\"F16\""),
            _ => {
                let at = bytes.windows(5).position(|window| window == b"\"F32\"").unwrap();
                bytes.splice(at..at + 5, *b"\"BF16\"");
                let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) + 1;
                bytes[..8].copy_from_slice(&length.to_le_bytes());
            }
        }
        edit(&mut bytes, "[48,64]", "[48,56]");
        bytes.extend(halves);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Representations::read(&path).unwrap(), states, "{name}");
    }
}

#[test]
fn errors_name_the_fault() {
    assert_eq!(fault(|bytes| bytes.truncate(5)), "is truncated or not a safetensors file: 5 bytes");
    assert!(fault(|bytes| bytes.truncate(100)).starts_with("is truncated or not a safetensors file: a header of"));
    let cut = fault(|bytes| bytes.truncate(bytes.len() - 4));
    assert_eq!(cut, "is truncated or not a safetensors file: 296 bytes of tensors, expected 300");
    let long = fault(|bytes| bytes.extend([0; 4]));
    assert_eq!(long, "is truncated or not a safetensors file: 304 bytes of tensors, expected 300");
    assert!(fault(|bytes| bytes[8] = b'?').starts_with("invalid safetensors header: "));
    assert_eq!(fault(|bytes| edit(bytes, "\"row\"", "\"raw\"")), "the tensor `row` is missing");
    assert_eq!(fault(|bytes| edit(bytes, "\"F32\"", "\"I32\"")), "`hidden` is I32, expected F32, F16 or BF16");
    assert_eq!(fault(|bytes| edit(bytes, "[5,3]", "[3,5]")), "`pred` is I64 [5], expected I64 [3]");
    assert_eq!(fault(|bytes| edit(bytes, "[5,3]", "[ 15]")), "`hidden` has shape [15], expected [n, d_model]");
    let wrong = fault(|bytes| edit(bytes, "coin.representations", "coin.representatives"));
    assert_eq!(wrong, "is `coin.representatives` version 1, expected `coin.representations` version 1");
    assert_eq!(fault(|bytes| edit(bytes, "\"levels\":", "\"levals\":")), "`levels` is missing from the metadata");
    let unknown = fault(|bytes| edit(bytes, r#"[\"cola\",\"sst2\"]"#, r#"[\"cola\"         ]"#));
    assert_eq!(unknown, "`task` of state 4 is 1, which does not have a name");
    // The last coordinate of the last state.
    let nan = fault(|bytes| bytes.splice(bytes.len() - 4.., f32::NAN.to_le_bytes()).for_each(drop));
    assert_eq!(nan, "state 4 is not finite");
    let error = Representations::read("no/such.safetensors").unwrap_err().to_string();
    assert!(error.starts_with("cannot access no/such.safetensors: "), "{error}");
}

#[test]
fn invalid_states_are_rejected() {
    let mut states = states();
    let mut refused = |label: &StateLabel, state: &[f32]| states.push(label, state).unwrap_err().to_string();
    let name = "hidden state of task `cola`, level `clean`, instruction 1, row 5: ";
    assert_eq!(refused(&label("clean", 5), &[1.0]), format!("{name}1 values, expected 3"));
    assert_eq!(refused(&label("clean", 5), &[1.0, f32::INFINITY, 0.0]), format!("{name}not finite"));
    let silent = StateLabel { predicted: None, ..label("clean", 5) };
    let message = format!("{name}either all states have a predicted class or none has");
    assert_eq!(refused(&silent, &[1.0; 3]), message);
    assert!(refused(&label("clean", 4), &[1.0; 3]).ends_with("row 4: the label exists already"));
    assert_eq!(states, self::states(), "a rejected state does not change anything");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.safetensors");
    assert!(Representations::new("m").write(&path).unwrap_err().to_string().ends_with("no hidden states to write"));
    assert!(!path.exists());
}

#[test]
fn groups_and_parts() {
    let states = states();
    assert_eq!(states.groups(Grouping::Perturbed), (vec![0, 0, 1, 1, 0], vec!["clean".into(), "perturbed".into()]));
    assert_eq!(states.groups(Grouping::Task).0, [0, 0, 0, 0, 1]);
    let (gold, names) = states.groups(Grouping::Gold);
    assert_eq!((gold, names.join(", ")), (vec![0, 1, 0, 1, 2], "cola 0, cola 1, sst2 0".to_owned()));
    let cola = states.only(|label| label.task == "cola" && label.row == 9);
    assert_eq!((cola.len(), cola.state(1), cola.label(1)), (2, states.state(3), states.label(3)));
}

#[test]
fn a_class_that_no_task_has_is_refused() {
    let push = |gold: usize, predicted: i64| {
        let label = StateLabel { gold, predicted: Some(predicted), ..label("clean", 0) };
        Representations::new("m").push(&label, &[1.0]).map_err(|error| error.to_string())
    };
    assert_eq!(push(9_999, 9_999), Ok(()));
    for (gold, predicted) in [(10_000, 0), (1_000_000_000_000, 0), (usize::MAX, 0), (0, 1_000_000_000_000), (0, -2)] {
        let message = push(gold, predicted).unwrap_err();
        assert!(message.contains(&gold.to_string()) && message.contains(&predicted.to_string()), "{message}");
    }
    // In a file, whose columns of `gold` and `pred` follow those of task, level, instruction and row.
    let message = fault(|bytes| {
        let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[start + 4 * 40..][..8].copy_from_slice(&1_000_000_000_000_i64.to_le_bytes());
    });
    assert!(message.contains("class 1000000000000"), "{message}");
}

#[test]
fn a_key_that_stands_twice_in_the_header_is_refused() {
    let message = fault(|bytes| edit(bytes, "\"gold\":", "\"task\":"));
    assert!(message.contains("duplicate key `task`"), "{message}");
}

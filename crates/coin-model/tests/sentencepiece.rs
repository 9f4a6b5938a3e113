//! SentencePiece models: hand-computed ids of a tiny model, and real files if they are present.
//!
//! Real files are read from `COIN_TEST_DATA`; a test that does not find them prints a message and passes.

use std::path::Path;

use coin_model::{
    ModelError,
    sentencepiece::{self, SentencePiece},
};
use coin_testkit::test_data;
use prost::Message;
use serde_json::Value;
use tokenizers::Tokenizer;

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerSpec>,
    #[prost(message, optional, tag = "5")]
    denormalizer: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Trainer {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(string, optional, tag = "48")]
    pad_piece: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "2")]
    charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    escape_whitespaces: Option<bool>,
}

fn piece(text: &str, score: f32, kind: i32) -> Piece {
    // SentencePiece omits the default type when it writes a file.
    Piece { piece: Some(text.into()), score: Some(score), kind: (kind != NORMAL).then_some(kind) }
}

/// Ids 0 to 2 are `<unk> <s> </s>`, followed by the pieces 3 `▁`, 4 `a`, 5 `b`, 6 `c`, 7 `ab`, 8 `▁a`, 9 `▁ab`, 10 `bc`,
/// 11 `▁▁`.
fn tiny() -> Model {
    let mut pieces = vec![piece("<unk>", 0.0, UNKNOWN), piece("<s>", 0.0, CONTROL), piece("</s>", 0.0, CONTROL)];
    let normal = [
        ("▁", -9.0),
        ("a", -9.0),
        ("b", -9.0),
        ("c", -9.0),
        ("ab", -1.0),
        ("▁a", -2.0),
        ("▁ab", -3.0),
        ("bc", -0.5),
        ("▁▁", -4.0),
    ];
    pieces.extend(normal.map(|(text, score)| piece(text, score, NORMAL)));
    Model {
        pieces,
        trainer: Some(Trainer { model_type: Some(2), ..Default::default() }),
        normalizer: Some(NormalizerSpec { remove_extra_whitespaces: Some(false), ..Default::default() }),
        denormalizer: None,
    }
}

/// [`tiny`] with the pieces of the 256 bytes as ids 12 to 267.
fn tiny_with_bytes() -> Model {
    let mut model = tiny();
    model.pieces.extend((0..=255u8).map(|byte| piece(&format!("<0x{byte:02X}>"), 0.0, BYTE)));
    model.trainer.as_mut().unwrap().byte_fallback = Some(true);
    model
}

fn convert(model: &Model) -> Result<SentencePiece, ModelError> {
    sentencepiece::from_bytes(Path::new("tiny.model"), &model.encode_to_vec())
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, false).unwrap().get_ids().to_vec()
}

/// The error message of a model that must be rejected. Checks that it names the file.
fn refusal(model: &Model) -> String {
    let message = convert(model).expect_err("must be rejected").to_string();
    assert!(message.starts_with("tiny.model: "), "{message}");
    message
}

#[test]
fn highest_score_merges_first() {
    let tokenizer = convert(&tiny()).unwrap().tokenizer;
    // ▁ a b -> `ab` (-1) before `▁a` (-2), then `▁ab`.
    assert_eq!(ids(&tokenizer, "ab"), [9]);
    // ▁ a b c -> `bc` (-0.5), then `▁a`.
    assert_eq!(ids(&tokenizer, "abc"), [8, 10]);
    // ▁ c b a b -> `ab`; `▁c` is not a piece.
    assert_eq!(ids(&tokenizer, "cbab"), [3, 6, 5, 7]);
    assert_eq!(ids(&tokenizer, ""), [0u32; 0]);
}

#[test]
fn spaces_are_kept() {
    let tokenizer = convert(&tiny()).unwrap().tokenizer;
    // The space of the text follows the dummy prefix; `▁a` (-2) merges before `▁▁` (-4).
    assert_eq!(ids(&tokenizer, " a"), [3, 8]);
    assert_eq!(ids(&tokenizer, "  a"), [11, 8]);
    assert_eq!(ids(&tokenizer, "a  b "), [8, 11, 5, 3]);
    for text in ["", " ", "a", " a", "  a", "a  b ", "cab abc"] {
        assert_eq!(tokenizer.decode(&ids(&tokenizer, text), true).unwrap(), text);
    }
}

#[test]
fn pieces_with_equal_scores_merge_from_the_left() {
    let mut model = tiny();
    model.pieces.truncate(3);
    model.pieces.extend(["▁", "▁▁", "▁▁▁", "▁▁▁▁"].map(|text| piece(text, -1e9, NORMAL)));
    let tokenizer = convert(&model).unwrap().tokenizer;
    // Six ▁ with the dummy prefix: the leftmost pair merges, then grows to four with the next two; then the rest.
    assert_eq!(ids(&tokenizer, "     "), [6, 4]);
    assert_eq!(ids(&tokenizer, "      "), [6, 5]);
}

#[test]
fn extra_spaces_are_removed_if_the_model_requires_it() {
    let mut model = tiny();
    // On by default.
    model.normalizer.as_mut().unwrap().remove_extra_whitespaces = None;
    let tokenizer = convert(&model).unwrap().tokenizer;
    assert_eq!(ids(&tokenizer, "  a   b "), [8, 3, 5]);
    assert_eq!(ids(&tokenizer, "   "), [0u32; 0]);
    assert_eq!(tokenizer.decode(&[8, 3, 5], true).unwrap(), "a b");
}

#[test]
fn the_dummy_prefix_can_be_turned_off() {
    let mut model = tiny();
    model.normalizer.as_mut().unwrap().add_dummy_prefix = Some(false);
    let tokenizer = convert(&model).unwrap().tokenizer;
    assert_eq!(ids(&tokenizer, "ab a"), [7, 8]);
    assert_eq!(tokenizer.decode(&[8, 5], true).unwrap(), " ab");
}

#[test]
fn unknown_characters_are_bytes_or_one_unknown_piece() {
    let tokenizer = convert(&tiny()).unwrap().tokenizer;
    assert_eq!(ids(&tokenizer, "éü a"), [3, 0, 8]);
    let tokenizer = convert(&tiny_with_bytes()).unwrap().tokenizer;
    // é is C3 A9.
    assert_eq!(ids(&tokenizer, "éb"), [3, 12 + 0xC3, 12 + 0xA9, 5]);
    assert_eq!(tokenizer.decode(&[3, 12 + 0xC3, 12 + 0xA9, 5], true).unwrap(), "éb");
    // The name of a byte piece is ordinary text in the input.
    let spelled: Vec<u32> = std::iter::once(3).chain("<0x41>".bytes().map(|byte| 12 + u32::from(byte))).collect();
    assert_eq!(ids(&tokenizer, "<0x41>"), spelled);
}

#[test]
fn control_pieces_never_come_from_text() {
    let mut model = tiny_with_bytes();
    // Pieces from which `</s>` could be merged if control pieces took part.
    model.pieces.extend(["<", "/", "s", ">", "</", "s>"].map(|text| piece(text, -1.0, NORMAL)));
    let converted = convert(&model).unwrap();
    assert_eq!((converted.unk, converted.bos, converted.eos, converted.pad), (0, Some(1), Some(2), None));
    let mut tokenizer = converted.tokenizer;
    assert_eq!(ids(&tokenizer, "</s>"), [3, 272, 273]);
    assert_eq!(tokenizer.decode(&[1, 3, 272, 273, 2], true).unwrap(), "</s>");
    assert_eq!(tokenizer.encode("ab", true).unwrap().get_ids(), [1, 9]);
    assert_eq!(tokenizer.encode(("ab", "a"), true).unwrap().get_ids(), [1, 9, 1, 8]);
    // The default in transformers.
    tokenizer.set_encode_special_tokens(false);
    assert_eq!(ids(&tokenizer, "ab</s>"), [9, 2]);
}

#[test]
fn padding_piece_is_found_by_its_name() {
    let mut model = tiny();
    model.pieces.push(piece("[P]", 0.0, CONTROL));
    assert_eq!(convert(&model).unwrap().pad, None);
    model.trainer.as_mut().unwrap().pad_piece = Some("[P]".into());
    assert_eq!(convert(&model).unwrap().pad, Some(12));
}

#[test]
fn user_defined_pieces_are_matched_whole() {
    let mut model = tiny();
    // `<x` is a prefix of `<x>`; `bcc` contains `bc`, which would merge.
    model.pieces.extend(["<x", "<x>", "bcc"].map(|text| piece(text, 0.0, USER_DEFINED)));
    let tokenizer = convert(&model).unwrap().tokenizer;
    assert_eq!(ids(&tokenizer, "a<x>ab <x"), [8, 13, 7, 3, 12]);
    assert_eq!(ids(&tokenizer, "abcc"), [8, 14]);
    assert_eq!(ids(&tokenizer, "<x>a"), [3, 13, 4]);
    assert_eq!(tokenizer.decode(&[8, 13, 7, 3, 12], true).unwrap(), "a<x>ab <x");
    // The documented exception: a text that is only the piece.
    assert_eq!(ids(&tokenizer, "<x>"), [13]);
    model.normalizer.as_mut().unwrap().add_dummy_prefix = Some(false);
    let tokenizer = convert(&model).unwrap().tokenizer;
    assert_eq!(ids(&tokenizer, "<x>ab<x>"), [13, 7, 13]);
}

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    let bytes = tiny().encode_to_vec();
    for cut in 0..bytes.len() {
        let error = sentencepiece::from_bytes(Path::new("cut.model"), &bytes[..cut]).expect_err("cut short");
        assert!(matches!(error, ModelError::Malformed { .. }), "{error}");
        assert!(error.to_string().starts_with("cut.model: "), "{error}");
    }
    assert!(sentencepiece::from_bytes(Path::new("cut.model"), b"{\"version\": \"1.0\"}").is_err());
    let absent = sentencepiece::read(Path::new("no/such.model")).expect_err("absent");
    assert!(absent.to_string().contains("no/such.model"), "{absent}");
}

#[test]
fn damaged_piece_lists_are_rejected() {
    let mut model = tiny();
    model.pieces.push(piece("ab", -7.0, NORMAL));
    assert!(refusal(&model).contains("piece `ab` occurs twice, as id 7 and as id 12"));
    model.pieces.clear();
    assert!(refusal(&model).contains("does not contain any pieces"));
    let with = |added: Piece| {
        let mut model = tiny();
        model.pieces.push(added);
        refusal(&model)
    };
    assert!(with(piece("", 0.0, NORMAL)).contains("piece 12 is empty"));
    assert!(with(piece("cc", f32::NAN, NORMAL)).contains("score of piece 12 `cc`"));
    assert!(with(piece("cc", 0.0, 9)).contains("unknown type 9"));
    assert!(with(piece("<other>", 0.0, UNKNOWN)).contains("2 pieces of type unknown"));
    assert!(with(piece("<0x00>", 0.0, BYTE)).contains("1 byte pieces with byte_fallback = false, expected 0"));
    assert!(with(piece("<0xZZ>", 0.0, BYTE)).contains("`<0xZZ>`"));
    assert!(with(piece("ad", -1.0, NORMAL)).contains("`d` is not"));
    assert!(with(piece("ca", -1.0, UNUSED)).contains("pieces[12].type"));
    assert!(with(piece("a b", 0.0, USER_DEFINED)).contains("`a b`"));
    // No merge produces it.
    let mut model = tiny();
    model.pieces.push(piece("<spare>", -1.0, UNUSED));
    assert_eq!(ids(&convert(&model).unwrap().tokenizer, "ab"), [9]);
}

#[test]
fn unsupported_settings_are_rejected_by_name() {
    type Change = fn(&mut Trainer, &mut NormalizerSpec);
    let cases: [(&str, Change); 6] = [
        ("`trainer_spec.model_type` = 1 (unigram)", |trainer, _| trainer.model_type = None),
        ("`trainer_spec.model_type` = 3 (word)", |trainer, _| trainer.model_type = Some(3)),
        ("`trainer_spec.treat_whitespace_as_suffix`", |trainer, _| trainer.treat_whitespace_as_suffix = Some(true)),
        ("`normalizer_spec.escape_whitespaces`", |_, spec| spec.escape_whitespaces = Some(false)),
        ("`normalizer_spec.precompiled_charsmap` = 3 bytes", |_, spec| spec.charsmap = Some(vec![1, 2, 3])),
        ("contains 0 byte pieces with byte_fallback = true", |trainer, _| trainer.byte_fallback = Some(true)),
    ];
    for (expected, change) in cases {
        let mut model = tiny();
        change(model.trainer.as_mut().unwrap(), model.normalizer.as_mut().unwrap());
        let message = refusal(&model);
        assert!(message.contains(expected), "{message}");
    }
    let mut model = tiny();
    model.denormalizer = Some(NormalizerSpec { charsmap: Some(vec![0]), ..Default::default() });
    assert!(refusal(&model).contains("denormalizer_spec.precompiled_charsmap"));
    // A normalizer name without a charsmap has no effect.
    let mut model = tiny();
    model.normalizer.as_mut().unwrap().name = Some("nmt_nfkc".into());
    assert!(convert(&model).is_ok());
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn stories_model_gives_the_recorded_ids() {
    const TEST: &str = "stories_model_gives_the_recorded_ids";
    let (Some(model), Some(oracle), Some(converted)) = (
        test_data(TEST, "weights/tok512.model"),
        test_data(TEST, "weights/stories260K_oracle.json"),
        test_data(TEST, "weights/stories260K-hf/tokenizer.json"),
    ) else {
        return;
    };
    let SentencePiece { tokenizer, bos, eos, .. } = sentencepiece::read(&model).unwrap();
    assert_eq!((bos, eos), (Some(1), Some(2)));
    let oracle = json(&oracle);
    let cases = oracle["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let expected: Vec<u32> = serde_json::from_value(case["tokens"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap().get_ids(), expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected, true).unwrap(), text);
    }
    let (ours, theirs) = (serde_json::to_value(&tokenizer).unwrap(), json(&converted));
    for part in ["model", "added_tokens", "post_processor"] {
        assert!(ours[part] == theirs[part], "{part} differs");
    }
    // This file uses the default of remove_extra_whitespaces, which is on.
    assert_eq!(ids(&tokenizer, "  a   b "), ids(&tokenizer, "a b"));
}

#[test]
fn llama_model_equals_the_converted_file() {
    const TEST: &str = "llama_model_equals_the_converted_file";
    let (Some(model), Some(converted)) =
        (test_data(TEST, "tokenizer/llama_tokenizer.model"), test_data(TEST, "tokenizer/llama/tokenizer.json"))
    else {
        return;
    };
    let ours = sentencepiece::read(&model).unwrap().tokenizer;
    let (saved, expected) = (serde_json::to_value(&ours).unwrap(), json(&converted));
    for part in ["model", "normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens"] {
        assert!(saved[part] == expected[part], "{part} differs");
    }

    let theirs = Tokenizer::from_file(&converted).unwrap();
    let mut lines: Vec<String> =
        ["", " ", "   ", "\t", " \t\n\n x", "naïve café", "日本語 の 文", "🦙👩‍👩‍👧 ok", "a\u{2581}b"]
            .map(String::from)
            .into();
    lines.extend([16, 17, 33, 40].map(|spaces| format!("{}x", " ".repeat(spaces))));
    for file in ["glue/CoLA/dev_in_domain.tsv", "glue/SST-2/dev.tsv", "glue/RTE/dev.tsv"] {
        let Some(path) = test_data(TEST, file) else { return };
        lines.extend(std::fs::read_to_string(path).unwrap().lines().map(String::from));
    }
    assert!(lines.len() > 1_600, "{}", lines.len());
    for line in &lines {
        let found = ids(&ours, line);
        assert_eq!(found, ids(&theirs, line), "{line:?}");
        // U+2581 in a text decodes to a space, as in SentencePiece.
        assert_eq!(ours.decode(&found, true).unwrap(), line.replace('\u{2581}', " "));
    }
    assert_eq!(ids(&ours, "</s>"), [1533, 29879, 29958]);
    assert_eq!(ids(&theirs, "</s>"), [2]);
}

#[test]
fn llama_model_gives_the_recorded_ids() {
    const TEST: &str = "llama_model_gives_the_recorded_ids";
    let (Some(model), Some(input), Some(output)) = (
        test_data(TEST, "tokenizer/llama_tokenizer.model"),
        test_data(TEST, "tokenizer/ggml-vocab-llama-spm.gguf.inp"),
        test_data(TEST, "tokenizer/ggml-vocab-llama-spm.gguf.out"),
    ) else {
        return;
    };
    let tokenizer = sentencepiece::read(&model).unwrap().tokenizer;
    let (input, output) = (std::fs::read_to_string(input).unwrap(), std::fs::read_to_string(output).unwrap());
    let texts: Vec<&str> = input.split_terminator("\n__ggml_vocab_test__\n").collect();
    let expected: Vec<&str> = output.lines().collect();
    assert_eq!((texts.len(), expected.len()), (46, 46));
    for (text, line) in texts.into_iter().zip(expected) {
        let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids(&tokenizer, text), expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected, true).unwrap(), text);
    }
}

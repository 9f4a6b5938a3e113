//! SentencePiece `tokenizer.model` files of type BPE, converted to a [`Tokenizer`] with the same ids.
//!
//! SentencePiece repeatedly joins the two neighboring symbols whose union is the piece with the highest score, and the leftmost
//! ones if scores are equal. The converted tokenizer has an ordered list of merges instead. Every split of a piece into two
//! symbols is a merge, in order of decreasing score, then of decreasing length of the left part and of the right part, as in the
//! converter of `transformers` for LLaMA. The two agree if pieces that compete for the same characters have different scores,
//! and for the runs of spaces with equal scores in LLaMA's file.
//!
//! # What differs from the converter of `transformers`
//! - `remove_extra_whitespaces`, which is on by default, is applied as in SentencePiece: spaces at both ends are removed, and runs
//!   of spaces become one space. The converter ignores it.
//! - Text that spells a control piece, such as `</s>`, is ordinary text, as in SentencePiece: it never becomes the id
//!   of that piece. `transformers` turns it into the id by default;
//!   [`set_encode_special_tokens(false)`](tokenizers::TokenizerImpl::set_encode_special_tokens) restores that. The
//!   flag is not part of a saved `tokenizer.json`.
//! - Models that cannot be converted exactly are rejected; see [`from_bytes`].
//!
//! # Decoding
//! `decode(ids, true)` returns SentencePiece's text with these exceptions: the unknown piece is omitted (SentencePiece writes
//! ` ⁇ `), a run of byte pieces that is not valid UTF-8 as a whole becomes one U+FFFD per byte (SentencePiece keeps the valid
//! characters of the run), and an initial byte piece for a space is dropped like an initial space.

use std::{collections::HashMap, path::Path};

use coin_core::quote::cut;
use prost::Message;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizedString, Normalizer, NormalizerWrapper, Tokenizer,
    decoders::{byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as DecoderSequence, strip::Strip},
    models::bpe::{BPE, Merges, Vocab},
    normalizers::{Prepend, Replace, Sequence as NormalizerSequence, replace::ReplacePattern},
    processors::template::TemplateProcessing,
};

use crate::ModelError;

/// The character for a space inside pieces (U+2581).
const SPACE: &str = "\u{2581}";
/// `TrainerSpec.model_type` of a BPE model.
const MODEL_BPE: i32 = 2;

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The fields of SentencePiece's `ModelProto` that encoding and decoding depend on.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
    #[prost(message, optional, tag = "5")]
    denormalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(string, optional, tag = "46", default = "<s>")]
    bos_piece: Option<String>,
    #[prost(string, optional, tag = "47", default = "</s>")]
    eos_piece: Option<String>,
    #[prost(string, optional, tag = "48", default = "<pad>")]
    pad_piece: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    escape_whitespaces: Option<bool>,
}

/// A converted SentencePiece model.
#[derive(Debug, Clone)]
pub struct SentencePiece {
    /// The tokenizer. `encode(text, false)` returns SentencePiece's ids. `encode(text, true)` adds BOS in front, if the model has it.
    pub tokenizer: Tokenizer,
    /// Id of the unknown piece.
    pub unk: u32,
    /// Id of the piece at the start of a sequence, if the model has one.
    pub bos: Option<u32>,
    /// Id of the piece that ends a sequence, if the model has one.
    pub eos: Option<u32>,
    /// Id of the padding piece, if the model has one.
    pub pad: Option<u32>,
}

/// Reads the SentencePiece model at `path`.
///
/// # Errors
/// The file cannot be read, or see [`from_bytes`].
pub fn read(path: &Path) -> Result<SentencePiece, ModelError> {
    let bytes = std::fs::read(path).map_err(ModelError::io(path))?;
    from_bytes(path, &bytes)
}

/// Converts a SentencePiece model from the bytes of its file. Errors name the file `path`.
///
/// User-defined pieces are matched as a whole, the longest first. There is one difference from SentencePiece: a text that is exactly
/// one user-defined piece does not get a space in front. If extra spaces are removed, the text may have spaces before the piece.
///
/// # Errors
/// - [`ModelError::Malformed`]: not a SentencePiece model, a truncated file, no pieces, an empty or duplicate piece, more or
///   less than one unknown piece, or byte pieces other than the 256 bytes.
/// - [`ModelError::Unsupported`]: a model that is not BPE, a normalizer or denormalizer with a character map,
///   `escape_whitespaces` off, `treat_whitespace_as_suffix` on, an unused piece that merging could reach, a piece with
///   a character that is not a piece, or a user-defined piece that the normalizer would change.
pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<SentencePiece, ModelError> {
    let model = ModelProto::decode(bytes).map_err(ModelError::malformed(path))?;
    // The pieces come first, so a file that is truncated between two fields lacks these specifications.
    let trainer = model.trainer_spec.as_ref().ok_or_else(|| malformed(path, "does not contain `trainer_spec`"))?;
    let normalizer_spec =
        model.normalizer_spec.as_ref().ok_or_else(|| malformed(path, "does not contain `normalizer_spec`"))?;
    check_settings(path, trainer, normalizer_spec, model.denormalizer_spec.as_ref())?;

    let ids = piece_ids(path, &model.pieces)?;
    let unk = unknown_id(path, &model.pieces)?;
    check_byte_pieces(path, &model.pieces, trainer.byte_fallback())?;
    let bpe = BPE::builder()
        .vocab_and_merges(
            ids.iter().map(|(&piece, &id)| (piece.to_owned(), id)).collect::<Vocab>(),
            merges(path, &model.pieces, &ids)?,
        )
        .unk_token(model.pieces[unk as usize].piece().to_owned())
        .fuse_unk(true)
        .byte_fallback(trainer.byte_fallback())
        .build()
        .map_err(ModelError::malformed(path))?;

    let of_kind = |kind| model.pieces.iter().filter(move |piece| piece.kind() == kind).map(Piece::piece);
    let user_defined: Vec<&str> = of_kind(USER_DEFINED).collect();
    let normalizer = normalizer(normalizer_spec, &user_defined).map_err(ModelError::malformed(path))?;
    check_user_defined(path, &user_defined, &normalizer)?;
    let control = |name: &str| ids.get(name).copied().filter(|&id| model.pieces[id as usize].kind() == CONTROL);
    let bos = control(trainer.bos_piece());

    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer.with_normalizer(Some(normalizer)).map_err(ModelError::malformed(path))?;
    tokenizer
        .with_decoder(Some(decoder(normalizer_spec, trainer.byte_fallback()).map_err(ModelError::malformed(path))?));
    if let Some(id) = bos {
        tokenizer
            .with_post_processor(Some(bos_template(trainer.bos_piece(), id).map_err(ModelError::malformed(path))?));
    }
    let special = of_kind(UNKNOWN).chain(of_kind(CONTROL)).map(|piece| AddedToken::from(piece, true));
    tokenizer.add_special_tokens(special).map_err(ModelError::malformed(path))?;
    let symbols = user_defined.iter().map(|&piece| AddedToken::from(piece, false).normalized(true));
    tokenizer.add_tokens(symbols).map_err(ModelError::malformed(path))?;
    tokenizer.set_encode_special_tokens(true);
    Ok(SentencePiece { tokenizer, unk, bos, eos: control(trainer.eos_piece()), pad: control(trainer.pad_piece()) })
}

/// Rejects settings for which the conversion would not be exact.
fn check_settings(
    path: &Path,
    trainer: &TrainerSpec,
    normalizer: &NormalizerSpec,
    denormalizer: Option<&NormalizerSpec>,
) -> Result<(), ModelError> {
    if trainer.model_type() != MODEL_BPE {
        let name = match trainer.model_type() {
            1 => "1 (unigram)".to_owned(),
            3 => "3 (word)".to_owned(),
            4 => "4 (char)".to_owned(),
            other => other.to_string(),
        };
        return Err(unsupported(path, "trainer_spec.model_type", name, "2 (bpe)"));
    }
    if trainer.treat_whitespace_as_suffix() {
        return Err(unsupported(path, "trainer_spec.treat_whitespace_as_suffix", true, "false"));
    }
    if !normalizer.escape_whitespaces() {
        return Err(unsupported(path, "normalizer_spec.escape_whitespaces", false, "true"));
    }
    for (name, spec) in [("normalizer_spec", Some(normalizer)), ("denormalizer_spec", denormalizer)] {
        let size = spec.map_or(0, |spec| spec.precompiled_charsmap().len());
        if size > 0 {
            let key = format!("{name}.precompiled_charsmap");
            return Err(unsupported(path, key, format!("{size} bytes"), "none (the identity)"));
        }
    }
    Ok(())
}

/// Returns the id of every piece, which is its position in the file.
fn piece_ids<'a>(path: &Path, pieces: &'a [Piece]) -> Result<HashMap<&'a str, u32>, ModelError> {
    if pieces.is_empty() {
        return Err(malformed(path, "does not contain any pieces"));
    }
    let mut ids = HashMap::with_capacity(pieces.len());
    for (id, piece) in (0..).zip(pieces) {
        if piece.piece().is_empty() {
            return Err(malformed(path, format!("piece {id} is empty")));
        }
        if piece.score().is_nan() {
            return Err(malformed(path, format!("the score of piece {id} `{}` is not a number", cut(piece.piece()))));
        }
        if !(NORMAL..=BYTE).contains(&piece.kind()) {
            return Err(malformed(
                path,
                format!("piece {id} `{}` has the unknown type {}", cut(piece.piece()), piece.kind()),
            ));
        }
        if let Some(first) = ids.insert(piece.piece(), id) {
            return Err(malformed(
                path,
                format!("piece `{}` occurs twice, as id {first} and as id {id}", cut(piece.piece())),
            ));
        }
    }
    Ok(ids)
}

/// Returns the id of the only unknown piece.
fn unknown_id(path: &Path, pieces: &[Piece]) -> Result<u32, ModelError> {
    let mut unknown = (0..).zip(pieces).filter(|(_, piece)| piece.kind() == UNKNOWN).map(|(id, _)| id);
    match (unknown.next(), unknown.count()) {
        (Some(id), 0) => Ok(id),
        (first, more) => {
            let found = usize::from(first.is_some()) + more;
            Err(malformed(path, format!("contains {found} pieces of type unknown, expected exactly one")))
        }
    }
}

/// Checks the byte pieces: all of `<0x00>` to `<0xFF>` with byte fallback, and none without.
fn check_byte_pieces(path: &Path, pieces: &[Piece], byte_fallback: bool) -> Result<(), ModelError> {
    let mut found = 0;
    for piece in pieces.iter().filter(|piece| piece.kind() == BYTE).map(Piece::piece) {
        if !(0..=u8::MAX).any(|byte| piece == format!("<0x{byte:02X}>")) {
            return Err(malformed(path, format!("piece `{}` is of type byte, expected the form `<0x0A>`", cut(piece))));
        }
        found += 1;
    }
    let expected = if byte_fallback { 256 } else { 0 };
    if found != expected {
        let message = format!("contains {found} byte pieces with byte_fallback = {byte_fallback}, expected {expected}");
        return Err(malformed(path, message));
    }
    Ok(())
}

/// Returns every split of a piece into two symbols, in the order of merging.
fn merges(path: &Path, pieces: &[Piece], ids: &HashMap<&str, u32>) -> Result<Merges, ModelError> {
    // A symbol is a character or the result of a merge. User-defined pieces are never merged.
    let symbol = |text: &str| {
        let id = *ids.get(text)?;
        let takes_part = match pieces[id as usize].kind() {
            NORMAL | UNUSED => true,
            USER_DEFINED => false,
            _ => text.chars().nth(1).is_none(),
        };
        takes_part.then_some(id)
    };
    let mut merges: Vec<(f32, [usize; 2], [&str; 2])> = Vec::new();
    let mut splits: Vec<([u32; 2], [&str; 2])> = Vec::new();
    for (id, piece) in pieces.iter().enumerate().filter(|(_, piece)| matches!(piece.kind(), NORMAL | UNUSED)) {
        let text = piece.piece();
        if text.chars().nth(1).is_none() {
            continue;
        }
        let ends = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        splits.extend(ends.filter_map(|(left, right)| Some(([symbol(left)?, symbol(right)?], [left, right]))));
        if piece.kind() == UNUSED && !splits.is_empty() {
            let expected = "a type that merges may produce, or a piece that no merge produces";
            return Err(unsupported(path, format!("pieces[{id}].type"), format!("unused (`{text}`)"), expected));
        }
        if piece.kind() == NORMAL
            && let Some(missing) = text.chars().find(|c| !ids.contains_key(c.encode_utf8(&mut [0; 4]) as &str))
        {
            let expected = format!("every character to be a piece itself, `{missing}` is not");
            return Err(unsupported(path, format!("pieces[{id}].piece"), format!("`{text}`"), expected));
        }
        splits.sort_by_key(|&(ids, _)| ids);
        let lengths = |parts: [&str; 2]| parts.map(|part| part.chars().count());
        merges.extend(splits.drain(..).map(|(_, parts)| (piece.score(), lengths(parts), parts)));
    }
    // The sort is stable: equal merges stay in the order of the pieces.
    merges.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal).then(b.1.cmp(&a.1)));
    Ok(merges.into_iter().map(|(_, _, [left, right])| (left.to_owned(), right.to_owned())).collect())
}

/// Returns SentencePiece's normalization without a character map.
fn normalizer(spec: &NormalizerSpec, user_defined: &[&str]) -> tokenizers::Result<NormalizerWrapper> {
    let regex = |pattern: &str| ReplacePattern::Regex(pattern.to_owned());
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if spec.remove_extra_whitespaces() {
        steps.push(Replace::new(regex(r"\A +"), "")?.into());
        steps.push(Replace::new(regex(" {2,}"), " ")?.into());
    }
    if spec.add_dummy_prefix() && user_defined.is_empty() {
        steps.push(Prepend::new(SPACE.to_owned()).into());
    } else if spec.add_dummy_prefix() {
        // `tokenizers` normalizes a user-defined piece before searching for it, so the piece alone must not change.
        let pieces: Vec<String> = user_defined.iter().map(|piece| escaped(piece)).collect();
        steps.push(Replace::new(regex(&format!(r"(?s)\A(?!(?:{})\z)(?=.)", pieces.join("|"))), SPACE)?.into());
    }
    steps.push(Replace::new(" ", SPACE)?.into());
    if spec.remove_extra_whitespaces() {
        steps.push(Replace::new(regex(&format!(r"{SPACE}+\z")), "")?.into());
    }
    Ok(NormalizerSequence::new(steps).into())
}

/// Returns a regular expression that matches only `text`.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_alphanumeric() { c.to_string() } else { format!(r"\x{{{:X}}}", u32::from(c)) })
        .collect()
}

/// Rejects user-defined pieces that the normalizer changes: they could not be found in normalized text.
fn check_user_defined(path: &Path, pieces: &[&str], normalizer: &NormalizerWrapper) -> Result<(), ModelError> {
    for piece in pieces {
        let mut normalized = NormalizedString::from(*piece);
        normalizer.normalize(&mut normalized).map_err(ModelError::malformed(path))?;
        if normalized.get() != *piece {
            let expected = "a user-defined piece without spaces that the normalizer changes";
            return Err(unsupported(path, "pieces", format!("`{piece}`"), expected));
        }
    }
    Ok(())
}

/// Returns the decoder from pieces to text: it restores spaces, joins bytes to characters, and removes the spaces that encoding added
/// in front.
fn decoder(spec: &NormalizerSpec, byte_fallback: bool) -> tokenizers::Result<DecoderWrapper> {
    let mut steps: Vec<DecoderWrapper> = vec![Replace::new(SPACE, " ")?.into()];
    if byte_fallback {
        steps.push(ByteFallback::new().into());
    }
    steps.push(Fuse::new().into());
    if spec.remove_extra_whitespaces() {
        steps.push(Strip::new(' ', usize::from(u16::MAX), 0).into());
    } else if spec.add_dummy_prefix() {
        steps.push(Strip::new(' ', 1, 0).into());
    }
    Ok(DecoderSequence::new(steps).into())
}

/// Returns the template that adds BOS before each text.
fn bos_template(piece: &str, id: u32) -> Result<TemplateProcessing, String> {
    let parts = |types: &[u32]| -> Vec<String> {
        types.iter().zip(["$A", "$B"]).flat_map(|(t, text)| [format!("{piece}:{t}"), format!("{text}:{t}")]).collect()
    };
    TemplateProcessing::builder()
        .try_single(parts(&[0]))?
        .try_pair(parts(&[0, 1]))?
        .special_tokens(vec![(piece, id)])
        .build()
        .map_err(|error| error.to_string())
}

fn malformed(path: &Path, message: impl Into<String>) -> ModelError {
    ModelError::Malformed { path: path.to_owned(), message: message.into() }
}

fn unsupported(path: &Path, key: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> ModelError {
    ModelError::Unsupported {
        path: path.to_owned(),
        key: key.into(),
        value: value.to_string(),
        expected: expected.into(),
    }
}

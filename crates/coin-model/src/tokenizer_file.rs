//! Safe reading of a `tokenizer.json` from an unknown source.
//!
//! The crate `tokenizers` trusts its file: a character map with an invalid offset panics when a text first reaches it, text that is
//! inserted between characters panics in some pre-tokenizers, and a normalizer may make a text arbitrarily long.

use std::path::Path;

use coin_core::panic::caught;
use coin_core::quote::cut;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::ModelError;

/// Maximum number of characters that the normalizer or decoder may produce from one. Unicode's compatibility forms produce up to 18.
const MOST_GROWTH: usize = 64;

/// Texts in which a pattern that matches the empty text does so between two characters, whatever else it matches.
const SAMPLES: [&str; 3] = ["ab CD", "01 .,", "\u{e9}\u{e8} \u{6f22}\u{5b57}"];

/// The parts of the file that are checked.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    decoder: Value,
}

/// Reads the tokenizer from `bytes`, the content of the file at `path`.
///
/// # Errors
/// The file is damaged or has a duplicate key, or its normalizer or decoder could panic, inserts text between characters, or produces
/// more than [`MOST_GROWTH`] characters from one.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Tokenizer, ModelError> {
    let malformed = |message: String| ModelError::Malformed { path: path.to_owned(), message };
    let parts: Parts = coin_core::json::from_slice(bytes).map_err(ModelError::malformed(path))?;
    for (name, part) in [("normalizer", &parts.normalizer), ("decoder", &parts.decoder)] {
        let growth = growth(part).map_err(|fault| malformed(format!("its {name} {fault}")))?;
        if growth > MOST_GROWTH {
            return Err(malformed(format!(
                "its {name} may produce {growth} characters from one, expected at most {MOST_GROWTH}"
            )));
        }
    }
    guarded(|| Tokenizer::from_bytes(bytes))
        .map_err(malformed)?
        .map_err(|error| malformed(cut(&error.to_string()).into_owned()))
}

/// Runs `work` with a tokenizer. A panic becomes an error with its message.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    caught(work).map_err(|fault| format!("the tokenizer fails: {fault}"))
}

/// Returns the maximum number of characters that `part`, a normalizer or decoder, produces from one. The error is a clause about
/// its fault.
fn growth(part: &Value) -> Result<usize, String> {
    let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    match part["type"].as_str() {
        Some("Sequence") => {
            let steps = [&part["normalizers"], &part["decoders"]].into_iter().filter_map(Value::as_array).flatten();
            steps.map(growth).try_fold(1, |product: usize, step| Ok(product.saturating_mul(step?)))
        }
        Some("Replace") if length(&part["content"]) > 0 && matches_between(&part["pattern"]) => {
            let pattern = part["pattern"]["Regex"].as_str().unwrap_or_default();
            Err(format!("replaces the pattern `{}`, which matches the empty text between two characters", cut(pattern)))
        }
        Some("Replace") => Ok(match &part["pattern"]["String"] {
            Value::String(pattern) => length(&part["content"]).div_ceil(pattern.chars().count().max(1)).max(1),
            // A regular expression may match before or after a character.
            _ => (length(&part["content"]) + 1).max(1),
        }),
        Some("Prepend") => Ok((length(&part["prepend"]) + 1).max(1)),
        Some("Precompiled") => {
            let map = part["precompiled_charsmap"].as_str().and_then(from_base64);
            CharacterMap::read(&map.ok_or("has a character map that is not Base64")?).and_then(|map| map.growth())
        }
        _ => Ok(1),
    }
}

/// True if `pattern` of a `Replace` matches the empty text between two characters. A pattern that does so at the start or end only, such
/// as the `(?<!\n)^` of published files, does not. A pattern that is not valid is left to the crate `tokenizers`.
fn matches_between(pattern: &Value) -> bool {
    let pattern = match (&pattern["String"], &pattern["Regex"]) {
        (Value::String(pattern), _) => return pattern.is_empty(),
        (_, Value::String(pattern)) => fancy_regex::Regex::new(pattern),
        _ => return false,
    };
    let inside = |pattern: &fancy_regex::Regex, text: &str| {
        let mut matches = pattern.find_iter(text).map_while(Result::ok);
        matches.any(|found| found.start() == found.end() && found.start() > 0 && found.end() < text.len())
    };
    pattern
        .is_ok_and(|pattern| pattern.is_match("").unwrap_or(false) && SAMPLES.iter().any(|text| inside(&pattern, text)))
}

/// A character map of SentencePiece: the length in bytes of a double array, the array, and the texts to which its leaves point, each
/// ended by a zero byte.
struct CharacterMap {
    array: Vec<u32>,
    texts: String,
}

impl CharacterMap {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let (length, rest) = bytes.split_first_chunk().ok_or("has an empty character map")?;
        let length = u32::from_le_bytes(*length) as usize / 4 * 4;
        let (array, texts) = rest.split_at_checked(length).ok_or("has a truncated character map")?;
        let texts = std::str::from_utf8(texts).map_err(|_| "has a character map whose texts are not UTF-8")?;
        let array = array.as_chunks().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Ok(CharacterMap { array, texts: texts.to_owned() })
    }

    /// Checks every position that a search can reach, and returns the maximum number of characters in a text of a leaf.
    fn growth(&self) -> Result<usize, String> {
        let outside = || "has a character map with an offset outside of it".to_owned();
        let unit = |at: usize| self.array.get(at).copied().ok_or_else(outside);
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let (mut growth, mut seen, mut open) = (1, vec![false; self.array.len()], vec![offset(unit(0)?)]);
        while let Some(node) = open.pop() {
            for byte in 1..=u8::MAX {
                let at = node ^ usize::from(byte);
                let found = unit(at)?;
                if found & (1 << 31 | 0xff) != u32::from(byte) {
                    continue;
                }
                let next = at ^ offset(found);
                if found >> 8 & 1 == 1 {
                    let begin = (unit(next)? & !(1 << 31)) as usize;
                    let text = self.texts.get(begin..).ok_or_else(outside)?;
                    growth = growth.max(text.split('\0').next().unwrap_or_default().chars().count());
                }
                if !std::mem::replace(seen.get_mut(next).ok_or_else(outside)?, true) {
                    open.push(next);
                }
            }
        }
        Ok(growth)
    }
}

/// Decodes a text in Base64, with or without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let missing = 4 - group.len();
        bits <<= 6 * missing;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - missing.min(3)]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(normalizer: Value) -> String {
        json!({
            "version": "1.0",
            "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "hi": 1}, "unk_token": "<unk>"},
            "normalizer": normalizer,
        })
        .to_string()
    }

    fn opened(normalizer: Value) -> Result<Tokenizer, String> {
        read(Path::new("tokenizer.json"), file(normalizer).as_bytes()).map_err(|error| error.to_string())
    }

    fn to_base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |group: &[u8]| {
            let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            (0..=group.len())
                .map(move |at| char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]))
                .collect::<String>()
        };
        bytes.chunks(3).map(group).collect()
    }

    /// A map from `a` to `texts`, with an array of this many units.
    fn map(units: usize, texts: &str) -> Value {
        let mut array = vec![0_u32; units];
        // The root's children are at 256 ^ byte, and the leaf of `a` at an offset of 512.
        array[0] = 256 << 10;
        if let Some(unit) = array.get_mut(256 ^ usize::from(b'a')) {
            *unit = 512 << 10 | 1 << 8 | u32::from(b'a');
        }
        let array: Vec<u8> = array.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let bytes = [&(array.len() as u32).to_le_bytes()[..], &array, texts.as_bytes()].concat();
        json!({"type": "Precompiled", "precompiled_charsmap": to_base64(&bytes)})
    }

    #[test]
    fn a_valid_map_is_accepted() {
        let tokenizer = opened(map(1024, "bc\0")).unwrap();
        let mut text = tokenizers::NormalizedString::from("xay");
        tokenizers::Normalizer::normalize(tokenizer.get_normalizer().unwrap(), &mut text).unwrap();
        assert_eq!(text.get(), "xbcy");
    }

    #[test]
    fn a_broken_map_is_named_and_does_not_panic() {
        // Too short for the children of the root, too short for those of `a`, and without the text of the leaf.
        for normalizer in [
            map(1, "bc\0"),
            map(300, "bc\0"),
            map(600, "bc\0"),
            json!({"type": "Precompiled", "precompiled_charsmap": "AA"}),
        ] {
            let sequence = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, normalizer]});
            let error = opened(sequence).unwrap_err();
            assert!(error.starts_with("tokenizer.json: ") && error.contains("character map"), "{error}");
        }
    }

    #[test]
    fn a_normalizer_that_multiplies_text_is_rejected() {
        let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": content});
        let twice = || replace("a", "aa");
        let many =
            |count: usize| json!({"type": "Sequence", "normalizers": (0..count).map(|_| twice()).collect::<Vec<_>>()});
        assert!(opened(many(6)).is_ok());
        for (normalizer, expected) in [
            (many(7), "128 characters from one"),
            (many(70), "characters from one"),
            (replace("a", &"a".repeat(65)), "65 characters from one"),
            (
                json!({"type": "Replace", "pattern": {"Regex": "a"}, "content": "b".repeat(64)}),
                "65 characters from one",
            ),
            (json!({"type": "Prepend", "prepend": "b".repeat(100_000)}), "100001 characters from one"),
            (map(1024, &"b".repeat(65)), "65 characters from one"),
        ] {
            let error = opened(normalizer).unwrap_err();
            assert!(error.contains(expected) && error.len() < 500, "{error}");
        }
    }

    #[test]
    fn a_replacement_between_characters_is_rejected() {
        let replace =
            |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
        let regex = |pattern: &str| json!({"Regex": pattern});
        for pattern in [json!({"String": ""}), regex(""), regex("x*"), regex("[a-z]*"), regex(r"\w*"), regex("a|")] {
            let sequence = json!({"type": "Sequence", "normalizers": [replace(pattern.clone(), "a")]});
            let error = opened(sequence).unwrap_err();
            let shown = format!("its normalizer replaces the pattern `{}`", pattern["Regex"].as_str().unwrap_or(""));
            assert!(error.contains(&shown), "{error}");
            let mut whole: Value = serde_json::from_str(&file(Value::Null)).unwrap();
            whole["decoder"] = replace(pattern.clone(), "a");
            let error = read(Path::new("tokenizer.json"), whole.to_string().as_bytes()).unwrap_err().to_string();
            assert!(error.contains("its decoder replaces"), "{error}");
            // Nothing is inserted.
            assert!(opened(replace(pattern, "")).is_ok());
        }
        for pattern in [r"(?<!\n)^", "^", "$", r"\A(?=.)", "x+", ".*"] {
            assert!(opened(replace(regex(pattern), "a")).is_ok(), "{pattern}");
        }
        assert!(opened(replace(regex("("), "a")).is_err());
    }

    #[test]
    fn a_duplicate_key_is_rejected() {
        let text = file(Value::Null).replace("\"hi\":1", "\"hi\":1,\"hi\":0");
        let error = read(Path::new("tokenizer.json"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("duplicate key `hi`"), "{error}");
    }

    #[test]
    fn base64_by_hand() {
        for (text, bytes) in
            [("", &b""[..]), ("TQ==", b"M"), ("TWE=", b"Ma"), ("TWFu", b"Man"), ("+/+/", &[0xfb, 0xff, 0xbf])]
        {
            assert_eq!(from_base64(text).as_deref(), Some(bytes), "{text}");
            assert_eq!(to_base64(bytes), text.trim_end_matches('='));
        }
        assert_eq!(from_base64("a b"), None);
    }
}

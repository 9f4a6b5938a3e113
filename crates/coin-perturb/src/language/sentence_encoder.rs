//! Sentences as vectors, for constraints on their similarity.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation;

/// Makes a vector of a text. An implementation by a neural encoder takes the place of [`SurfaceEncoder`] wherever one
/// is held.
pub trait SentenceEncoder: fmt::Debug + Send + Sync {
    /// What it is, for the recipe.
    fn describe(&self) -> String;

    /// The vector of `text`, of the same length for all texts.
    fn encode(&self, text: &str) -> Vec<f32>;

    /// Whether the vector of a text is exactly the sum of those of its parts wherever it is cut between a space or line feed
    /// and an ASCII letter or digit. Default false.
    fn is_additive(&self) -> bool {
        false
    }
}

/// Cosine of two vectors: 1 for two of zeros, 0 where only one is.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let (aa, bb) = (dot(a, a), dot(b, b));
    match (aa > 0.0, bb > 0.0) {
        (true, true) => (dot(a, b) / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0),
        (a_has, b_has) => f32::from(u8::from(a_has == b_has)),
    }
}

/// Counts of words and of groups of three characters, in lower case, hashed to 2,048 numbers. Ours; it needs no model.
///
/// It sees spelling, not meaning: `film` is as far from `movie` as from `lions`, so similarity by it bounds how much of
/// the text changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurfaceEncoder;

/// Length of the vectors: an instruction has about 150 different groups, few of which then meet.
const DIMENSIONS: usize = 2048;

impl SentenceEncoder for SurfaceEncoder {
    fn describe(&self) -> String {
        "surface".to_owned()
    }

    fn encode(&self, text: &str) -> Vec<f32> {
        let mut counts = vec![0.0_f32; DIMENSIONS];
        let mut count = |hash: u64| counts[hash as usize % DIMENSIONS] += 1.0;
        for word in text.to_lowercase().unicode_words() {
            count(hash(word.chars(), 0));
            // The word's borders belong to its groups: `a` of `a b` is ` a `.
            let bordered: Vec<char> = std::iter::once(' ').chain(word.chars()).chain(std::iter::once(' ')).collect();
            for group in bordered.windows(3) {
                count(hash(group.iter().copied(), 1));
            }
        }
        counts
    }

    /// Counts are whole numbers, which add up exactly below 2^24.
    fn is_additive(&self) -> bool {
        true
    }
}

/// FNV-1a over characters, with `salt` first; its high bits folded in, since low bits alone mix too little.
fn hash(characters: impl Iterator<Item = char>, salt: u64) -> u64 {
    let step = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x0100_0000_01b3);
    let hash = characters
        .fold(step(0xcbf2_9ce4_8422_2325, salt), |hash, character| step(hash, u64::from(u32::from(character))));
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similarity(a: &str, b: &str) -> f32 {
        cosine(&SurfaceEncoder.encode(a), &SurfaceEncoder.encode(b))
    }

    #[test]
    fn counts_by_hand() {
        // `ab` has the word and the groups ` ab` and `ab `: three ones.
        assert_eq!(SurfaceEncoder.encode("Ab!").iter().sum::<f32>(), 3.0);
        // `ab` and `ac` share nothing; `ab ac` shares three of its six counts with `ab`: 3 / (sqrt 3 sqrt 6).
        assert!(similarity("ab", "ac") < 1e-6);
        assert!((similarity("ab", "ab ac") - 0.5_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn texts_without_words() {
        assert_eq!((similarity("", "!"), similarity("", "a")), (1.0, 0.0));
        assert!(similarity("文の意味", "文の意味") > 0.999_999);
    }
}

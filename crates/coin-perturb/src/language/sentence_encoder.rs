//! Sentences as vectors, for constraints on their similarity.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation;

/// Computes the vector of a text. An implementation with a neural encoder can replace [`SurfaceEncoder`] everywhere.
pub trait SentenceEncoder: fmt::Debug + Send + Sync {
    /// A description for the recipe.
    fn describe(&self) -> String;

    /// The vector of `text`. All vectors have the same length.
    fn encode(&self, text: &str) -> Vec<f32>;

    /// True if the vector of a text is exactly the sum of the vectors of its parts for every cut between a space or line feed
    /// and a letter or digit of any script that is not a combining mark. Default false.
    fn is_additive(&self) -> bool {
        false
    }
}

/// Cosine of two vectors: 1 if both are zero, 0 if only one is.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    let (aa, bb) = (dot(a, a), dot(b, b));
    match (aa > 0.0, bb > 0.0) {
        (true, true) => (dot(a, b) / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0),
        (a_has, b_has) => f32::from(u8::from(a_has == b_has)),
    }
}

/// Counts of words and of groups of three characters, in lower case, hashed to 2,048 numbers. Defined by this project, without a model.
///
/// It depends on spelling, not on meaning: `film` is as far from `movie` as from `lions`. A bound on this similarity therefore limits
/// how much of the text changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurfaceEncoder;

/// Length of the vectors. An instruction has about 150 different groups, few of which then collide.
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
            // The borders of the word are part of its groups: `a` of `a b` is ` a `.
            let bordered: Vec<char> = std::iter::once(' ').chain(word.chars()).chain(std::iter::once(' ')).collect();
            for group in bordered.windows(3) {
                count(hash(group.iter().copied(), 1));
            }
        }
        counts
    }

    /// Counts are whole numbers, whose sums are exact below 2^24.
    fn is_additive(&self) -> bool {
        true
    }
}

/// FNV-1a over `salt` and the characters. The high bits are folded in, since the low bits alone are not mixed well.
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

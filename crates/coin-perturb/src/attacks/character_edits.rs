//! Edits of one character within a word, in graphemes: swap, substitution, deletion, insertion.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use unicode_segmentation::UnicodeSegmentation;

/// A word as its graphemes. Invisible marks, such as those of text direction, are never moved.
pub(crate) struct Spelling<'a>(Vec<&'a str>);

impl<'a> Spelling<'a> {
    pub fn new(word: &'a str) -> Spelling<'a> {
        Spelling(word.graphemes(true).collect())
    }

    /// Number of graphemes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The grapheme at `position`.
    pub fn at(&self, position: usize) -> Option<&'a str> {
        self.0.get(position).copied()
    }

    /// The word with the graphemes at `first` and `first + 1` swapped.
    pub fn swapped(&self, first: usize) -> Option<String> {
        let mut graphemes = self.0.clone();
        let (left, right) = (*graphemes.get(first)?, *graphemes.get(first + 1)?);
        if left == right || is_invisible(left) || is_invisible(right) {
            return None;
        }
        graphemes.swap(first, first + 1);
        joined(&graphemes)
    }

    /// The word with `new` in place of the grapheme at `position`.
    pub fn substituted(&self, position: usize, new: &str) -> Option<String> {
        let mut graphemes = self.0.clone();
        let old = graphemes.get_mut(position).filter(|old| **old != new && !is_invisible(old))?;
        *old = new;
        joined(&graphemes)
    }

    /// The word without the grapheme at `position`; never the empty word.
    pub fn without(&self, position: usize) -> Option<String> {
        let mut graphemes = self.0.clone();
        if graphemes.len() < 2 || is_invisible(graphemes.get(position)?) {
            return None;
        }
        graphemes.remove(position);
        joined(&graphemes)
    }

    /// The word with `new` in front of the grapheme at `position`.
    pub fn inserted(&self, position: usize, new: &str) -> Option<String> {
        let mut graphemes = self.0.clone();
        if position >= graphemes.len() {
            return None;
        }
        graphemes.insert(position, new);
        joined(&graphemes)
    }
}

/// True if `grapheme` is an invisible mark, such as one of text direction. A word without it would look the same, or would change how
/// the surrounding text looks.
fn is_invisible(grapheme: &str) -> bool {
    grapheme.chars().all(|character| {
        character.is_control()
            || matches!(
                character,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            )
    })
}

/// The graphemes as one word; `None` if some of them would merge.
fn joined(graphemes: &[&str]) -> Option<String> {
    let word = graphemes.concat();
    (word.is_ascii() || word.graphemes(true).eq(graphemes.iter().copied())).then_some(word)
}

/// A random ASCII letter of either case, as TextAttack draws it.
pub(crate) fn letter(rng: &mut ChaCha8Rng) -> String {
    let index = rng.random_range(0..52_u8);
    char::from(if index < 26 { b'a' + index } else { b'A' + index - 26 }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_by_hand() {
        let word = Spelling::new("soon");
        assert_eq!(word.swapped(0).as_deref(), Some("oson"));
        assert_eq!(word.swapped(1), None);
        assert_eq!(word.swapped(3), None);
        assert_eq!(word.substituted(3, "X").as_deref(), Some("sooX"));
        assert_eq!(word.substituted(3, "n"), None);
        assert_eq!(word.without(0).as_deref(), Some("oon"));
        assert_eq!(word.inserted(0, "z").as_deref(), Some("zsoon"));
        assert_eq!(word.inserted(4, "z"), None);
        assert_eq!(Spelling::new("x").without(0), None);
    }

    #[test]
    fn graphemes_neither_split_nor_merge() {
        let word = Spelling::new("re\u{301}s");
        assert_eq!((word.len(), word.swapped(0).as_deref()), (3, Some("e\u{301}rs")));
        // A mark of text direction is neither removed nor moved.
        let word = Spelling::new("a\u{200f}b");
        assert_eq!(
            (word.without(1), word.swapped(0), word.swapped(1), word.substituted(1, "x")),
            (None, None, None, None)
        );
        // The halves of a flag would merge without the letter between them.
        assert_eq!(Spelling::new("\u{1f1e9}x\u{1f1ea}").without(1), None);
    }
}

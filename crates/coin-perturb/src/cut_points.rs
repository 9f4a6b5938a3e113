//! Places at which a text can be cut into independent parts.
//!
//! A word always begins between a space or line feed and a letter or digit of any script. No rule for words, graphemes or lower case
//! depends on both sides of such a place. A computation that works word by word can therefore work on the parts.

use unicode_segmentation::UnicodeSegmentation;

/// True if `text` can be cut at byte `at`.
fn is_cut(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    if at == 0 || at >= bytes.len() || !matches!(bytes[at - 1], b' ' | b'\n') {
        return false;
    }
    // A space is one byte, so a character begins at `at`.
    bytes[at].is_ascii_alphanumeric() || text[at..].chars().next().is_some_and(begins_word)
}

/// True for letters and digits. Some vowel signs count as letters but belong to the character before them; they begin nothing.
fn begins_word(character: char) -> bool {
    let behind_space = String::from_iter([' ', character]);
    character.is_alphanumeric()
        && behind_space.graphemes(true).count() == 2
        && behind_space.split_word_bounds().count() == 2
}

/// The `count`-th cut before byte `at`, counted backwards from it; 0 if there are fewer.
pub(crate) fn before(text: &str, at: usize, count: usize) -> usize {
    (1..at).rev().filter(|at| is_cut(text, *at)).nth(count.saturating_sub(1)).unwrap_or(0)
}

/// The `count`-th cut after byte `at`; the length of the text if there are fewer.
pub(crate) fn after(text: &str, at: usize, count: usize) -> usize {
    (at + 1..text.len()).filter(|at| is_cut(text, *at)).nth(count.saturating_sub(1)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_hand() {
        let text = "a bc, \u{e9}d 1f\n\u{301}g h";
        assert_eq!((before(text, 13, 1), before(text, 13, 2), before(text, 13, 3)), (10, 6, 2));
        assert_eq!((after(text, 2, 1), after(text, 2, 2), after(text, 2, 3), after(text, 2, 4)), (6, 10, 17, 18));
        assert_eq!((before(text, 2, 1), after("ab", 2, 1)), (0, 2));
    }

    #[test]
    fn letters_of_every_script_begin_words_but_marks_do_not() {
        for letter in
            ['\u{436}', '\u{e9}', '\u{3b1}', '\u{5d0}', '\u{628}', '\u{915}', '\u{e01}', '\u{ac00}', '\u{6587}']
        {
            assert!(begins_word(letter), "{letter}");
        }
        // Vowel signs, a sound mark, and an invisible mark.
        for mark in ['\u{93e}', '\u{e33}', '\u{102b}', '\u{345}', '\u{ff9e}', '\u{200d}', '!'] {
            assert!(!begins_word(mark), "{mark}");
        }
    }

    /// Cuts of a text with every letter and digit of Unicode after a space.
    #[test]
    fn every_letter_and_digit() {
        for character in ('\u{80}'..=char::MAX).filter(|character| begins_word(*character)) {
            for (left, right) in [("a\u{3a3} ", ""), ("\u{1f1ea} ", "\u{301}\u{3a3}"), (".\u{200d} ", ".a")] {
                let right = format!("{character}{right}");
                let text = format!("{left}{right}");
                assert!(text.unicode_words().eq(left.unicode_words().chain(right.unicode_words())), "{text:?}");
                assert!(text.graphemes(true).eq(left.graphemes(true).chain(right.graphemes(true))), "{text:?}");
                assert_eq!(text.to_lowercase(), left.to_lowercase() + &right.to_lowercase(), "{text:?}");
                assert!(right.unicode_words().next().is_some_and(|word| word.starts_with(character)), "{text:?}");
            }
        }
    }

    #[test]
    fn the_parts_are_those_of_the_whole() {
        use rand::Rng;
        let pieces = [
            "a",
            "Z",
            "3",
            " ",
            "\n",
            "\r\n",
            "'",
            ".",
            "\u{301}",
            "\u{3a3}",
            "\u{1f1ea}",
            "\u{200d}",
            "\u{1f469}",
            "文",
            "\u{130}",
            "\u{436}",
            "\u{e9}",
            "\u{915}",
            "\u{93f}",
            "\u{5d0}",
            "\u{e33}",
            "\u{ff9e}",
        ];
        let mut rng = coin_core::stream::keyed(8, &["cuts"]);
        for _ in 0..5000 {
            let count = rng.random_range(0..24);
            let text: String = (0..count).map(|_| pieces[rng.random_range(0..pieces.len())]).collect();
            for at in (0..text.len()).filter(|at| is_cut(&text, *at)) {
                let (left, right) = text.split_at(at);
                assert!(text.unicode_words().eq(left.unicode_words().chain(right.unicode_words())), "{text:?} {at}");
                assert!(text.graphemes(true).eq(left.graphemes(true).chain(right.graphemes(true))), "{text:?} {at}");
                assert_eq!(text.to_lowercase(), left.to_lowercase() + &right.to_lowercase(), "{text:?} {at}");
            }
        }
    }
}

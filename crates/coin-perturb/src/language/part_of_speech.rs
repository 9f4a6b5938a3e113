//! Parts of speech by the rules of this project: a list of words of instructions, regular inflections, suffixes.
//!
//! The rules replace a trained tagger and are less precise. They look at a single word, so they return every class that the word can
//! have (`answer`: noun and verb), regardless of the sentence. A word that is neither listed nor recognized by its ending may be a noun,
//! a verb or an adjective. The rules are for English only; a word in other letters may have any class.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::stop_words;

/// The classes that a word may belong to.
///
/// ```
/// use coin_perturb::WordClasses;
/// assert_eq!(WordClasses::of("Answers"), WordClasses::NOUN | WordClasses::VERB);
/// assert_eq!(WordClasses::of("quickly"), WordClasses::ADVERB);
/// assert_eq!(WordClasses::of("the"), WordClasses::FUNCTION);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordClasses(u8);

impl WordClasses {
    /// Nouns.
    pub const NOUN: WordClasses = WordClasses(1);
    /// Verbs in any form.
    pub const VERB: WordClasses = WordClasses(2);
    /// Adjectives, participles used as adjectives, numerals.
    pub const ADJECTIVE: WordClasses = WordClasses(4);
    /// Adverbs.
    pub const ADVERB: WordClasses = WordClasses(8);
    /// Articles, pronouns, prepositions, conjunctions, auxiliaries.
    pub const FUNCTION: WordClasses = WordClasses(16);
    /// All classes except function words.
    pub const OPEN: WordClasses = WordClasses(15);

    /// The classes that `word`, in any case, can have; at least one.
    pub fn of(word: &str) -> WordClasses {
        let word = word.to_lowercase();
        let mut found = listed(&word);
        for (suffix, classes, stem_endings, of_stem) in INFLECTIONS {
            let Some(stem) = word.strip_suffix(suffix).filter(|stem| stem.len() > 1) else { continue };
            if stem_endings.iter().any(|ending| listed(&format!("{stem}{ending}")).meets(of_stem)) {
                found = found | classes;
            } else if let Some(single) = undoubled(stem)
                && suffix != "s"
                && listed(single).meets(of_stem)
            {
                found = found | classes;
            }
        }
        if found != WordClasses(0) {
            return found;
        }
        let by_ending = SUFFIXES.iter().find(|(suffix, _)| word.len() > suffix.len() + 2 && word.ends_with(suffix));
        match by_ending {
            Some((_, classes)) => *classes,
            None if !word.is_ascii() => WordClasses::OPEN,
            // An unlisted word that ends in `s` is a plural or the third person of a verb.
            None if word.ends_with('s') && !["ss", "us", "is"].iter().any(|ending| word.ends_with(ending)) => {
                WordClasses::NOUN | WordClasses::VERB
            }
            // The few adverbs without the usual ending are listed.
            None => WordClasses::NOUN | WordClasses::VERB | WordClasses::ADJECTIVE,
        }
    }

    /// True if the two have a class in common.
    pub fn meets(self, other: WordClasses) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for WordClasses {
    type Output = WordClasses;

    fn bitor(self, other: WordClasses) -> WordClasses {
        WordClasses(self.0 | other.0)
    }
}

/// Ending, the classes of the form, the text that completes the stem to a listed word, and the classes of that word.
type Inflection = (&'static str, WordClasses, &'static [&'static str], WordClasses);

const INFLECTIONS: [Inflection; 11] = [
    ("s", WordClasses::NOUN, &["", "e"], WordClasses::NOUN),
    ("s", WordClasses::VERB, &["", "e"], WordClasses::VERB),
    ("es", WordClasses::NOUN, &[""], WordClasses::NOUN),
    ("es", WordClasses::VERB, &[""], WordClasses::VERB),
    ("ies", WordClasses::NOUN, &["y"], WordClasses::NOUN),
    ("ies", WordClasses::VERB, &["y"], WordClasses::VERB),
    ("ed", WordClasses(2 | 4), &["", "e"], WordClasses::VERB),
    ("ied", WordClasses(2 | 4), &["y"], WordClasses::VERB),
    ("ing", WordClasses(1 | 2 | 4), &["", "e"], WordClasses::VERB),
    ("er", WordClasses::ADJECTIVE, &["", "e"], WordClasses::ADJECTIVE),
    ("est", WordClasses::ADJECTIVE, &["", "e"], WordClasses::ADJECTIVE),
];

/// Endings of unlisted words; the first match counts.
const SUFFIXES: [(&str, WordClasses); 38] = [
    ("ly", WordClasses::ADVERB),
    ("ward", WordClasses(4 | 8)),
    ("wards", WordClasses::ADVERB),
    ("tion", WordClasses::NOUN),
    ("tions", WordClasses::NOUN),
    ("sion", WordClasses::NOUN),
    ("sions", WordClasses::NOUN),
    ("ment", WordClasses::NOUN),
    ("ments", WordClasses::NOUN),
    ("ness", WordClasses::NOUN),
    ("ity", WordClasses::NOUN),
    ("ities", WordClasses::NOUN),
    ("ance", WordClasses::NOUN),
    ("ence", WordClasses::NOUN),
    ("ship", WordClasses::NOUN),
    ("ships", WordClasses::NOUN),
    ("hood", WordClasses::NOUN),
    ("ism", WordClasses::NOUN),
    ("ist", WordClasses::NOUN),
    ("ology", WordClasses::NOUN),
    ("ers", WordClasses::NOUN),
    ("ors", WordClasses::NOUN),
    ("ful", WordClasses::ADJECTIVE),
    ("less", WordClasses::ADJECTIVE),
    ("ous", WordClasses::ADJECTIVE),
    ("able", WordClasses::ADJECTIVE),
    ("ible", WordClasses::ADJECTIVE),
    ("ive", WordClasses(1 | 4)),
    ("ical", WordClasses::ADJECTIVE),
    ("ish", WordClasses(2 | 4)),
    ("ize", WordClasses::VERB),
    ("izes", WordClasses::VERB),
    ("ise", WordClasses(1 | 2)),
    ("ify", WordClasses::VERB),
    ("ifies", WordClasses::VERB),
    ("ing", WordClasses(1 | 2 | 4)),
    ("ed", WordClasses(2 | 4)),
    ("ic", WordClasses(1 | 4)),
];

static LISTED: LazyLock<HashMap<&'static str, WordClasses>> = LazyLock::new(|| {
    let mut listed = HashMap::new();
    for line in include_str!("../../lexicon/word_classes.txt").lines() {
        let Some((name, words)) = line.split_once(": ") else { continue };
        let Some(class) = named(name) else { continue };
        for word in words.split_whitespace() {
            let classes = listed.entry(word).or_insert(WordClasses(0));
            *classes = *classes | class;
        }
    }
    listed
});

fn named(name: &str) -> Option<WordClasses> {
    match name {
        "noun" => Some(WordClasses::NOUN),
        "verb" => Some(WordClasses::VERB),
        "adjective" => Some(WordClasses::ADJECTIVE),
        "adverb" => Some(WordClasses::ADVERB),
        "function" => Some(WordClasses::FUNCTION),
        _ => None,
    }
}

/// The classes of a word in lower case that is listed or a stop word; otherwise empty.
fn listed(word: &str) -> WordClasses {
    let listed = LISTED.get(word).copied().unwrap_or(WordClasses(0));
    if stop_words::contains(word) { listed | WordClasses::FUNCTION } else { listed }
}

/// `stop` of `stopp`, whose last letter is doubled before an ending.
fn undoubled(stem: &str) -> Option<&str> {
    let (last, rest) = (stem.chars().next_back()?, &stem[..stem.len() - stem.chars().next_back()?.len_utf8()]);
    rest.ends_with(last).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_well_formed() {
        for line in include_str!("../../lexicon/word_classes.txt").lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, words) = line.split_once(": ").unwrap();
            assert!(named(name).is_some(), "{name}");
            assert!(words.split_whitespace().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())), "{line}");
        }
        assert!(LISTED.len() > 1000, "{}", LISTED.len());
    }

    #[test]
    fn classes_by_hand() {
        use WordClasses as C;
        let expected = [
            ("determine", C::VERB),
            ("sentences", C::NOUN),
            ("Answer", C::NOUN | C::VERB),
            ("classifies", C::VERB),
            ("categories", C::NOUN),
            ("tagged", C::VERB | C::ADJECTIVE),
            ("tagging", C::NOUN | C::VERB | C::ADJECTIVE),
            ("deduced", C::VERB | C::ADJECTIVE),
            ("closer", C::ADJECTIVE),
            ("grammatically", C::ADVERB),
            ("obfuscation", C::NOUN),
            ("whether", C::FUNCTION),
            ("zyx", C::NOUN | C::VERB | C::ADJECTIVE),
            ("zyxs", C::NOUN | C::VERB),
            ("zyxss", C::NOUN | C::VERB | C::ADJECTIVE),
            ("文", C::OPEN),
        ];
        for (word, classes) in expected {
            assert_eq!(C::of(word), classes, "{word}");
        }
    }
}

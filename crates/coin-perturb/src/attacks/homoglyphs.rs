//! Letters that look like ASCII letters.

/// ASCII letters with a letter of another script, or a letter-like symbol, that looks the same in most fonts. Selected for this project
/// from the Unicode character charts; those of `b`, `k`, `r` and `z` are the least similar. Sorted by the ASCII letter.
const HOMOGLYPHS: [(char, char); 52] = [
    ('A', '\u{0410}'),  // Cyrillic
    ('B', '\u{0412}'),  // Cyrillic ve
    ('C', '\u{0421}'),  // Cyrillic es
    ('D', '\u{13a0}'),  // Cherokee a
    ('E', '\u{0415}'),  // Cyrillic ie
    ('F', '\u{03dc}'),  // Greek digamma
    ('G', '\u{050c}'),  // Cyrillic Komi sje
    ('H', '\u{041d}'),  // Cyrillic en
    ('I', '\u{0406}'),  // Cyrillic Byelorussian-Ukrainian i
    ('J', '\u{0408}'),  // Cyrillic je
    ('K', '\u{041a}'),  // Cyrillic ka
    ('L', '\u{13de}'),  // Cherokee tle
    ('M', '\u{041c}'),  // Cyrillic em
    ('N', '\u{039d}'),  // Greek nu
    ('O', '\u{041e}'),  // Cyrillic o
    ('P', '\u{0420}'),  // Cyrillic er
    ('Q', '\u{051a}'),  // Cyrillic qa
    ('R', '\u{13a1}'),  // Cherokee e
    ('S', '\u{0405}'),  // Cyrillic dze
    ('T', '\u{0422}'),  // Cyrillic te
    ('U', '\u{054d}'),  // Armenian seh
    ('V', '\u{0474}'),  // Cyrillic izhitsa
    ('W', '\u{051c}'),  // Cyrillic we
    ('X', '\u{0425}'),  // Cyrillic ha
    ('Y', '\u{04ae}'),  // Cyrillic straight u
    ('Z', '\u{0396}'),  // Greek zeta
    ('a', '\u{0430}'),  // Cyrillic
    ('b', '\u{0185}'),  // Latin tone six
    ('c', '\u{0441}'),  // Cyrillic es
    ('d', '\u{0501}'),  // Cyrillic Komi de
    ('e', '\u{0435}'),  // Cyrillic ie
    ('f', '\u{1d5bf}'), // mathematical sans-serif
    ('g', '\u{0261}'),  // Latin script g
    ('h', '\u{04bb}'),  // Cyrillic shha
    ('i', '\u{0456}'),  // Cyrillic Byelorussian-Ukrainian i
    ('j', '\u{0458}'),  // Cyrillic je
    ('k', '\u{03ba}'),  // Greek kappa
    ('l', '\u{04cf}'),  // Cyrillic palochka
    ('m', '\u{217f}'),  // Roman numeral one thousand
    ('n', '\u{0578}'),  // Armenian vo
    ('o', '\u{043e}'),  // Cyrillic o
    ('p', '\u{0440}'),  // Cyrillic er
    ('q', '\u{051b}'),  // Cyrillic qa
    ('r', '\u{1d26}'),  // Greek small capital gamma
    ('s', '\u{0455}'),  // Cyrillic dze
    ('t', '\u{1d5cd}'), // mathematical sans-serif
    ('u', '\u{057d}'),  // Armenian seh
    ('v', '\u{0475}'),  // Cyrillic izhitsa
    ('w', '\u{051d}'),  // Cyrillic we
    ('x', '\u{0445}'),  // Cyrillic ha
    ('y', '\u{0443}'),  // Cyrillic u
    ('z', '\u{1d22}'),  // Latin small capital z
];

/// The homoglyph of `grapheme`, if it is a letter in the table.
pub(crate) fn of(grapheme: &str) -> Option<char> {
    let mut characters = grapheme.chars();
    let (letter, None) = (characters.next()?, characters.next()) else { return None };
    HOMOGLYPHS.binary_search_by_key(&letter, |pair| pair.0).ok().map(|index| HOMOGLYPHS[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_letters_with_letters_of_the_same_case() {
        assert!(HOMOGLYPHS.is_sorted_by(|a, b| a.0 < b.0));
        for (letter, other) in HOMOGLYPHS {
            assert!(letter.is_ascii_alphabetic() && !other.is_ascii() && other.is_alphabetic(), "{letter}");
            assert_eq!(of(&letter.to_string()), Some(other));
            // The upper and lower case of Armenian, Cherokee and Latin homoglyphs are in different places, but the case still matches.
            assert_eq!(letter.is_uppercase(), other.is_uppercase(), "{letter}");
        }
        assert_eq!((of("1"), of("e\u{301}"), of("")), (None, None, None));
    }
}

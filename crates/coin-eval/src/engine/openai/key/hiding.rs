//! Hides a key in text from a server, in every encoding in which it may appear.
//!
//! Each character may appear literally, after backslashes (`\/`), as a JSON escape (`\u002f`, also in JSON within JSON), as a
//! URL escape (`%2F`) or as an HTML entity (`&#47;`, `&#x2f;`). The key may also be part of a Base64 text, such as a request
//! header. Its Base64 digits then depend on its position in the text, with three possible alignments.

/// The shortest key that is hidden. A shorter one is not a secret and may be an ordinary word: some servers accept any key,
/// such as `none`.
const SHORTEST: usize = 8;

/// Replaces each occurrence of `key` in `text` with `(hidden)`.
pub(super) fn hide(key: &str, text: &str) -> String {
    if key.len() < SHORTEST {
        return text.to_owned();
    }
    let forms: Vec<Vec<u8>> = std::iter::once(key.as_bytes().to_vec()).chain(in_base64(key.as_bytes())).collect();
    let may_begin = |byte: u8| matches!(byte, b'\\' | b'%' | b'&') || forms.iter().any(|form| form[0] == byte);
    let begins: Vec<bool> = (0..=u8::MAX).map(may_begin).collect();
    let bytes = text.as_bytes();
    let (mut hidden, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let found =
            if begins[usize::from(bytes[at])] { forms.iter().find_map(|form| spelled(bytes, at, form)) } else { None };
        match found {
            // A form is ASCII, so it begins and ends at character boundaries.
            Some(end) => {
                hidden.push_str(&text[copied..at]);
                hidden.push_str("(hidden)");
                (copied, at) = (end, end);
            }
            None => at += 1,
        }
    }
    hidden.push_str(&text[copied..]);
    hidden
}

/// Returns the end of `form` if it is spelled out starting at byte `at`.
fn spelled(bytes: &[u8], mut at: usize, form: &[u8]) -> Option<usize> {
    for expected in form {
        at = character(bytes, at, *expected)?;
    }
    Some(at)
}

/// Returns the end of the character `expected` if one of its spellings starts at byte `at`.
fn character(bytes: &[u8], at: usize, expected: u8) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if *rest.first()? == expected {
        return Some(at + 1);
    }
    let number = |digits: &[u8], radix: u32| u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok();
    let is = |found: Option<u32>| found == Some(u32::from(expected));
    match rest {
        [b'\\', ..] => {
            let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
            match &rest[slashes..] {
                [byte, ..] if *byte == expected => Some(at + slashes + 1),
                [b'u', escape @ ..] if is(number(escape.get(..4)?, 16)) => Some(at + slashes + 5),
                _ => None,
            }
        }
        [b'%', escape @ ..] if is(number(escape.get(..2)?, 16)) => Some(at + 3),
        [b'&', b'#', entity @ ..] => {
            let length = entity.iter().take(8).position(|byte| *byte == b';')?;
            let found = match entity[..length].strip_prefix(b"x").or_else(|| entity[..length].strip_prefix(b"X")) {
                Some(digits) => number(digits, 16),
                None => number(&entity[..length], 10),
            };
            is(found).then_some(at + 2 + length + 1)
        }
        _ => None,
    }
}

/// Returns the Base64 digits that encode only bits of `key` within a longer text, in both alphabets.
fn in_base64(key: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let bits: Vec<bool> = key.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    // The first digit may begin 0, 2 or 4 bits after the beginning of the key.
    let of = move |skipped: usize, more: [u8; 2]| {
        let value = |digit: &[bool]| digit.iter().fold(0, |value, bit| 2 * value + usize::from(*bit));
        let digit = |digit: &[bool]| DIGITS.get(value(digit)).copied().unwrap_or_else(|| more[value(digit) - 62]);
        bits[skipped..].chunks_exact(6).map(digit).collect()
    };
    [b"+/", b"-_"]
        .into_iter()
        .flat_map(|more| [0, 2, 4].map(|skipped| (skipped, *more)))
        .map(move |(skipped, more)| of(skipped, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-a/B+9=z";

    #[test]
    fn every_spelling_is_hidden() {
        for spelled in [
            r"sk-a/B+9=z",
            r"sk-a\/B+9=z",
            r"\u0073k-a\u002FB\u002b9=z",
            r"sk-a\\/B+9\\u003dz",
            "sk-a%2FB%2b9%3Dz",
            "sk-a&#47;B&#x2b;9&#X3D;z",
        ] {
            assert_eq!(hide(KEY, &format!("é {spelled}.")), "é (hidden).", "{spelled}");
            assert_eq!(hide(KEY, &format!("{spelled}{spelled}")), "(hidden)(hidden)", "{spelled}");
        }
        for other in ["", "sk-a/B+9=", "sk-a%2", r"\\", "&#", "&#47", r"sk-a\u00", "Sk-a/B+9=z", "é"] {
            assert_eq!(hide(KEY, other), other);
        }
    }

    #[test]
    fn a_part_of_base64_is_hidden() {
        // `printf 'Bearer sk-a/B+9=z' | base64`, also with one and two characters before it.
        for text in ["QmVhcmVyIHNrLWEvQis5PXo=", "OkJlYXJlciBzay1hL0IrOT16", "YTpCZWFyZXIgc2stYS9CKzk9eg=="] {
            let hidden = hide(KEY, text);
            assert!(hidden.contains("(hidden)") && hidden.len() < text.len(), "{text}: {hidden}");
        }
    }

    #[test]
    fn a_word_that_anyone_may_write_stays() {
        assert_eq!(hide("none", "none of them"), "none of them");
    }

    #[test]
    fn what_hides_a_key_leaves_json_whole() {
        let answer = r#"{"a": "C:\\sk-a\/B+9=z\n", "b": "\u0073k-a/B+9=z"}"#;
        let value: serde_json::Value = serde_json::from_str(&hide(KEY, answer)).unwrap();
        assert_eq!((value["a"].as_str(), value["b"].as_str()), (Some("C:(hidden)\n"), Some("(hidden)")));
    }
}

//! Tests of the parser of Python literals.

#[path = "../../../tests/damage/mod.rs"]
mod damage;

use proptest::prelude::*;

use super::*;
use damage::{damaged, runner};

fn json(text: &str) -> String {
    parse(text).unwrap().to_string()
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string().replace("python literal, ", "")
}

#[test]
fn what_repr_writes_is_read() {
    // Written by Python 3.11: repr({...}) of strings that need either kind of quotes, both, and escapes.
    let text = r#"{'a': "it's", 'b': 'say "no"', 'c': 'it\'s "so"', 'd': 'tab\there\nback\\slash', 'e': '\x07\u200b\U000e0001é'}"#;
    let expected = serde_json::json!({
        "a": "it's", "b": "say \"no\"", "c": "it's \"so\"", "d": "tab\there\nback\\slash",
        "e": "\u{7}\u{200b}\u{e0001}é"
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json(text)).unwrap(), expected);
    assert_eq!(
        json("{'idx': 3, 'f': -1.5e-07, 'none': None, 'y': True, 'n': False}"),
        r#"{"idx":3,"f":-1.5e-07,"none":null,"y":true,"n":false}"#
    );
    assert_eq!(
        json("{'options': ['a', ['b', {}]], 7: (1, 2), 'one': (1,)}"),
        r#"{"options":["a",["b",{}]],"7":[1,2],"one":[1]}"#
    );
    assert_eq!(json(" ( 'x' ) "), r#""x""#);
    assert_eq!(json("123456789012345678901234567890"), "123456789012345678901234567890");
    assert_eq!(json("[-inf, nan, .5, 1_000, 1.]"), "[-inf,nan,.5,1000,1.]");
    assert_eq!(json("[]"), "[]");
    assert_eq!(json("()"), "[]");
}

#[test]
fn errors_have_the_offset() {
    assert_eq!(message("{'a': 'b"), "byte 6: the string that begins here has no closing quote");
    assert_eq!(message("{'a' 1}"), "byte 5: expected `:`, found `1`");
    assert_eq!(message("{'a': 1 'b': 2}"), "byte 8: expected `,` or `}`, found `'`");
    assert_eq!(message("['é' 1]"), "byte 6: expected `,` or `]`, found `1`");
    assert_eq!(message("{'a': 1"), "byte 7: expected `,` or `}`, found the end");
    assert_eq!(message(""), "byte 0: expected a value, found the end");
    assert_eq!(message("{,}"), "byte 1: expected a value, found `,`");
    assert_eq!(message("{(1, 2): 3}"), "byte 1: expected a string, a number or a name as key, found `(`");
    assert_eq!(message("1 2"), "byte 2: expected the end, found `2`");
    assert_eq!(message("array([1])"), "byte 0: unknown name `array`");
    assert_eq!(message(r"'\q'"), r"byte 1: unknown escape `\q`");
    assert_eq!(message(r"'\x4'"), r"byte 1: `\x` without its 2 hexadecimal digits");
    assert_eq!(message(r"'\u00é'"), r"byte 1: `\u` without its 4 hexadecimal digits");
    assert_eq!(message(r"'\ud800'"), r"byte 1: `\u` with d800, which is not a character");
    assert_eq!(message("[1-2]"), "byte 2: expected `,` or `]`, found `-`");
    assert_eq!(message("1e"), "byte 2: expected a digit, found the end");
    assert_eq!(message("12a"), "byte 2: expected the end of the number, found `a`");
    assert_eq!(message(&"[".repeat(100_000)), "byte 101: nested deeper than 100");
}

#[test]
fn values_are_shown_as_json() {
    let value = parse(r#"{'text': "It's so", 'n': [1, None]}"#).unwrap();
    assert_eq!(value.to_string(), r#"{"text":"It's so","n":[1,null]}"#);
    assert_eq!(parse("'caf\\xe9'").unwrap(), Literal::Text("café".to_owned()));
    assert_eq!(parse("{'a': b}").unwrap_err().to_string(), "python literal, byte 6: unknown name `b`");
}

#[test]
fn arbitrary_and_damaged_texts_do_not_panic() {
    let valid = r#"{'x': "it's", 'n': [1, -2.5e3, None, True], 'd': {'y': ('é\n\x41\u00e9\U0001f600', .5)}, 3: nan}"#;
    parse(valid).unwrap();
    let check = |text: String| {
        match parse(&text) {
            Ok(value) => drop(value.to_string()),
            Err(LiteralError { offset, .. }) => prop_assert!(text.is_char_boundary(offset)),
        }
        Ok(())
    };
    let mut runner = runner();
    runner.run(&any::<String>(), check).unwrap();
    let damaged = damaged(valid.as_bytes()).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    runner.run(&damaged, check).unwrap();
    // Texts that mostly look like literals.
    runner.run(&"[\\[\\]{}(),:'\"\\\\ nxuNoe0-9.+-]{0,40}", check).unwrap();
}

/// Returns the `repr` of `text`, following CPython's `unicode_repr` for ASCII.
fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let body: String = text
        .chars()
        .map(|next| match next {
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\\' => "\\\\".to_owned(),
            next if next == quote => format!("\\{next}"),
            ' '..='~' => next.to_string(),
            next if (next as u32) < 0x100 => format!("\\x{:02x}", next as u32),
            next if (next as u32) < 0x10000 => format!("\\u{:04x}", next as u32),
            next => format!("\\U{:08x}", next as u32),
        })
        .collect();
    format!("{quote}{body}{quote}")
}

proptest! {
    #[test]
    fn strings_come_back(text: String) {
        prop_assert_eq!(parse(&repr(&text)).unwrap(), Literal::Text(text));
    }
}

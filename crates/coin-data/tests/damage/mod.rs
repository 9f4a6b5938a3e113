//! Damaged contents of files, for the tests of readers.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// `valid` with one to four changes.
pub fn damaged(valid: &[u8]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(change(), 1..5).prop_map(move |changes| {
        let mut bytes = valid.to_vec();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        bytes
    })
}

/// Runs the number of cases in `COIN_FUZZ_CASES`, by default 100.
pub fn runner() -> TestRunner {
    let cases = std::env::var("COIN_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() })
}

/// A change to a file.
#[derive(Debug, Clone)]
enum Change {
    /// Replaces a byte.
    Replace(Index, u8),
    /// Flips bits of a byte.
    Turn(Index, u8),
    /// Inserts bytes.
    Insert(Index, Vec<u8>),
    /// Removes a number of bytes.
    Remove(Index, usize),
    /// Copies a number of bytes from one place to another.
    Copy(Index, Index, usize),
    /// Cuts off the rest.
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    // Characters with a meaning in one of the formats are drawn often.
    let byte = || prop_oneof![any::<u8>(), prop::sample::select(&b"\"'\\,:\t\n\r{}[]() \0\xff-19"[..])];
    prop_oneof![
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        2 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Turn(at, 1 << bit)),
        3 => (any::<Index>(), prop::collection::vec(byte(), 1..6)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        3 => (any::<Index>(), 1..20usize).prop_map(|(at, length)| Change::Remove(at, length)),
        2 => (any::<Index>(), any::<Index>(), 1..60usize).prop_map(|(from, to, length)| Change::Copy(from, to, length)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
    match change {
        Change::Replace(at, byte) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Change::Turn(at, bits) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        Change::Replace(..) | Change::Turn(..) => {}
        Change::Insert(at, more) => {
            let at = place(at, bytes);
            bytes.splice(at..at, more.iter().copied());
        }
        Change::Remove(at, length) => {
            let at = place(at, bytes);
            bytes.drain(at..bytes.len().min(at + length));
        }
        Change::Copy(from, to, length) => {
            let (from, to) = (place(from, bytes), place(to, bytes));
            let piece = bytes[from..bytes.len().min(from + length)].to_vec();
            bytes.splice(to..to, piece);
        }
        Change::Cut(at) => {
            let at = place(at, bytes);
            bytes.truncate(at);
        }
    }
}

//! Hashes for checking that a run resumes with the same files.

use coin_data::Pair;
use sha2::{Digest, Sha256};

pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the SHA-256 of the pairs' content.
pub(crate) fn of_pairs(pairs: &[Pair]) -> String {
    let mut hash = Sha256::new();
    for pair in pairs {
        // A pair consists of texts, which JSON can always represent.
        hash.update(serde_json::to_vec(pair).unwrap_or_default());
        hash.update([0]);
    }
    hexadecimal(hash)
}

/// Returns the SHA-256 of several texts.
pub(crate) fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    hexadecimal(hash)
}

//! Hashes that tell whether a run is resumed on the same files.

use coin_data::Pair;
use sha2::{Digest, Sha256};

pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the pairs' content.
pub(crate) fn of_pairs(pairs: &[Pair]) -> String {
    let mut hash = Sha256::new();
    for pair in pairs {
        // A pair is made of texts, which JSON can always hold.
        hash.update(serde_json::to_vec(pair).unwrap_or_default());
        hash.update([0]);
    }
    hexadecimal(hash)
}

/// SHA-256 of some texts.
pub(crate) fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    hexadecimal(hash)
}

//! Keys that name an answer by what produced it.

use sha2::{Digest, Sha256};

/// The key of a generation: the first 16 hexadecimal digits of the SHA-256 of the model's fingerprint, the prompt
/// and the settings, each preceded by its length.
pub fn answer_key(fingerprint: &str, prompt: &str, settings: &str) -> String {
    let mut hash = Sha256::new();
    for part in [fingerprint, prompt, settings] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

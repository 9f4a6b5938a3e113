//! Seeded random streams that do not depend on order.
//!
//! Every random decision draws from a separate ChaCha8 stream, keyed by the run's seed and a list of parts that name the item and
//! the operation. No global generator is used. A result therefore does not depend on the number of threads, the batch size or the
//! order of the work.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// Returns the stream of (`seed`, `key`). The parts of `key` name the operation and the item, such as
/// `["positive", "cola", "17"]`. Parts are length-prefixed before hashing, so `["ab", "c"]` and `["a", "bc"]` differ.
///
/// ```
/// use rand_chacha::rand_core::RngCore;
/// let first = coin_core::stream::keyed(42, &["positive", "cola", "17"]).next_u64();
/// assert_eq!(first, coin_core::stream::keyed(42, &["positive", "cola", "17"]).next_u64());
/// assert_ne!(first, coin_core::stream::keyed(42, &["positive", "cola", "18"]).next_u64());
/// ```
pub fn keyed(seed: u64, key: &[&str]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in key {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    ChaCha8Rng::from_seed(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::RngCore;

    #[test]
    fn parts_are_not_concatenated() {
        assert_ne!(keyed(1, &["ab", "c"]).next_u64(), keyed(1, &["a", "bc"]).next_u64());
        assert_ne!(keyed(1, &["a"]).next_u64(), keyed(2, &["a"]).next_u64());
    }
}

//! The allocator of the `coin` command, the benchmarks and the example programs: mimalloc, told to keep what is freed.
//!
//! A training step asks for the same large tensors again and again. Memory that went back to the kernel in between comes
//! page by page, each cleared first, which took up to a tenth of a step. Peaks are up to a twentieth higher, and between
//! them a program keeps more, on the host also where it computes on a GPU.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: coin::allocator::MiMalloc = coin::allocator::MiMalloc;
//!
//! fn main() {
//!     coin::allocator::keep_freed_memory();
//!     // ..
//! }
//! ```

use libmimalloc_sys::{mi_option_set_default, mi_option_t};
pub use mimalloc::MiMalloc;

/// mimalloc's option `purge_delay`, milliseconds until freed memory is given back, which the crate has no name for.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps freed memory for the next allocation, unless the environment's `MIMALLOC_PURGE_DELAY` says how long. Without
/// [`MiMalloc`] as the global allocator it has no effect.
pub fn keep_freed_memory() {
    // SAFETY: the option exists, and its value may be set at any time.
    unsafe { mi_option_set_default(PURGE_DELAY, -1) }
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::*;

    #[test]
    fn the_option_is_the_delay() {
        // SAFETY: reads a number.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        // Its default in mimalloc 2 and 3; no other option has one of these.
        assert!(matches!(delay(), 10 | 1000), "{}", delay());
        keep_freed_memory();
        assert_eq!(delay(), -1);
    }
}

//! The allocator of the `coin` command, the benchmarks and the example programs: mimalloc, set to keep freed memory.
//!
//! A training step allocates the same large tensors again and again. If freed memory is returned to the kernel in between, it
//! comes back page by page, and the kernel clears each page first, which took up to a tenth of a step. The cost is a peak that
//! is up to a twentieth higher, and more memory held between peaks. This also applies to host memory when a GPU computes.
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

/// mimalloc's option `purge_delay`: milliseconds until freed memory is returned. libmimalloc-sys does not define a constant for
/// it.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps freed memory for later allocations, unless the environment variable `MIMALLOC_PURGE_DELAY` sets a delay. Has no effect
/// unless [`MiMalloc`] is the global allocator.
pub fn keep_freed_memory() {
    // SAFETY: the option exists, and its value may be set at any time.
    unsafe { mi_option_set_default(PURGE_DELAY, -1) }
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::*;

    #[test]
    fn the_option_is_purge_delay() {
        // SAFETY: reads a number.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        // The default in mimalloc 2 or 3; no other option has either value.
        assert!(matches!(delay(), 10 | 1000), "{}", delay());
        keep_freed_memory();
        assert_eq!(delay(), -1);
    }
}

//! Runs work on the CPU inside rayon's thread pool, which its operations use anyway.

use std::sync::{Mutex, TryLockError};

use burn::tensor::Device;

/// Runs `work` on a thread of rayon's pool if `device` is the CPU without autodiff, otherwise on the calling thread.
///
/// An operation called from outside the pool is sent to the pool and waited for, and a training step of a small model has
/// hundreds of operations. Called from inside the pool, an operation spreads its parts over the cores that are free, and
/// pieces of work that run in parallel, such as batches of prompts, keep one core each. If the pool has one thread, `work`
/// runs on the calling thread.
///
/// A pool thread that waits for others runs other work in the meantime. `work` must therefore not hold a lock that other
/// work in the pool waits for. burn locks a graph while it adds to it and during its backward pass, so devices with
/// autodiff are excluded; use [`alone`] for those.
pub fn within<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    let plain_cpu = !device.is_autodiff() && *device == Device::flex();
    match plain_cpu && rayon::current_num_threads() > 1 {
        true => rayon::scope(|_| work()),
        false => work(),
    }
}

/// Held by the piece of autodiff work that runs in the pool.
static ALONE: Mutex<()> = Mutex::new(());

/// As [`within`], for work with autodiff. One piece of work at a time runs in the pool; concurrent ones run on their
/// calling threads. Two pieces could otherwise deadlock: if their models share graph nodes, as clones do, one could wait
/// for the other's graph on the same thread that holds it.
pub fn alone<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    let plain = device.clone().inner();
    if plain != Device::flex() {
        return work();
    }
    match ALONE.try_lock() {
        Err(TryLockError::WouldBlock) => work(),
        // A poisoned lock is fine: it protects no data.
        _alone => within(&plain, work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_on_the_cpu_without_autodiff_runs_in_the_pool() {
        assert_eq!(rayon::current_thread_index(), None);
        let inside = |device: &Device| within(device, rayon::current_thread_index).is_some();
        assert_eq!(inside(&Device::flex()), rayon::current_num_threads() > 1);
        assert!(!inside(&Device::flex().autodiff()));
    }

    #[test]
    fn one_piece_of_work_with_autodiff_runs_in_the_pool() {
        let device = Device::flex().autodiff();
        let inside = || alone(&device, rayon::current_thread_index).is_some();
        let several = rayon::current_num_threads() > 1;
        assert_eq!(inside(), several);
        // A concurrent piece of work stays on its own thread.
        let beside = alone(&device, || std::thread::scope(|scope| scope.spawn(inside).join().unwrap()));
        assert!(!beside);
        assert_eq!(inside(), several);
    }
}

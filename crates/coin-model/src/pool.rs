//! Where work on the CPU runs: on the threads that its operations are shared out to.

use std::sync::{Mutex, TryLockError};

use burn::tensor::Device;

/// Runs `work` on one of rayon's threads if `device` is the CPU without autodiff, else on the thread that calls.
///
/// An operation that is called from another thread is handed to the pool and waited for, and a training step of a small
/// model has hundreds. From within, its parts go to whatever cores are free: pieces of work that run side by side, such
/// as batches of prompts, keep a core each. With one thread there is nothing to gain, and `work` stays where it is.
///
/// A thread of the pool that waits for others takes up other work in between. So `work` must not hold a lock that other
/// work in the pool waits for. burn locks a graph while it adds to it and while its backward pass computes, which is why
/// devices with autodiff are left out; [`alone`] is for those.
pub fn within<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    let plain_cpu = !device.is_autodiff() && *device == Device::flex();
    match plain_cpu && rayon::current_num_threads() > 1 {
        true => rayon::scope(|_| work()),
        false => work(),
    }
}

/// Held by the one piece of work with autodiff that is given to the pool.
static ALONE: Mutex<()> = Mutex::new(());

/// As [`within`], for work with autodiff: one piece at a time is given to the pool, and those beside it stay on their own
/// threads. Work whose model shares nodes with another graph, a clone's, would wait for that graph inside the thread that
/// holds it.
pub fn alone<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    let plain = device.clone().inner();
    if plain != Device::flex() {
        return work();
    }
    match ALONE.try_lock() {
        Err(TryLockError::WouldBlock) => work(),
        // Work that panicked has left nothing behind.
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
        // What is asked for from beside it stays where it is.
        let beside = alone(&device, || std::thread::scope(|scope| scope.spawn(inside).join().unwrap()));
        assert!(!beside);
        assert_eq!(inside(), several);
    }
}

//! Where work on the CPU runs: on the threads that its operations are shared out to.

use burn::tensor::Device;

/// Runs `work` on one of rayon's threads if `device` is the CPU, else on the thread that calls.
///
/// An operation that is called from another thread is handed to the pool and waited for, and a training step of a small
/// model has hundreds. From within, its parts go to whatever cores are free: pieces of work that run side by side, such
/// as batches of prompts, keep a core each.
///
/// A thread of the pool that waits for others takes up other work in between. So `work` must not hold a lock that other
/// work in the pool waits for; burn's backward pass holds its graph's, and that of one model at a time may run here.
pub fn within<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    match device.clone().inner() == Device::flex() {
        true => rayon::scope(|_| work()),
        false => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_on_the_cpu_runs_in_the_pool() {
        assert_eq!(rayon::current_thread_index(), None);
        let device = Device::flex();
        assert!(within(&device, rayon::current_thread_index).is_some());
        assert!(within(&device.autodiff(), rayon::current_thread_index).is_some());
    }
}

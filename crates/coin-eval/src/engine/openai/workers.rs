//! Concurrent requests on threads. Results are delivered as they arrive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use coin_core::panic::caught;

use crate::engine::model::ModelError;

use super::OpenAiError;

/// A signal that stops all threads from starting new work and wakes those that wait.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn set(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for `pause`.
    ///
    /// # Errors
    /// [`OpenAiError::Stopped`] as soon as the signal is set.
    pub(super) fn wait(&self, pause: Duration) -> Result<(), OpenAiError> {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, pause, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *stopped { Err(OpenAiError::Stopped) } else { Ok(()) }
    }
}

/// Stops the threads when dropped.
struct StopAtEnd<'a>(&'a Stop);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Calls `work` with each index below `count` on `workers` threads. As soon as any result is ready, passes all results
/// that are ready to `deliver`, sorted by index.
///
/// # Errors
/// The first error of `work`, with its index, after the results of work in progress are delivered; or the error of
/// `deliver`, which is then not called again. A panic in `work` is reported as an error of its index.
pub(super) fn run<T: Send>(
    count: usize,
    workers: usize,
    work: &(dyn Fn(usize, &Stop) -> Result<T, OpenAiError> + Sync),
    deliver: &mut dyn FnMut(Vec<(usize, T)>) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let (stop, next) = (Stop::default(), AtomicUsize::new(0));
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        // If `deliver` panics, the threads must stop sending requests, because the scope waits for them.
        let _stops = StopAtEnd(&stop);
        for _ in 0..workers.min(count) {
            let (sender, stop, next) = (sender.clone(), &stop, &next);
            scope.spawn(move || {
                while stop.wait(Duration::ZERO).is_ok() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result =
                        caught(|| work(index, stop)).unwrap_or_else(|message| Err(OpenAiError::Panic { message }));
                    // Set here, so that no thread starts another prompt before the receiver sees the failure.
                    if result.is_err() {
                        stop.set();
                    }
                    if sender.send((index, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);

        let (mut failed, mut undeliverable) = (None, None);
        while let Ok(first) = receiver.recv() {
            let mut done = Vec::new();
            for (index, result) in std::iter::once(first).chain(receiver.try_iter()) {
                match result {
                    Ok(result) => done.push((index, result)),
                    Err(OpenAiError::Stopped) => {}
                    Err(error) => {
                        failed.get_or_insert((index, error));
                    }
                }
            }
            done.sort_by_key(|(index, _)| *index);
            if undeliverable.is_none()
                && !done.is_empty()
                && let Err(error) = deliver(done)
            {
                stop.set();
                undeliverable = Some(error);
            }
        }
        match (undeliverable, failed) {
            (Some(error), _) => Err(error),
            (None, Some((index, error))) => Err(ModelError::from_source(format!("prompt {index}"), error)),
            (None, None) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn fails() -> OpenAiError {
        OpenAiError::ChatLikelihoods
    }

    #[test]
    fn everything_is_done_once_whatever_the_number_of_threads() {
        for (count, workers) in [(0, 4), (1, 4), (50, 1), (50, 8)] {
            let mut all = Vec::new();
            run(count, workers, &|index, _| Ok(index * index), &mut |done| {
                assert!(done.is_sorted_by_key(|(index, _)| *index));
                all.extend(done);
                Ok(())
            })
            .unwrap();
            all.sort();
            assert_eq!(all, (0..count).map(|index| (index, index * index)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_under_way_when_another_fails_is_handed_over() {
        // Index 1 fails once 0 and 2 have started. They finish only after the failure.
        let begun = std::sync::Barrier::new(3);
        let mut all = Vec::new();
        let work = |index: usize, _: &Stop| {
            if index > 2 {
                return Ok(index);
            }
            begun.wait();
            if index == 1 {
                return Err(fails());
            }
            // Long enough for the failure to be seen first, even on a very slow machine.
            std::thread::sleep(Duration::from_millis(50));
            Ok(index)
        };
        let error = run(1000, 3, &work, &mut |done| {
            all.extend(done.into_iter().map(|(index, _)| index));
            Ok(())
        });
        assert!(error.unwrap_err().to_string().starts_with("prompt 1: "));
        assert!(all.contains(&0) && all.contains(&2) && !all.contains(&1), "{all:?}");
    }

    #[test]
    fn a_failure_wakes_those_that_wait() {
        let begun = std::sync::Barrier::new(2);
        let work = |index: usize, stop: &Stop| {
            begun.wait();
            match index {
                0 => Err(fails()),
                // An hour, unless woken.
                _ => stop.wait(Duration::from_secs(3600)),
            }
        };
        let error = run(2, 2, &work, &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("prompt 0: "), "{error}");
    }

    #[test]
    fn a_panic_is_an_error_and_nothing_hangs() {
        let begun = std::sync::Barrier::new(2);
        let work = |index: usize, stop: &Stop| {
            begun.wait();
            match index {
                0 => panic!("a sum too large"),
                _ => stop.wait(Duration::from_secs(3600)),
            }
        };
        let error = run(100, 2, &work, &mut |_| Ok(())).unwrap_err().to_string();
        assert!(error.starts_with("prompt 0: ") && error.contains("a sum too large"), "{error}");

        let done = AtomicUsize::new(0);
        let work = |_: usize, stop: &Stop| {
            done.fetch_add(1, Ordering::Relaxed);
            stop.wait(Duration::from_millis(5))
        };
        let delivered = catch_unwind(AssertUnwindSafe(|| run(10_000, 2, &work, &mut |_| panic!("no room"))));
        assert!(delivered.is_err() && done.load(Ordering::Relaxed) < 1000);
    }

    #[test]
    fn results_that_nobody_takes_end_the_work() {
        let done = AtomicUsize::new(0);
        let mut calls = 0;
        let work = |_: usize, stop: &Stop| {
            done.fetch_add(1, Ordering::Relaxed);
            stop.wait(Duration::from_millis(5))
        };
        let error = run(10_000, 2, &work, &mut |_| {
            calls += 1;
            Err(ModelError::new("disk full"))
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), calls), ("disk full", 1));
        assert!(done.load(Ordering::Relaxed) < 1000);
    }
}

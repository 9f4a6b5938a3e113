//! SIGINT, SIGTERM and SIGHUP while a command runs: the first signal asks it to stop, the second ends the process immediately.
//!
//! A command that was stopped fails with [`Failure::Stopped`], so that a script does not continue with partial results.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, OrFail};

/// The signals that ask a program to end, with their names.
#[cfg(unix)]
const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (signal_hook::consts::SIGHUP, "SIGHUP")];
#[cfg(not(unix))]
const SIGNALS: [(i32, &str); 2] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

/// Maximum time until the notice on standard error.
const NOTICE: Duration = Duration::from_millis(50);

/// The signals that this process received. Create it once per process.
#[derive(Debug)]
pub struct Signals {
    asked: Arc<AtomicBool>,
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// Starts watching. The first signal prints `notice`, such as `stopping after this step`.
    ///
    /// A signal that the caller ignores, as `nohup` does, stays ignored.
    pub fn watch(notice: &'static str) -> Result<Self, Failure> {
        let signals = Signals { asked: Arc::default(), number: Arc::default() };
        for (signal, _) in SIGNALS {
            if is_ignored(signal) {
                continue;
            }
            // The order matters: the shutdown checks the flag that an earlier signal has set.
            flag::register_conditional_shutdown(signal, 128 + signal, signals.asked.clone()).work()?;
            flag::register_usize(signal, signals.number.clone(), signal as usize).work()?;
            flag::register(signal, signals.asked.clone()).work()?;
        }
        // A signal handler must not print, so a thread does.
        let asked = signals.asked.clone();
        std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                std::thread::sleep(NOTICE);
            }
            eprintln!("coin: {notice}; a second signal ends the program immediately");
        });
        Ok(signals)
    }

    /// True once a signal was received.
    pub fn stop(&self) -> &AtomicBool {
        &self.asked
    }

    /// Returns the failure of a command that a signal stopped. `kept` continues the sentence: the place where it stopped, the
    /// results that are kept, and how to resume.
    pub fn failure(&self, kept: &str) -> Failure {
        let number = self.number.load(Ordering::Relaxed);
        match SIGNALS.into_iter().find(|(signal, _)| *signal as usize == number) {
            Some((signal, name)) => {
                Failure::Stopped { signal: signal as u8, message: format!("stopped by {name} {kept}") }
            }
            // The signal went to another process of the run.
            None => Failure::Stopped { signal: SIGINT as u8, message: format!("stopped {kept}") },
        }
    }
}

/// True if this process was started with `signal` ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, the call only writes the current one. If it fails, zeros are a valid action.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(not(unix))]
fn is_ignored(_signal: i32) -> bool {
    false
}

//! The limit on the size of files (`ulimit -f`) as an error of the write that exceeds it.

/// Ignores the signal that would end the process there, so that the write fails and is reported as every other one.
pub fn report_limit() {
    #[cfg(unix)]
    // SAFETY: ignoring a signal runs no code in its handler, and no other thread has been started.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

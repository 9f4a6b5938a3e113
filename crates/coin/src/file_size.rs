//! The limit on the size of files (`ulimit -f`), reported as an error of the write that exceeds it.

/// Ignores the signal that would end the process at the limit, so that the write fails and is reported like any other failed write.
pub fn report_limit() {
    #[cfg(unix)]
    // SAFETY: no handler runs for an ignored signal, and no other thread has been started.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

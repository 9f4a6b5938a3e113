//! What a caller hears about transfers, so that it can draw a bar.

/// One moment of a transfer. Files are transferred one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgressEvent<'a> {
    /// A transfer begins, or begins again after a break.
    Started {
        /// The file's name in the repository.
        file: &'a str,
        /// Its size in bytes, where the hub told it.
        size: Option<u64>,
        /// Bytes that are on disk already from a transfer that broke.
        resumed_at: u64,
    },
    /// More bytes arrived.
    Advanced {
        /// How many since the last event.
        bytes: u64,
    },
    /// The request or transfer broke and is tried again after a pause.
    Retrying {
        /// What was asked for: a file's name, or `the list of files`.
        what: &'a str,
        /// What went wrong.
        reason: &'a str,
    },
    /// The file is whole, verified and in the cache.
    Finished {
        /// The file's name in the repository.
        file: &'a str,
    },
}

/// Hears about transfers. Every `Fn(ProgressEvent)` is one.
pub trait Progress: Send + Sync {
    /// Called for every event, on the thread that called the hub.
    fn event(&self, event: ProgressEvent<'_>);
}

impl<F: Fn(ProgressEvent<'_>) + Send + Sync> Progress for F {
    fn event(&self, event: ProgressEvent<'_>) {
        self(event);
    }
}

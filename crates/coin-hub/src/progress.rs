//! Events of transfers, for progress bars.

/// An event of a transfer. Files are transferred one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgressEvent<'a> {
    /// A transfer starts, or starts again after an interruption.
    Started {
        /// The file's name in the repository.
        file: &'a str,
        /// Its size in bytes, if the hub reported it.
        size: Option<u64>,
        /// Bytes on disk from an interrupted transfer.
        resumed_at: u64,
    },
    /// More bytes arrived.
    Advanced {
        /// Number of bytes since the last event.
        bytes: u64,
    },
    /// The request or transfer failed and is retried after a pause.
    Retrying {
        /// The requested object: a file's name, or `the list of files`.
        what: &'a str,
        /// The error.
        reason: &'a str,
    },
    /// The file is complete, verified and in the cache.
    Finished {
        /// The file's name in the repository.
        file: &'a str,
    },
}

/// Receives the events of transfers. Every `Fn(ProgressEvent)` implements it.
pub trait Progress: Send + Sync {
    /// Called for every event, on the thread that called the hub.
    fn event(&self, event: ProgressEvent<'_>);
}

impl<F: Fn(ProgressEvent<'_>) + Send + Sync> Progress for F {
    fn event(&self, event: ProgressEvent<'_>) {
        self(event);
    }
}

//! Downloads files of the Hugging Face hub by repository name. Files are downloaded once, verified and cached. Offline, they are
//! read from the cache.
//!
//! A [`Hub`] turns a [`RepoId`] and a choice of [`Files`] into a folder that can be opened like any local model:
//!
//! ```no_run
//! use coin_hub::{Files, Hub, HubOptions, RepoId, RepoKind};
//!
//! let hub = Hub::new(HubOptions::from_env()?)?;
//! let repo = RepoId::new(RepoKind::Model, "huggyllama/llama-7b")?;
//! let folder = hub.folder(&repo, Files::Model)?;
//! println!("{}", folder.join("config.json").display());
//! # Ok::<(), coin_hub::HubError>(())
//! ```
//!
//! The cache has the layout and the location of Python's `huggingface_hub`, so that each finds the downloads of the other. Offline,
//! such a folder is all that is needed:
//!
//! ```
//! use coin_hub::{Files, Hub, HubOptions, RepoId, RepoKind};
//! # let temporary = tempfile::tempdir()?;
//! # let cache = temporary.path();
//!
//! let commit = "0123456789abcdef0123456789abcdef01234567";
//! let repository = cache.join("models--org--adapter");
//! let snapshot = repository.join("snapshots").join(commit);
//! std::fs::create_dir_all(&snapshot)?;
//! std::fs::create_dir_all(repository.join("refs"))?;
//! std::fs::write(repository.join("refs/main"), commit)?;
//! std::fs::write(snapshot.join("adapter_config.json"), "{}")?;
//!
//! let hub = Hub::new(HubOptions { offline: true, ..HubOptions::new(cache) })?;
//! let repo = RepoId::new(RepoKind::Model, "org/adapter")?;
//! let error = hub.folder(&repo, Files::Adapter).unwrap_err();
//! assert!(error.to_string().contains("adapter_model.safetensors"));
//!
//! std::fs::write(snapshot.join("adapter_model.safetensors"), "weights")?;
//! assert_eq!(hub.folder(&repo, Files::Adapter)?, snapshot);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Users may give a folder, or a name with an optional revision. [`Source::parse`] decides which it is:
//!
//! ```
//! use coin_hub::{RepoKind, Source};
//!
//! let source = Source::parse(RepoKind::Model, "meta-llama/Llama-3.2-1B@main")?;
//! assert!(matches!(source, Source::Hub(repo) if repo.name() == "meta-llama/Llama-3.2-1B"));
//! # Ok::<(), coin_hub::HubError>(())
//! ```
//!
//! Data sets are named in the same way, and the wanted files are chosen by their names:
//!
//! ```no_run
//! use coin_hub::{Files, Hub, HubOptions, RepoId, RepoKind};
//!
//! let wanted = |name: &str| name.starts_with("rte/") && name.ends_with(".parquet");
//! let glue = RepoId::new(RepoKind::Dataset, "nyu-mll/glue")?;
//! let folder = Hub::new(HubOptions::from_env()?)?.folder(&glue, Files::Matching(&wanted))?;
//! # Ok::<(), coin_hub::HubError>(())
//! ```
//!
//! # Guarantees
//! - A file gets its final name only after its hash matches the hash that the hub announced: the SHA-256 of a large file, the git
//!   hash of a small one. A file with another hash is removed, and the error reports both hashes.
//! - All files of a call come from one commit, even if the branch moves in the meantime.
//! - An interrupted transfer is retried from the position it reached ([`HubOptions::retries`]); a later call also continues there.
//!   Two processes that need the same file wait for each other, including Python's `huggingface_hub`.
//! - Offline, no request is made, and the error lists every missing file. An online call stores the list of the repository's files
//!   in the cache, so that a partially downloaded data set is not mistaken for a complete one.
//! - The token is sent to the endpoint only, not to the storage that the endpoint redirects to, and never appears in a message.
//!
//! # Why not the `hf-hub` crate
//! Version 1 needs an asynchronous runtime and a second HTTP stack. Version 0.5, the last one on the blocking `ureq`, verifies
//! nothing and names the blob before it could; sends the token to servers that it is redirected to; does not have a time limit;
//! appends any answer of the server to a partial file; fails on a partial file that is already complete; and does not find files
//! that Python cached by commit. The tests use its cache reader to check the layout.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod cache;
mod checksum;
mod client;
mod error;
mod files;
mod hub;
mod options;
mod progress;
mod repo;

pub use error::HubError;
pub use files::Files;
pub use hub::Hub;
pub use options::{HubOptions, PUBLIC_ENDPOINT};
pub use progress::{Progress, ProgressEvent};
pub use repo::{MAIN, RepoId, RepoKind, Source};

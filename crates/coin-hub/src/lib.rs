//! Files of the Hugging Face hub by the name of their repository: fetched once, verified, cached, or taken from the
//! cache with no network.
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
//! The cache has the layout of Python's `huggingface_hub` and lies where that keeps it, so that what one of them fetched
//! the other finds. Offline, nothing else is needed than such a folder:
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
//! What a user writes may be a folder or a name, possibly with a revision; [`Source::parse`] decides:
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
//! # What is promised
//! - A file is called by its final name only after its hash is the one that the hub announced: the sha256 of a large
//!   file, git's hash of a small one. A file whose hash is another is removed, and the error tells both.
//! - All files of a call come from one commit, even where the branch moves meanwhile.
//! - A transfer that breaks is tried again from where it broke ([`HubOptions::retries`]), and so is it by a later call.
//!   Two processes that want the same file wait for each other, Python's `huggingface_hub` included.
//! - Offline makes no request; the error lists every missing file. A call that was online leaves the list of the
//!   repository's files in the cache, so that a half-fetched data set is not taken for a whole one.
//! - The token goes to the endpoint only, not to the storage that the endpoint redirects to, and into no message.
//!
//! # Why not the `hf-hub` crate
//! Version 1 brings an asynchronous runtime and a second HTTP stack. Version 0.5, the last one that blocks on `ureq`,
//! verifies nothing and names the blob before one could; sends the token to the servers it is redirected to; has no
//! time limit; appends to a partial file whatever the server answers; cannot get past a partial file that is already
//! whole; and does not find by commit what Python cached by commit. The tests use its cache reader as a witness of the
//! layout.

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

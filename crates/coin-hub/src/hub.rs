//! The hub with its cache: turns a repository's name into a folder with the wanted files.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use coin_core::quote::cut;

use crate::cache::{RepoCache, create_parent, is_commit};
use crate::checksum::Checksum;
use crate::client::{Client, RemoteFile};
use crate::error::HubError;
use crate::files::{Files, shards};
use crate::options::HubOptions;
use crate::progress::ProgressEvent;
use crate::repo::RepoId;

/// A hub with its cache. See the [front page](crate) for an example.
pub struct Hub {
    options: HubOptions,
    /// `None` offline.
    client: Option<Client>,
}

impl Hub {
    /// Checks the options and, unless offline, reads the token file and the certificates. Makes no request.
    ///
    /// # Errors
    /// [`HubError::Option`] for an invalid endpoint, token or certificate file, [`HubError::Io`] for a file that cannot be read.
    pub fn new(options: HubOptions) -> Result<Self, HubError> {
        let client = if options.offline { None } else { Some(Client::new(&options)?) };
        Ok(Self { options, client })
    }

    /// Returns the folder with the wanted `files` of `repo`, after downloading those that are not cached. The folder may also contain
    /// other files of the same commit from earlier calls.
    ///
    /// Unless offline, a branch or tag costs one request for its current commit. A full commit id that was downloaded before costs
    /// none. A file is hashed once, when it arrives.
    ///
    /// # Errors
    /// Every kind of [`HubError`] except `Name` and `Option`. After an error the cache contains the files that were completed before,
    /// and a later call continues from there.
    pub fn folder(&self, repo: &RepoId, files: Files<'_>) -> Result<PathBuf, HubError> {
        let cache = RepoCache::new(&self.options.cache, repo);
        match &self.client {
            Some(client) => self.fetch(client, &cache, repo, files),
            None => self.look_up(&cache, repo, files),
        }
    }

    /// [`folder`](Self::folder) without requests.
    fn look_up(&self, cache: &RepoCache<'_>, repo: &RepoId, files: Files<'_>) -> Result<PathBuf, HubError> {
        let lacking =
            |missing| HubError::NotCached { repo: repo.to_string(), cache: self.options.cache.clone(), missing };
        let commit = cache.commit();
        let (folder, listing) = match &commit {
            Some(commit) => {
                let listing = cache.listing(commit).unwrap_or_else(|| cache.present(commit));
                (cache.snapshot(commit), listing)
            }
            None => (PathBuf::new(), BTreeSet::new()),
        };
        let plan = files.plan(&listing).map_err(lacking)?;
        let absent = |name: &String| !folder.join(name).is_file();
        let mut missing: Vec<String> = plan.files.into_iter().filter(absent).collect();
        match plan.index {
            Some(index) if absent(&index) => missing.push(index),
            Some(index) => missing.extend(shards(repo, &index, &folder.join(&index))?.into_iter().filter(absent)),
            None => {}
        }
        if missing.is_empty() { Ok(folder) } else { Err(lacking(missing)) }
    }

    /// [`folder`](Self::folder) with downloads of missing files.
    fn fetch(
        &self,
        client: &Client,
        cache: &RepoCache<'_>,
        repo: &RepoId,
        files: Files<'_>,
    ) -> Result<PathBuf, HubError> {
        let known = cache.commit().filter(|_| is_commit(repo.revision()));
        let known = known.and_then(|commit| cache.listing(&commit).map(|listing| (commit, listing)));
        let (commit, listing) = match known {
            Some(known) => known,
            None => {
                let info = self.retrying("the list of files", || client.info(repo))?;
                cache.set_listing(&info.commit, &info.files)?;
                (info.commit, info.files)
            }
        };
        // A branch that moved keeps its old commit for offline use until the new one is complete.
        if cache.commit().is_none() {
            cache.set_commit(&commit)?;
        }

        let plan =
            files.plan(&listing).map_err(|looked_for| HubError::NoFiles { repo: repo.to_string(), looked_for })?;
        for file in &plan.files {
            self.file(client, cache, repo, &commit, file)?;
        }
        if let Some(index) = &plan.index {
            let path = self.file(client, cache, repo, &commit, index)?;
            let shards = shards(repo, index, &path)?;
            if let Some(shard) = shards.iter().find(|shard| !listing.contains(*shard)) {
                let message = format!("it lists `{}`, which is not in the repository", cut(shard));
                return Err(HubError::Index { repo: repo.to_string(), index: index.clone(), message });
            }
            for shard in &shards {
                self.file(client, cache, repo, &commit, shard)?;
            }
        }
        cache.set_commit(&commit)?;
        Ok(cache.snapshot(&commit))
    }

    /// The path of one file, downloaded if it is not cached.
    fn file(
        &self,
        client: &Client,
        cache: &RepoCache<'_>,
        repo: &RepoId,
        commit: &str,
        file: &str,
    ) -> Result<PathBuf, HubError> {
        let pointer = cache.snapshot(commit).join(file);
        if pointer.is_file() {
            return Ok(pointer);
        }
        let remote = self.retrying(file, || client.head(repo, commit, file))?;
        let _lock = cache.lock(&remote.checksum)?;
        let blob = cache.blob(&remote.checksum);
        if !blob.is_file() {
            let incomplete = cache.incomplete(&remote.checksum);
            create_parent(&incomplete)?;
            loop {
                let resumed =
                    self.retrying(file, || self.transfer(client, repo, commit, file, &remote, &incomplete))?;
                match verify(repo, file, &remote.checksum, &incomplete) {
                    // The bytes of an earlier transfer may be damaged, so download the whole file again.
                    Err(HubError::Checksum { .. }) if resumed => {}
                    result => break result?,
                }
            }
            // Only a verified file gets the name of a blob.
            fs::rename(&incomplete, &blob).map_err(HubError::io(&blob))?;
        }
        cache.link(commit, file, &remote.checksum)?;
        self.tell(ProgressEvent::Finished { file });
        Ok(pointer)
    }

    /// Downloads the rest of the file at `incomplete`. Returns true if part of it came from an earlier transfer.
    fn transfer(
        &self,
        client: &Client,
        repo: &RepoId,
        commit: &str,
        file: &str,
        remote: &RemoteFile,
        incomplete: &Path,
    ) -> Result<bool, HubError> {
        let io = || HubError::io(incomplete);
        let mut target = File::options().create(true).append(true).open(incomplete).map_err(io())?;
        let mut received = target.metadata().map_err(io())?.len();
        if remote.size.is_some_and(|size| received > size) {
            target.set_len(0).map_err(io())?;
            received = 0;
        }
        if remote.size == Some(received) {
            return Ok(received > 0);
        }
        let mut response = client.get(repo, commit, file, received)?;
        if received > 0 && !continues(&response, received) {
            target.set_len(0).map_err(io())?;
            received = 0;
            if response.status().as_u16() != 200 {
                response = client.get(repo, commit, file, 0)?;
            }
        }
        let resumed = received > 0;
        self.tell(ProgressEvent::Started { file, size: remote.size, resumed_at: received });

        let broken = |received: u64, reason: String| {
            let (repo, file) = (repo.to_string(), file.to_owned());
            HubError::Transfer { repo, file, received, expected: remote.size, reason }
        };
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 17];
        loop {
            let count = body.read(&mut buffer).map_err(|error| broken(received, error.to_string()))?;
            if count == 0 {
                break;
            }
            received += count as u64;
            if let Some(size) = remote.size.filter(|size| received > *size) {
                // These are not the bytes of the file, so none are kept.
                target.set_len(0).map_err(io())?;
                let message = format!("it sends more than the {size} bytes that it announced for `{}`", cut(file));
                return Err(HubError::Protocol { url: client.public_endpoint(), message });
            }
            target.write_all(&buffer[..count]).map_err(io())?;
            self.tell(ProgressEvent::Advanced { bytes: count as u64 });
        }
        if remote.size.is_some_and(|size| received < size) {
            return Err(broken(received, "the connection was closed".to_owned()));
        }
        target.sync_all().map_err(io())?;
        Ok(resumed)
    }

    /// Runs `request`. After a temporary error it is retried after a pause, up to the limit of retries.
    fn retrying<T>(&self, what: &str, mut request: impl FnMut() -> Result<T, HubError>) -> Result<T, HubError> {
        let mut pause = Duration::from_millis(500);
        for _ in 0..self.options.retries {
            match request() {
                Err(error) if error.is_passing() => {
                    self.tell(ProgressEvent::Retrying { what, reason: &error.to_string() });
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(8));
                }
                result => return result,
            }
        }
        request()
    }

    fn tell(&self, event: ProgressEvent<'_>) {
        if let Some(progress) = &self.options.progress {
            progress.event(event);
        }
    }
}

/// The options, without the token.
impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hub").field("options", &self.options).finish_non_exhaustive()
    }
}

/// True if a partial answer begins at byte `start`. A server that ignores ranges sends the whole file instead.
fn continues(response: &ureq::http::Response<ureq::Body>, start: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    response.status().as_u16() == 206 && range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// Compares the hash of the file that arrived with the announced one, and removes the file if they differ.
fn verify(repo: &RepoId, file: &str, checksum: &Checksum, path: &Path) -> Result<(), HubError> {
    let found = checksum.of_file(path)?;
    if found == checksum.hex() {
        return Ok(());
    }
    fs::remove_file(path).map_err(HubError::io(path))?;
    Err(HubError::Checksum {
        repo: repo.to_string(),
        file: file.to_owned(),
        algorithm: checksum.algorithm(),
        expected: checksum.hex().to_owned(),
        found,
    })
}

//! A small hub on a port of this machine: the list of files, `resolve` with ranges, a separate storage for large files.
//!
//! Small files are answered through a redirection on the same server, large ones (`.safetensors`, `.bin`, `.parquet`) through one to
//! the storage, as the public hub does. Every request is written down.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path, and the query where there is one.
    pub path: String,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// The value of `Range`.
    pub range: Option<String>,
    /// True if the storage was asked.
    pub storage: bool,
}

/// A fault in the bytes of a file.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The connection closes after so many bytes, once.
    BreakOnce(usize),
    /// The connection closes after so many bytes, always.
    Break(usize),
    /// The first byte is another one, always.
    Wrong,
    /// Ranges are ignored.
    NoRanges,
    /// So many bytes more than were announced follow, always.
    Longer(usize),
}

/// Content and behavior of the server.
#[derive(Default)]
pub struct State {
    /// Files by commit.
    pub commits: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Commits by branch.
    pub branches: BTreeMap<String, String>,
    /// The token that is asked for.
    pub token: Option<String>,
    /// Faults by the file's name.
    pub faults: HashMap<String, Fault>,
    /// A status for every request of the list of files.
    pub info_status: Option<u16>,
    /// Every request, in order.
    pub seen: Vec<Seen>,
}

/// A running server. It stops answering when dropped.
pub struct Server {
    state: Arc<Mutex<State>>,
    addresses: [SocketAddr; 2],
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The name of the one repository.
pub const NAME: &str = "org/name";

impl Server {
    /// Starts the server with `files` at `commit`, where branch `main` stands.
    pub fn start(commit: &str, files: &[(&str, &[u8])]) -> Self {
        let listeners = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let addresses = [listeners[0].local_addr().unwrap(), listeners[1].local_addr().unwrap()];
        let state = Arc::new(Mutex::new(State::default()));
        let stopped = Arc::new(AtomicBool::new(false));
        let listen = |(index, listener): (usize, TcpListener)| {
            let (state, stopped) = (Arc::clone(&state), Arc::clone(&stopped));
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let state = Arc::clone(&state);
                    // A client that hangs up is part of the tests.
                    std::thread::spawn(move || drop(answer(&state, stream, index == 1, addresses[1])));
                }
            })
        };
        let threads = listeners.into_iter().enumerate().map(listen).collect();
        let server = Self { state, addresses, stopped, threads };
        server.commit("main", commit, files);
        server
    }

    /// The address for `HubOptions::endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addresses[0])
    }

    /// Puts `files` at `commit` and moves `branch` there.
    pub fn commit(&self, branch: &str, commit: &str, files: &[(&str, &[u8])]) {
        let files = files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
        let mut state = self.state();
        state.commits.insert(commit.to_owned(), files);
        state.branches.insert(branch.to_owned(), commit.to_owned());
    }

    /// The content of the server, to change or to read.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The threads wait for a connection; the next one ends them, and with them nobody listens any more.
        self.stopped.store(true, Ordering::SeqCst);
        for address in self.addresses {
            drop(TcpStream::connect(address));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// The requests for a file's bytes: `GET` of the storage, or of a small file without the redirection.
pub fn downloads(seen: &[Seen]) -> Vec<String> {
    let of_bytes = seen.iter().filter(|seen| seen.method == "GET" && seen.path.starts_with("/bytes/"));
    of_bytes.filter_map(|seen| seen.path.split(['/', '?']).nth(3)).map(str::to_owned).collect()
}

/// The entity tag that the hub gives: sha256 for large files, git's hash for small ones.
pub fn etag(name: &str, content: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if is_large(name) {
        return hex(&Sha256::digest(content));
    }
    let header = format!("blob {}\0", content.len());
    hex(&Sha1::new().chain_update(header).chain_update(content).finalize())
}

fn is_large(name: &str) -> bool {
    [".safetensors", ".bin", ".parquet"].iter().any(|ending| name.ends_with(ending))
}

fn answer(state: &Mutex<State>, mut stream: TcpStream, storage: bool, other: SocketAddr) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        match line.split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let seen =
        Seen { method, path, authorization: headers.remove("authorization"), range: headers.remove("range"), storage };
    let mut state = state.lock().unwrap();
    state.seen.push(seen.clone());
    let (head, body) = reply(&mut state, &seen, other);
    drop(state);
    stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes())?;
    if seen.method == "GET" { stream.write_all(&body) } else { Ok(()) }
}

/// Status line and headers, and the body.
fn reply(state: &mut State, seen: &Seen, storage: SocketAddr) -> (String, Vec<u8>) {
    let plain = |status: &str| (format!("{status}\r\nContent-Length: 0"), Vec::new());
    let path = seen.path.split('?').next().unwrap_or_default();
    if let Some(rest) = path.strip_prefix("/bytes/") {
        let (commit, name) = rest.split_once('/').unwrap();
        return bytes(state, seen, commit, name);
    }
    if let Some(token) = &state.token
        && seen.authorization.as_deref() != Some(&format!("Bearer {token}"))
    {
        return plain("401 Unauthorized");
    }
    let commit_of = |revision: &str| {
        let revision = revision.replace("%2F", "/");
        state.branches.get(&revision).cloned().or(Some(revision)).filter(|commit| state.commits.contains_key(commit))
    };
    let listing = ["models", "datasets"].map(|kind| format!("/api/{kind}/{NAME}/revision/"));
    if let Some(revision) = listing.iter().find_map(|prefix| path.strip_prefix(prefix)) {
        if let Some(status) = state.info_status {
            return plain(&format!("{status} Trouble"));
        }
        let Some(commit) = commit_of(revision) else { return plain("404 Not Found") };
        let names: Vec<String> =
            state.commits[&commit].keys().map(|name| format!(r#"{{"rfilename": "{name}"}}"#)).collect();
        let body = format!(r#"{{"id": "{NAME}", "sha": "{commit}", "siblings": [{}]}}"#, names.join(", "));
        return (format!("200 OK\r\nContent-Length: {}", body.len()), body.into_bytes());
    }
    let resolve = [format!("/{NAME}/resolve/"), format!("/datasets/{NAME}/resolve/")];
    let file = resolve.iter().find_map(|prefix| path.strip_prefix(prefix)).and_then(|rest| rest.split_once('/'));
    let Some((revision, name)) = file else {
        return plain("404 Not Found");
    };
    let Some(commit) = commit_of(revision) else { return plain("404 Not Found") };
    let Some(content) = state.commits[&commit].get(name) else { return plain("404 Not Found") };
    let (tag, size) = (etag(name, content), content.len());
    let location = match is_large(name) {
        true => format!("http://{storage}/bytes/{commit}/{name}?Signature=secret"),
        false => format!("/bytes/{commit}/{name}"),
    };
    let linked = match is_large(name) {
        true => format!("\r\nX-Linked-Etag: \"{tag}\"\r\nX-Linked-Size: {size}"),
        false => String::new(),
    };
    let status = "302 Found\r\nContent-Length: 0";
    (format!("{status}\r\nLocation: {location}\r\nX-Repo-Commit: {commit}{linked}"), Vec::new())
}

/// A file's bytes from the start of the range, with what goes wrong with them.
fn bytes(state: &mut State, seen: &Seen, commit: &str, name: &str) -> (String, Vec<u8>) {
    let mut content = state.commits[commit][name].clone();
    let tag = etag(name, &content);
    let fault = state.faults.get(name).copied();
    if let Some(Fault::Longer(more)) = fault {
        content.resize(content.len() + more, b'+');
    }
    let size = content.len();
    let start =
        seen.range.as_ref().map(|range| range["bytes=".len()..].trim_end_matches('-').parse::<usize>().unwrap());
    let start = start.filter(|_| !matches!(fault, Some(Fault::NoRanges)));
    if matches!(fault, Some(Fault::Wrong)) {
        content[0] ^= 1;
    }
    let (status, from) = match start {
        Some(start) if start >= size => {
            return (
                format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{size}\r\nContent-Length: 0"),
                vec![],
            );
        }
        Some(start) => (format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{size}", size - 1), start),
        None => ("200 OK".to_owned(), 0),
    };
    let head = format!("{status}\r\nETag: \"{tag}\"\r\nX-Repo-Commit: {commit}\r\nContent-Length: {}", size - from);
    let mut body = content[from..].to_vec();
    if seen.method == "GET" {
        match fault {
            Some(Fault::Break(after)) => body.truncate(after),
            Some(Fault::BreakOnce(after)) => {
                body.truncate(after);
                state.faults.remove(name);
            }
            _ => {}
        }
    }
    (head, body)
}

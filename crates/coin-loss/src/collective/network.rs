//! Ranks that are processes.
//!
//! Rank 0 listens, and the others connect to it. In each round, every rank sends its rows to rank 0, which sends back the rows
//! of all ranks. A message is the number of the round (8 bytes), the shape (4 + 4 bytes) and the values (4 bytes each), all
//! little-endian.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::{DType, Tensor, TensorData};

use super::{Collective, CollectiveError};

/// First bytes of a connection. The last one is the protocol's version.
const GREETING: [u8; 8] = *b"coinrnk\x01";

/// Pause between two attempts to connect or to accept.
const PAUSE: Duration = Duration::from_millis(20);

/// Settings of a [`NetworkCollective`]. Address, world size and session must be equal on all ranks.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// Host and port at which rank 0 listens. Anyone who can reach them can take part, so use the local machine (`127.0.0.1`)
    /// or a trusted network.
    pub address: String,
    /// This process's rank, from 0.
    pub rank: usize,
    /// Number of ranks, one per process.
    pub world_size: usize,
    /// Identifies the work. A rank with another text is rejected.
    pub session: String,
    /// Time that a rank waits for the others to connect, and in every round for their rows. Default ten minutes (this crate's
    /// choice).
    pub timeout: Duration,
}

impl NetworkOptions {
    /// Returns the settings of a rank with an empty session and the default timeout.
    pub fn new(address: impl Into<String>, rank: usize, world_size: usize) -> Self {
        let timeout = Duration::from_secs(600);
        NetworkOptions { address: address.into(), rank, world_size, session: String::new(), timeout }
    }
}

/// A rank that runs in its own process and communicates by TCP, on one machine or several.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::collective::{Collective, NetworkCollective, NetworkOptions};
/// // Threads take the place of processes in this example.
/// let rank = |rank: usize| {
///     let meeting = NetworkOptions { session: "example".to_owned(), ..NetworkOptions::new("127.0.0.1:47613", rank, 2) };
///     let collective = NetworkCollective::connect(&meeting)?;
///     let own = Tensor::<2>::from_floats([[rank as f32, 0.5]], &Device::flex());
///     Ok::<_, coin_loss::collective::CollectiveError>(collective.all_gather(own)?.dims())
/// };
/// let other = std::thread::spawn(move || rank(1));
/// assert_eq!(rank(0)?, [2, 2]);
/// assert_eq!(other.join().expect("the rank panicked")?, [2, 2]);
/// # Ok::<(), coin_loss::collective::CollectiveError>(())
/// ```
#[derive(Debug)]
pub struct NetworkCollective {
    rank: usize,
    world_size: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    round: u64,
    /// On rank 0 all other ranks in order, elsewhere rank 0 only.
    peers: Vec<Peer>,
}

#[derive(Debug)]
struct Peer {
    rank: usize,
    address: String,
    stream: TcpStream,
}

impl NetworkCollective {
    /// Waits until all ranks are connected.
    ///
    /// # Errors
    /// The address cannot be used or reached, a rank does not connect in time, or a rank has another session.
    pub fn connect(options: &NetworkOptions) -> Result<Self, CollectiveError> {
        CollectiveError::check(options.rank, options.world_size)?;
        let peers = match options.rank {
            0 => accept(options)?,
            _ => vec![reach(options)?],
        };
        let state = Mutex::new(State { round: 0, peers });
        Ok(NetworkCollective { rank: options.rank, world_size: options.world_size, state })
    }
}

impl Collective for NetworkCollective {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.world_size
    }

    fn all_gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        let rows = rows.without_autodiff().cast(DType::F32);
        let (device, [n, d]) = (rows.device(), rows.dims());
        let values = rows.try_into_vec_as::<f32>().map_err(|error| CollectiveError::Device(format!("{error:?}")))?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let round = state.round;
        state.round += 1;
        let mut all = to_bytes(&values);
        match self.rank {
            0 => {
                for peer in &mut state.peers {
                    all.extend(peer.receive(round, n, d)?);
                }
                for peer in &mut state.peers {
                    peer.send(round, self.world_size * n, d, &all)?;
                }
            }
            _ => {
                let root = &mut state.peers[0];
                root.send(round, n, d, &all)?;
                all = root.receive(round, self.world_size * n, d)?;
            }
        }
        let data = TensorData::new(from_bytes(&all), [self.world_size * n, d]);
        Ok(Tensor::from_data(data, (&device, DType::F32)))
    }
}

/// Accepts the connections of rank 0, in rank order.
fn accept(options: &NetworkOptions) -> Result<Vec<Peer>, CollectiveError> {
    let address = &options.address;
    let failed = |what: &str, source| error(what.to_owned(), address, source);
    let listener = TcpListener::bind(address).map_err(|source| failed("cannot listen", source))?;
    listener.set_nonblocking(true).map_err(|source| failed("cannot listen", source))?;
    let mut peers: Vec<Option<Peer>> = (1..options.world_size).map(|_| None).collect();
    let deadline = Instant::now() + options.timeout;
    while let Some(missing) = peers.iter().position(Option::is_none) {
        match listener.accept() {
            // A connection that is not a rank, or that broke off, does not end the run. The rank can still connect.
            Ok((stream, from)) => match greet_as_root(stream, options) {
                Ok((rank, stream)) if peers.get(rank - 1).is_some_and(Option::is_none) => {
                    peers[rank - 1] = Some(Peer { rank, address: from.to_string(), stream });
                }
                Ok((rank, _)) => {
                    let (got, expected) = ("a second connection".to_owned(), "one".to_owned());
                    return Err(CollectiveError::Disagreement { rank, got, expected });
                }
                Err(Greeting::Other(error)) => return Err(error),
                Err(Greeting::Stranger) => {}
            },
            Err(source) if source.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() > deadline {
                    let source = io::ErrorKind::TimedOut.into();
                    return Err(failed(&format!("rank {} did not connect in time", missing + 1), source));
                }
                std::thread::sleep(PAUSE);
            }
            Err(source) => return Err(failed("cannot accept", source)),
        }
    }
    Ok(peers.into_iter().flatten().collect())
}

/// The reason why a connection is not a rank of this run.
enum Greeting {
    Stranger,
    Other(CollectiveError),
}

/// Reads the greeting of a new connection and answers it.
fn greet_as_root(stream: TcpStream, options: &NetworkOptions) -> Result<(usize, TcpStream), Greeting> {
    let mut stream = prepared(stream, options.timeout.min(Duration::from_secs(10))).map_err(|_| Greeting::Stranger)?;
    let mut head = [0; 20];
    stream.read_exact(&mut head).map_err(|_| Greeting::Stranger)?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
    let (rank, world_size, length) = (number(8), number(12), number(16));
    if head[..8] != GREETING || rank == 0 || rank >= options.world_size || length > 4096 {
        return Err(Greeting::Stranger);
    }
    let mut session = vec![0; length];
    stream.read_exact(&mut session).map_err(|_| Greeting::Stranger)?;
    let agreed = world_size == options.world_size && session == options.session.as_bytes();
    stream.write_all(&[u8::from(agreed)]).map_err(|_| Greeting::Stranger)?;
    if !agreed {
        let got = format!("{world_size} ranks on `{}`", String::from_utf8_lossy(&session));
        let expected = format!("{} ranks on `{}`", options.world_size, options.session);
        return Err(Greeting::Other(CollectiveError::Disagreement { rank, got, expected }));
    }
    let stream = prepared(stream, options.timeout).map_err(|_| Greeting::Stranger)?;
    Ok((rank, stream))
}

/// Connects to rank 0, which may start later.
fn reach(options: &NetworkOptions) -> Result<Peer, CollectiveError> {
    let address = &options.address;
    let failed = |source| error("cannot reach rank 0".to_owned(), address, source);
    let deadline = Instant::now() + options.timeout;
    let stream = loop {
        // A name may have several addresses, and rank 0 listens at one of them.
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(source) if Instant::now() > deadline => return Err(failed(source)),
            Err(_) => std::thread::sleep(PAUSE),
        }
    };
    let mut stream = prepared(stream, options.timeout).map_err(failed)?;
    let mut greeting = GREETING.to_vec();
    for number in [options.rank, options.world_size, options.session.len()] {
        greeting.extend((number as u32).to_le_bytes());
    }
    greeting.extend(options.session.as_bytes());
    let mut agreed = [0];
    stream.write_all(&greeting).and_then(|()| stream.read_exact(&mut agreed)).map_err(failed)?;
    match agreed {
        [1] => Ok(Peer { rank: 0, address: address.clone(), stream }),
        _ => {
            let expected = format!("{} ranks on `{}`", options.world_size, options.session);
            Err(CollectiveError::Disagreement { rank: 0, got: "another run".to_owned(), expected })
        }
    }
}

fn prepared(stream: TcpStream, timeout: Duration) -> io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout.max(PAUSE)))?;
    stream.set_write_timeout(Some(timeout.max(PAUSE)))?;
    Ok(stream)
}

fn error(what: String, address: &str, source: io::Error) -> CollectiveError {
    CollectiveError::Network { what, address: address.to_owned(), source }
}

impl Peer {
    fn failed(&self, source: io::Error) -> CollectiveError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                CollectiveError::Gone(self.rank)
            }
            _ => error(format!("rank {} does not answer", self.rank), &self.address, source),
        }
    }

    fn send(&mut self, round: u64, n: usize, d: usize, values: &[u8]) -> Result<(), CollectiveError> {
        let head = header(round, n, d);
        self.stream.write_all(&head).and_then(|()| self.stream.write_all(values)).map_err(|source| self.failed(source))
    }

    /// Receives the bytes of `n` rows of `d` values.
    fn receive(&mut self, round: u64, n: usize, d: usize) -> Result<Vec<u8>, CollectiveError> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head).map_err(|source| self.failed(source))?;
        let expected = header(round, n, d);
        if head != expected {
            let say = |head: [u8; 16]| {
                let part = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
                format!("[{}, {}] in round {}", part(8), part(12), part(0))
            };
            let (got, expected) = (say(head), say(expected));
            return Err(CollectiveError::Disagreement { rank: self.rank, got, expected });
        }
        let mut bytes = vec![0; 4 * n * d];
        self.stream.read_exact(&mut bytes).map_err(|source| self.failed(source))?;
        Ok(bytes)
    }
}

fn header(round: u64, n: usize, d: usize) -> [u8; 16] {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&round.to_le_bytes());
    head[8..12].copy_from_slice(&(n as u32).to_le_bytes());
    head[12..].copy_from_slice(&(d as u32).to_le_bytes());
    head
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

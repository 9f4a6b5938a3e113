//! A small local model server whose answers and failures are controlled by the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// One request as the server received it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub authorization: Option<String>,
    pub body: Value,
}

impl Seen {
    /// The prompt of a completion.
    pub fn prompt(&self) -> &str {
        self.body["prompt"].as_str().unwrap()
    }
}

/// The server's reply, and how its transfer fails.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: String,
    body: String,
    /// Number of bytes of the body that are sent, and the time the connection stays open afterwards.
    break_after: Option<(usize, Duration)>,
}

impl Answer {
    pub fn new(status: u16, body: impl ToString) -> Self {
        Answer { status, headers: String::new(), body: body.to_string(), break_after: None }
    }

    /// A completion of 10 prompt tokens and 2 new ones.
    pub fn completion(text: &str) -> Self {
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 2});
        Answer::new(200, json!({"model": "m", "choices": [{"text": text}], "usage": usage}))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// Closes the connection after half of the body.
    pub fn broken(self) -> Self {
        self.stalled(Duration::ZERO)
    }

    /// Sends half of the body, nothing for `pause`, then closes the connection.
    pub fn stalled(mut self, pause: Duration) -> Self {
        self.break_after = Some((self.body.len() / 2, pause));
        self
    }
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts a server that answers each request with `reply(request, number)`, numbered from 0. Requests are answered
    /// concurrently, each on its own thread.
    pub fn start(reply: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, reply) = (Arc::downgrade(&server.seen), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(seen) = seen.upgrade() else { break };
                let reply = Arc::clone(&reply);
                // Some tests have a client that disconnects.
                std::thread::spawn(move || drop(answer(stream, &seen, &*reply)));
            }
        });
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread waits for a connection. Once the list is dropped, the next connection ends it.
        self.seen = Arc::default();
        drop(TcpStream::connect(self.address));
    }
}

fn answer(stream: TcpStream, seen: &Mutex<Vec<Seen>>, reply: &dyn Fn(&Seen, usize) -> Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut authorization, mut length) = (None, 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = Seen { path, authorization, body: serde_json::from_slice(&body)? };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let Answer { status, headers, body, break_after } = reply(&request, number);
    let stream = reader.get_mut();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Some\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    match break_after {
        None => stream.write_all(body.as_bytes()),
        Some((bytes, pause)) => {
            stream.write_all(&body.as_bytes()[..bytes])?;
            std::thread::sleep(pause);
            Ok(())
        }
    }
}

//! A small HTTP server in this process, for answers that no real server gives on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running server. It keeps what it was asked.
pub(crate) struct Local {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// What it was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Local {
    /// One that gives the same answer to every request. `headers` are lines that end with CR LF.
    pub(crate) fn answering(status: u16, headers: &str, body: &str) -> Self {
        let answer = answer(status, headers, body);
        Self::serving(move |_| Some(answer.clone()))
    }

    /// One that finds an answer to each request, in a thread of its own. Who gets none waits until he goes.
    pub(crate) fn serving(find: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, find) = (Arc::clone(&requests), Arc::new(find));
        // Ends with this process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, kept, find) = (stream.unwrap(), Arc::clone(&kept), Arc::clone(&find));
                thread::spawn(move || {
                    // Who asks may be killed at any moment, and hangs up then.
                    let Some(request) = read(&stream) else { return };
                    kept.lock().unwrap().push(request.clone());
                    match find(&request) {
                        Some(answer) => drop((&stream).write_all(answer.as_bytes())),
                        None => drop((&stream).read(&mut [0])),
                    }
                });
            }
        });
        Self { port, requests }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The one request so far.
    pub(crate) fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

impl Request {
    /// A header's only value.
    pub(crate) fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).collect();
        assert_eq!(values.len(), 1, "{name} in {:?}", self.headers);
        &values[0].1
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// The fields of a form, as they were sent: percent-encoded.
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        self.body.split('&').map(|field| field.split_once('=').unwrap()).collect()
    }
}

/// An answer as it goes over the wire.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
}

/// One request, unless it broke off.
pub(crate) fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let target = line()?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { target, headers, body: String::new() };
    let length = request.has("content-length").then(|| request.header("content-length").parse().unwrap());
    reader.take(length.unwrap_or(0)).read_to_string(&mut request.body).ok()?;
    Some(request)
}

/// An address of this machine that refuses connections, for as long as the value lives: a connection's own end, on
/// which no process can listen.
pub(crate) struct Refusing {
    connection: TcpStream,
    _listener: TcpListener,
}

impl Refusing {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        Self { connection: TcpStream::connect(address).unwrap(), _listener: listener }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.connection.local_addr().unwrap())
    }
}

//! A proxy before an S3 that ends each key after a short life. SeaweedFS signs for a quarter of an hour at the least, and
//! this passes on what it is sent unchanged, so that signatures hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::http_message::Head;

/// What a client hears whose key has ended, as AWS says it.
const EXPIRED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";

/// How long a peer may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// A running proxy. It listens until the process ends.
pub struct ExpiringKeys {
    port: u16,
    shared: Arc<Shared>,
}

/// What was seen of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// The keys of requests that succeeded.
    pub keys: BTreeSet<String>,
    /// How many requests succeeded.
    pub succeeded: usize,
    /// How many had a key that had ended.
    pub expired: usize,
}

struct Shared {
    upstream: u16,
    life: Duration,
    /// Keys that do not end.
    lasting: Vec<String>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// When each key was issued, or seen first.
    issued: BTreeMap<String, Instant>,
    /// By the path of the object.
    reads: BTreeMap<String, Reads>,
}

impl ExpiringKeys {
    /// Starts one before the S3 at a port of this machine. Each key ends after `life`, but for those that last.
    ///
    /// # Errors
    /// When there is no port for it.
    pub fn start(upstream: u16, life: Duration, lasting: &[&str]) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::new(format!("no port for the proxy: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let lasting = lasting.iter().map(|key| (*key).to_owned()).collect();
        let shared = Arc::new(Shared { upstream, life, lasting, book: Mutex::default() });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // A client that breaks off has its own error.
                thread::spawn(move || shared.serve(&client).ok());
            }
        });
        Ok(Self { port, shared })
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was seen of the object at a path, such as `/bucket/key`.
    #[must_use]
    pub fn reads(&self, path: &str) -> Reads {
        self.shared.book().reads.get(path).cloned().unwrap_or_default()
    }

    /// How many keys there were.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.shared.book().issued.len()
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection, a request after the other.
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(SILENCE))?;
        let mut from_client = BufReader::new(client);
        let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.upstream))?;
        upstream.set_read_timeout(Some(SILENCE))?;
        let mut from_upstream = BufReader::new(&upstream);
        while let Some(request) = Head::read(&mut from_client)? {
            if request.header("expect").is_some() {
                (&*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let key = access_key(&request);
            if key.as_deref().is_some_and(|key| self.has_ended(key)) {
                request.copy_body(&mut from_client, &mut io::sink())?;
                self.book().reads.entry(request.path().to_owned()).or_default().expired += 1;
                return refuse(client, &request);
            }
            (&upstream).write_all(request.bytes())?;
            request.copy_body(&mut from_client, &mut &upstream)?;
            let Some(response) = response(&mut from_upstream)? else { return Ok(()) };
            (&*client).write_all(response.bytes())?;
            // What STS says has the key that it issues.
            if request.method() == "POST" && request.path() == "/" {
                let mut body = Vec::new();
                response.copy_response(&request, &mut from_upstream, &mut body)?;
                self.issue(&String::from_utf8_lossy(&body));
                (&*client).write_all(&body)?;
            } else {
                response.copy_response(&request, &mut from_upstream, &mut &*client)?;
            }
            if let Some(key) = key.filter(|_| response.is_success()) {
                let mut book = self.book();
                let reads = book.reads.entry(request.path().to_owned()).or_default();
                reads.succeeded += 1;
                reads.keys.insert(key);
            }
            if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn has_ended(&self, key: &str) -> bool {
        if self.lasting.iter().any(|lasting| lasting == key) {
            return false;
        }
        self.book().issued.entry(key.to_owned()).or_insert_with(Instant::now).elapsed() >= self.life
    }

    fn issue(&self, answer: &str) {
        let rest = answer.split_once("<AccessKeyId>").map(|(_, rest)| rest);
        if let Some((key, _)) = rest.and_then(|rest| rest.split_once('<')) {
            self.book().issued.insert(key.to_owned(), Instant::now());
        }
    }
}

/// The head of the answer, behind interim ones.
fn response(from: &mut BufReader<&TcpStream>) -> io::Result<Option<Head>> {
    while let Some(head) = Head::read(from)? {
        if !head.is_interim() {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn refuse(mut client: &TcpStream, request: &Head) -> io::Result<()> {
    let body = if request.method() == "HEAD" { "" } else { EXPIRED };
    let head = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/xml\r\nconnection: close";
    client.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// The public half of the key that a request is signed with: in its Authorization, or in its query.
fn access_key(request: &Head) -> Option<String> {
    let (place, end) = match request.header("authorization") {
        Some(value) => (value.split_once("Credential=")?.1, "/"),
        None => (request.query().split_once("X-Amz-Credential=")?.1, "%2F"),
    };
    place.split_once(end).map(|(key, _)| key.to_owned())
}

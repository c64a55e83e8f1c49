//! Servers that behave badly, on ports of their own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::harness::host;

/// A server that ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    heard: Heard,
    accepting: AbortHandle,
}

/// What a server was sent, one text per connection.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    requests: Arc<Mutex<Vec<String>>>,
    /// Clients of a waiting server that have not hung up.
    open: Arc<AtomicUsize>,
}

impl Server {
    /// A server that gives each connection to `talk`.
    pub(crate) fn start<F>(talk: impl Fn(TcpStream, Heard) -> F + Send + 'static) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let _inside = host().runtime.enter();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Heard::default();
        let hears = heard.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(talk(stream, hears.clone()));
            }
        });
        Self { address, heard, accepting: accepting.abort_handle() }
    }

    /// Answers every request with these bytes and hangs up.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut stream, heard| {
            let answer = Arc::clone(&answer);
            async move {
                heard.request(&mut stream).await?;
                stream.write_all(&answer).await?;
                stream.shutdown().await
            }
        })
    }

    /// Answers every request well: 200 and `hello`.
    pub(crate) fn good() -> Self {
        Self::answering(response("hello"))
    }

    /// Answers every request with these bytes and then says nothing more.
    pub(crate) fn stalling(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut stream, heard| {
            let answer = Arc::clone(&answer);
            async move {
                heard.request(&mut stream).await?;
                stream.write_all(&answer).await?;
                std::future::pending().await
            }
        })
    }

    /// Reads what comes and says nothing, and counts the clients that have not hung up.
    pub(crate) fn waiting() -> Self {
        Self::start(|mut stream, heard| async move {
            heard.open.fetch_add(1, Ordering::SeqCst);
            while let Ok(1..) = stream.read(&mut [0; 4096]).await {}
            heard.open.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
    }

    /// Begins every answer with `head` and goes on with `piece` for ever, with a pause before each.
    pub(crate) fn endless(head: &str, piece: &[u8], pause: Duration) -> Self {
        let (head, piece): (Arc<str>, Arc<[u8]>) = (head.into(), piece.into());
        Self::start(move |mut stream, heard| {
            let (head, piece) = (Arc::clone(&head), Arc::clone(&piece));
            async move {
                heard.request(&mut stream).await?;
                stream.write_all(head.as_bytes()).await?;
                loop {
                    sleep(pause).await;
                    stream.write_all(&piece).await?;
                }
            }
        })
    }

    /// Takes connections and does nothing with them.
    pub(crate) fn silent() -> Self {
        Self::start(|stream, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
            Ok(())
        })
    }

    /// Reads what comes, for ever, and says nothing.
    pub(crate) fn swallowing() -> Self {
        Self::start(|mut stream, _| async move {
            let mut buffer = vec![0; 64 * 1024];
            while stream.read(&mut buffer).await? > 0 {}
            std::future::pending().await
        })
    }

    /// Writes at once and for ever, whatever it is sent.
    pub(crate) fn babbling() -> Self {
        Self::start(|mut stream, _| async move {
            loop {
                stream.write_all(&[b'x'; 16 * 1024]).await?;
            }
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many clients of a waiting server have not hung up.
    pub(crate) fn open(&self) -> usize {
        self.heard.open.load(Ordering::SeqCst)
    }

    /// What came in on each connection that a request was read from.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Heard {
    /// Notes all that has come in when a request's head is whole. A body that came along with it is noted, too.
    pub(crate) async fn request(&self, stream: &mut TcpStream) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
        let request = String::from_utf8_lossy(&bytes).into_owned();
        self.requests.lock().unwrap().push(request.clone());
        Ok(request)
    }
}

/// A port where connections are neither taken nor refused: the queue of an idle listener is full.
pub(crate) struct Full {
    port: u16,
    _held: (TcpListener, Vec<TcpStream>),
}

impl Full {
    pub(crate) fn start() -> Self {
        host().runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let mut queued = Vec::new();
            while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
                queued.push(stream.unwrap());
                assert!(queued.len() < 100, "the queue has no end");
            }
            Self { port: address.port(), _held: (listener, queued) }
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// A whole answer with this body.
pub(crate) fn response(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

use std::io::{Read, Write};
use std::net::TcpStream as Client;

use tokio::sync::watch;

use super::*;

/// Answers `/now` at once and everything else when `released` is true.
struct Gate {
    released: watch::Receiver<bool>,
}

impl HttpHandler for Gate {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        if self.waits(&request) {
            self.released.clone().wait_for(|released| *released).await.unwrap();
        }
        text_response(StatusCode::OK, "done\n".to_owned())
    }

    fn waits(&self, request: &Request<()>) -> bool {
        request.uri().path() != "/now"
    }
}

struct TestServer {
    address: SocketAddr,
    release: watch::Sender<bool>,
    server: JoinSet<()>,
    listener: Option<HttpListener>,
    gate: Arc<Gate>,
}

impl TestServer {
    /// Connections are accepted by the kernel alone until it is started.
    async fn bind() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (release, released) = watch::channel(false);
        let gate = Arc::new(Gate { released });
        Self { address, release, server: JoinSet::new(), listener: Some(HttpListener::Tcp(listener)), gate }
    }

    fn start(&mut self) {
        self.server.spawn(serve(self.listener.take().unwrap(), Arc::clone(&self.gate)));
    }

    #[expect(clippy::disallowed_methods, reason = "a client of the test's own server")]
    fn connect(&self) -> Client {
        let stream = Client::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        request(&mut stream, path).unwrap();
        answer(stream).await
    }
}

fn request(stream: &mut Client, path: &str) -> io::Result<()> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// The whole answer; empty if the server closed the connection.
#[expect(clippy::disallowed_methods, reason = "the server closes the connection after its answer")]
async fn answer(mut stream: Client) -> String {
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).ok();
        text
    });
    reading.await.unwrap()
}

#[tokio::test]
async fn http_server_keeps_a_burst_of_waiting_requests() {
    let mut server = TestServer::bind().await;
    let mut clients: Vec<_> = (0..2 * MAX_CONNECTIONS).map(|_| server.connect()).collect();
    server.start();
    // It accepts what it can before the first request arrives.
    for _ in 0..2 * MAX_CONNECTIONS {
        tokio::task::yield_now().await;
    }
    for client in &mut clients {
        request(client, "/later").ok();
    }
    assert!(server.get("/now").await.starts_with("HTTP/1.1 200 "));
    server.release.send_replace(true);
    for (number, client) in clients.into_iter().enumerate() {
        assert!(answer(client).await.starts_with("HTTP/1.1 200 "), "connection {number}");
    }
}

#[tokio::test]
async fn http_server_ends_the_longest_idle_connection_when_full() {
    let mut server = TestServer::bind().await;
    server.start();
    let first = server.connect();
    let others: Vec<_> = (1..MAX_CONNECTIONS).map(|_| server.connect()).collect();
    assert!(server.get("/now").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(answer(first).await, "");
    for other in &others {
        other.set_nonblocking(true).unwrap();
        let error = (&mut &*other).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "still open");
    }
}

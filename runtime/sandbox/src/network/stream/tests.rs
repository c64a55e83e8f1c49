use super::*;
use crate::network::{Deadline, Protocol, RuleTls, connect, handshake};
use crate::stand_in::World;
use crate::testing::{Server, tcp};
use deputy_core::grant::{Grant, Scheme, Target, TlsOptions};
use deputy_core::{Limit, Span};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

fn soon() -> Deadline {
    Deadline::after(Span::secs(10), Limit::Connect)
}

async fn plain(server: &Server) -> TcpStream {
    let rule = tcp(&format!("a.example:{}", server.port()));
    let target = Target::new(Scheme::Tcp, "a.example".parse().unwrap(), server.port());
    let grant = Grant { tcp: vec![rule], ..Grant::default() };
    connect(grant.permit_tcp(&target).unwrap().pin(&[server.address.ip()]).unwrap(), soon(), &World::default())
        .await
        .unwrap()
}

/// A server's side of TLS, and its certificate.
fn acceptor() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

async fn over_tls(server: &Server, certificate: &str) -> Connection {
    let mut roots = tempfile::NamedTempFile::new().unwrap();
    roots.write_all(certificate.as_bytes()).unwrap();
    let tls =
        RuleTls::load(&TlsOptions { roots: Some(roots.path().to_owned()), client: None }, Protocol::Http).unwrap();
    let (stream, host) = (plain(server).await, "a.example".parse().unwrap());
    handshake(stream, &host, tls.config(None).await.unwrap(), soon()).await.unwrap()
}

/// How much comes until the other side says, in the right way, that no more will.
async fn to_its_end(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let mut all = Vec::new();
    while stream.read_buf(&mut all).await.unwrap() > 0 {}
    all.len()
}

async fn within_seconds<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it ends")
}

#[tokio::test]
async fn connection_flush_sends_buffered_tls_data() {
    let (acceptor, certificate) = acceptor();
    let ((begin, begun), (read, told)) = (oneshot::channel::<usize>(), oneshot::channel());
    let once = Mutex::new(Some((begun, read)));
    let server = Server::start(move |stream| {
        let (acceptor, (begun, read)) = (acceptor.clone(), once.lock().unwrap().take().unwrap());
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut all = vec![0; begun.await.unwrap()];
            stream.read_exact(&mut all).await.unwrap();
            read.send(all).unwrap();
        }
    });
    let server = server.await;
    let mut stream = over_tls(&server, &certificate).await;
    // Until the connection is full, and then the room that TLS itself has.
    let mut written = 0;
    while let Ok(count) = tokio::time::timeout(Duration::from_millis(200), stream.write(&[7; 10_000])).await {
        written += count.unwrap();
    }
    begin.send(written).unwrap();
    within_seconds(stream.flush()).await.unwrap();
    assert_eq!(within_seconds(told).await.unwrap(), vec![7; written]);
}

#[tokio::test]
async fn connection_shutdown_reaches_the_peer() {
    let (acceptor, certificate) = acceptor();
    for tls in [false, true] {
        let (end, ended) = oneshot::channel();
        let once = Mutex::new(Some((end, acceptor.clone())));
        let server = Server::start(move |mut stream| {
            let (end, acceptor) = once.lock().unwrap().take().unwrap();
            async move {
                let length = match tls {
                    true => to_its_end(&mut acceptor.accept(stream).await.unwrap()).await,
                    false => to_its_end(&mut stream).await,
                };
                end.send(length).unwrap();
            }
        });
        let server = server.await;
        let mut stream = match tls {
            true => over_tls(&server, &certificate).await,
            false => Connection::Left(plain(&server).await),
        };
        stream.write_all(b"good-bye").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(within_seconds(ended).await.unwrap(), 8, "with TLS: {tls}");
    }
}

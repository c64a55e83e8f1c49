//! TLS below a component's socket, with real servers.

use std::path::PathBuf;
use std::sync::Mutex;

use bytes::Bytes;
use deputy_audit::AuditAction;
use deputy_core::grant::TlsOptions;
use deputy_core::{Limit, Span};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use wasmtime_wasi::p2::StreamError;

use super::*;
use crate::secret_fault::SecretFault;
use crate::testing::{Server, eventually, tcp};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name, and its key, as PEM.
fn issued(issuer: &Issuer, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

fn acceptor(issuer: &Issuer, name: &str, clients: Option<&Issuer>) -> TlsAcceptor {
    let (certificate, key) = issued(issuer, name);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}

/// How a server ends its answer.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// As TLS wants it.
    Closed,
    /// By ending the connection below TLS.
    CutOff,
}

/// Reads to the end of the client's side, which it notes, and answers with as many bytes.
async fn echo(acceptor: TlsAcceptor, ending: Ending) -> (Server, Arc<Mutex<Vec<usize>>>) {
    let heard = Arc::<Mutex<Vec<usize>>>::default();
    let notes = Arc::clone(&heard);
    let server = Server::start(move |stream| {
        let (acceptor, notes) = (acceptor.clone(), Arc::clone(&notes));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut all = Vec::new();
            while stream.read_buf(&mut all).await.unwrap_or(0) > 0 {}
            notes.lock().unwrap().push(all.len());
            stream.write_all(&all).await.ok();
            stream.flush().await.ok();
            match ending {
                Ending::Closed => stream.shutdown().await.ok(),
                Ending::CutOff => stream.get_mut().0.shutdown().await.ok(),
            };
        }
    });
    (server.await, heard)
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    file.persist(&path).unwrap();
    path
}

/// A component with a rule for the server that has TLS with these options.
fn client(server: &Server, tls: TlsOptions, secrets: &[(&str, &str)]) -> TestSockets {
    let rule = TcpRule { tls: Some(tls), ..tcp(&format!("a.example:{}", server.port())) };
    guest_with(vec![rule], Limits::default(), resolving_to(&["127.0.0.1"]), StaticSecrets::of(secrets))
}

fn trusting(folder: &TempDir, issuer: &Issuer) -> TlsOptions {
    TlsOptions { roots: Some(file(folder, "ca.pem", &issuer.pem())), client: None }
}

/// Connects by the name, as a component does.
async fn connect(guest: &mut TestSockets, server: &Server) -> SocketResult<Connected> {
    guest.lookup("a.example").await?;
    guest.connect(server.address).await
}

/// Writes all of it, ends its side, and reads what comes back, up to the end or an error.
async fn exchange(guest: &mut TestSockets, connected: &Connected, bytes: &[u8]) -> (Vec<u8>, StreamError) {
    for chunk in bytes.chunks(4096) {
        if let Err(error) = guest.output(connected).blocking_write_and_flush(Bytes::copy_from_slice(chunk)).await {
            return (Vec::new(), error);
        }
    }
    guest.view().shutdown(borrow(&connected.socket), wasi_tcp::ShutdownType::Send).map_err(|_| ()).unwrap();
    let mut all = Vec::new();
    loop {
        match guest.input(connected).blocking_read(100_000).await {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => return (all, error),
        }
    }
}

fn faults(guest: &TestSockets) -> String {
    let faults = guest.audited.budget.findings.faults();
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

#[tokio::test]
async fn tcp_tls_carries_bytes_both_ways_to_a_clean_end() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (server, heard) = echo(acceptor(&ca, "a.example", None), Ending::Closed).await;
    let mut guest = client(&server, trusting(&folder, &ca), &[]);
    // More than the buffers between hold.
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let connected = connect(&mut guest, &server).await.map_err(|_| ()).unwrap();
    let remote = guest.view().remote_address(borrow(&connected.socket)).map_err(|_| ()).unwrap();
    assert_eq!(SocketAddr::from(remote), server.address);
    let (all, end) = exchange(&mut guest, &connected, &bytes).await;
    assert!(all == bytes && matches!(end, StreamError::Closed), "{} {end:?}", all.len());
    assert_eq!(*heard.lock().unwrap(), [bytes.len()]);
    guest.end();
    let event = guest.audited.events().pop().unwrap();
    let counted =
        |action: &AuditAction| matches!(action, AuditAction::Tcp { sent: 2_000_000, received: 2_000_000, .. });
    assert!(counted(&event.action) && event.outcome == AuditOutcome::Done, "{event:?}");
}

#[tokio::test]
async fn tcp_tls_sends_what_was_written_before_the_stream_was_dropped() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (server, heard) = echo(acceptor(&ca, "a.example", None), Ending::Closed).await;
    let mut guest = client(&server, trusting(&folder, &ca), &[]);
    let connected = connect(&mut guest, &server).await.map_err(|_| ()).unwrap();
    guest.output(&connected).write(Bytes::from_static(b"good bye")).unwrap();
    guest.output(&connected).cancel().await;
    guest.end();
    eventually(|| !heard.lock().unwrap().is_empty()).await;
    assert_eq!(*heard.lock().unwrap(), [8]);
}

#[tokio::test]
async fn tcp_tls_connections_that_linger_are_bounded() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let acceptor = acceptor(&ca, "a.example", None);
    let server = Server::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(_silent) = acceptor.accept(stream).await else { return };
            std::future::pending::<()>().await;
        }
    });
    let server = server.await;
    let rule = TcpRule { tls: Some(trusting(&folder, &ca)), ..tcp(&format!("a.example:{}", server.port())) };
    let limits = Limits { handles: 12, ..Limits::default() };
    let mut guest = guest_with(vec![rule], limits, resolving_to(&["127.0.0.1"]), StaticSecrets::of(&[]));
    guest.lookup("a.example").await.map_err(|_| ()).unwrap();
    for _ in 0..12 {
        guest.connect(server.address).await.map_err(|_| ()).unwrap();
        // The component drops its socket, and the server stays silent.
        guest.end();
    }
    assert_eq!(code(guest.connect(server.address).await), ErrorCode::ConnectionAborted);
}

#[tokio::test]
async fn tcp_tls_wants_the_name_that_was_granted_and_a_trusted_issuer() {
    let (folder, ca, other) = (tempfile::tempdir().unwrap(), authority(), authority());
    for (issuer, name, says) in [
        (&ca, "b.example", "`allow` must have a name of the certificate"),
        (&ca, "127.0.0.1", "`allow` must have a name of the certificate"),
        (&other, "a.example", "name the authority's certificate in `roots`"),
    ] {
        let (server, heard) = echo(acceptor(issuer, name, None), Ending::Closed).await;
        let mut guest = client(&server, trusting(&folder, &ca), &[]);
        assert_eq!(code(connect(&mut guest, &server).await), ErrorCode::ConnectionAborted, "{name}");
        let expected = format!("TLS with tcp://a.example:{}: ", server.port());
        assert!(faults(&guest).starts_with(&expected) && faults(&guest).contains(says), "{}", faults(&guest));
        guest.end();
        let failed = (AuditOutcome::Failed, Some("tls-certificate".to_owned()));
        assert_eq!(guest.outcomes().last(), Some(&failed), "{name}");
        assert!(heard.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn tcp_tls_checks_the_latest_of_two_names_of_one_address() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (server, _) = echo(acceptor(&ca, "b.example", None), Ending::Closed).await;
    let rule = |name: &str| {
        let tls = Some(trusting(&folder, &ca));
        TcpRule { tls, ..tcp(&format!("{name}:{}", server.port())) }
    };
    let names = StaticResolver(vec![("a.example", vec!["127.0.0.1"]), ("b.example", vec!["127.0.0.1"])]);
    let rules = vec![rule("a.example"), rule("b.example")];
    let mut guest = guest_with(rules, Limits::default(), Arc::new(names), StaticSecrets::of(&[]));
    guest.lookup("a.example").await.map_err(|_| ()).unwrap();
    guest.lookup("b.example").await.map_err(|_| ()).unwrap();
    guest.connect(server.address).await.map_err(|_| ()).unwrap();
    guest.lookup("a.example").await.map_err(|_| ()).unwrap();
    assert_eq!(code(guest.connect(server.address).await), ErrorCode::ConnectionAborted);
}

#[tokio::test]
async fn tcp_tls_client_certificate_is_presented_if_there_is_one() {
    let (folder, ca, clients) = (tempfile::tempdir().unwrap(), authority(), authority());
    let (chain, key) = issued(&clients, "me");
    let (server, _) = echo(acceptor(&ca, "a.example", Some(&clients)), Ending::Closed).await;
    let chain = file(&folder, "client.pem", &chain);
    let with = TlsOptions { client: Some((chain, "key".parse().unwrap())), ..trusting(&folder, &ca) };
    let mut guest = client(&server, with.clone(), &[("key", &key)]);
    let connected = connect(&mut guest, &server).await.map_err(|_| ()).unwrap();
    assert_eq!(exchange(&mut guest, &connected, b"hello").await.0, b"hello");
    guest.end();
    let event = guest.audited.events().pop().unwrap();
    assert!(matches!(&event.action, AuditAction::Tcp { injected, .. } if *injected == ["key"]), "{event:?}");

    // A server of TLS 1.3 says so when the handshake is over.
    let mut guest = client(&server, trusting(&folder, &ca), &[]);
    let connected = connect(&mut guest, &server).await.map_err(|_| ()).unwrap();
    let (all, end) = exchange(&mut guest, &connected, b"hello").await;
    assert!(all.is_empty() && matches!(end, StreamError::LastOperationFailed(_)), "{end:?}");
    assert!(faults(&guest).contains("add `client-certificate`"), "{}", faults(&guest));
    guest.end();
    assert_eq!(guest.outcomes().last(), Some(&(AuditOutcome::Failed, Some("tls-client-certificate".to_owned()))));

    let strangers = authority();
    let (chain, key) = issued(&strangers, "me");
    let chain = file(&folder, "stranger.pem", &chain);
    let with = TlsOptions { client: Some((chain, "key".parse().unwrap())), ..with };
    let mut guest = client(&server, with.clone(), &[("key", &key)]);
    let connected = connect(&mut guest, &server).await.map_err(|_| ()).unwrap();
    exchange(&mut guest, &connected, b"hello").await;
    assert!(faults(&guest).contains("refuses the client certificate"), "{}", faults(&guest));

    let mut guest = client(&server, with, &[("key", "not a key")]);
    assert_eq!(code(connect(&mut guest, &server).await), ErrorCode::ConnectionAborted);
    let faults = guest.audited.budget.findings.faults();
    assert!(
        matches!(faults.as_slice(), [SecretFault::Value(text)] if text.contains("secret key is not")),
        "{faults:?}"
    );
}

#[tokio::test]
async fn tcp_tls_server_that_speaks_none_or_nothing_is_told_apart() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let plain = Server::start(|mut stream| async move {
        stream.write_all(b"220 mail.example ESMTP\r\n").await.ok();
        stream.read_u8().await.ok();
    });
    let plain = plain.await;
    let mut guest = client(&plain, trusting(&folder, &ca), &[]);
    assert_eq!(code(connect(&mut guest, &plain).await), ErrorCode::ConnectionAborted);
    assert!(faults(&guest).contains("check that the port is the TLS port"), "{}", faults(&guest));

    let silent = Server::start(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let silent = silent.await;
    let rule = TcpRule { tls: Some(trusting(&folder, &ca)), ..tcp(&format!("a.example:{}", silent.port())) };
    let limits = Limits { tls: Span::millis(200), ..Limits::default() };
    let mut guest = guest_with(vec![rule], limits, resolving_to(&["127.0.0.1"]), StaticSecrets::of(&[]));
    assert_eq!(code(connect(&mut guest, &silent).await), ErrorCode::Timeout);
    assert_eq!(guest.timeouts(), [Limit::Tls]);
    guest.end();
    assert_eq!(guest.outcomes().last(), Some(&(AuditOutcome::Failed, Some("tls-timeout".to_owned()))));
}

#[tokio::test]
async fn tcp_tls_that_is_cut_off_is_no_clean_end() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (server, _) = echo(acceptor(&ca, "a.example", None), Ending::CutOff).await;
    let mut guest = client(&server, trusting(&folder, &ca), &[]);
    let connected = connect(&mut guest, &server).await.map_err(|_| ()).unwrap();
    let (all, end) = exchange(&mut guest, &connected, b"hello").await;
    assert_eq!(all, b"hello", "what came before");
    assert!(matches!(end, StreamError::LastOperationFailed(_)), "{end:?}");
    guest.end();
    assert_eq!(guest.outcomes().last(), Some(&(AuditOutcome::Failed, Some("tls-truncated".to_owned()))));
}

#[tokio::test]
async fn tcp_tls_task_ends_with_the_call() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let open = Arc::new(Mutex::new(0));
    let (count, acceptor) = (Arc::clone(&open), acceptor(&ca, "a.example", None));
    let server = Server::start(move |stream| {
        let (count, acceptor) = (Arc::clone(&count), acceptor.clone());
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            *count.lock().unwrap() += 1;
            // The component says nothing; TLS says that it ends, or the connection does.
            stream.read_u8().await.ok();
            *count.lock().unwrap() -= 1;
        }
    });
    let server = server.await;
    let mut guest = client(&server, trusting(&folder, &ca), &[]);
    let _handles = connect(&mut guest, &server).await.map_err(|_| ()).unwrap();
    eventually(|| *open.lock().unwrap() == 1).await;
    // The component leaks its handles, and its call ends.
    drop(guest);
    eventually(|| *open.lock().unwrap() == 0).await;
}

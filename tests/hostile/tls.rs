//! TLS of TCP rules, with servers that lie, cut, drip or leave it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{sleep, spawn};
use std::time::Duration;

use deputy_audit::{AuditAction, AuditOutcome};
use deputy_core::grant::TlsOptions;
use deputy_core::{Limit, Span};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::harness::{Attack, host};
use crate::surroundings::private_file;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a server needs whose certificate is for this name, and expires in this year.
fn config(issuer: &Issuer, name: &str, year: i32) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let certificate = params.signed_by(&key, issuer).unwrap().der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

/// The port of a server that takes one connection.
fn server(behave: impl FnOnce(TcpStream) -> io::Result<()> + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        let (stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        behave(stream)
    });
    port
}

/// The port of a server that shakes hands, hears `hello`, and goes on like this.
fn shaken(
    config: &Arc<ServerConfig>,
    then: impl FnOnce(ServerConnection, TcpStream) -> io::Result<()> + Send + 'static,
) -> u16 {
    let config = Arc::clone(config);
    server(move |mut stream| {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Stream::new(&mut tls, &mut stream).read_exact(&mut [0; 5])?;
        then(tls, stream)
    })
}

/// Reads the first record of a client.
fn hello(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    stream.read_exact(&mut vec![0; usize::from(head[3]) << 8 | usize::from(head[4])])
}

/// Until the client is gone.
fn wait(mut stream: TcpStream) -> io::Result<()> {
    stream.read_to_end(&mut Vec::new()).map(drop)
}

#[test]
fn tls_server_hostile() {
    let (ca, other) = (authority(), authority());
    let name = host().name(&["127.0.0.1"]);
    let well = config(&ca, &name, 2100);
    let (foreign, misnamed) = (config(&other, &name, 2100), config(&ca, "other.hostile.test", 2100));
    let expired = config(&ca, &name, 2020);
    let drops = |_: ServerConnection, stream: TcpStream| wait(stream);
    // What a guest reads, what the audit log has, and what the operator reads.
    let servers = [
        (
            shaken(&foreign, drops),
            "err finish-connect",
            "tls-certificate",
            "the issuer of its certificate is not trusted",
        ),
        (shaken(&misnamed, drops), "err finish-connect", "tls-certificate", "its certificate is for another host"),
        (shaken(&expired, drops), "err finish-connect", "tls-certificate", "its certificate has expired"),
        (
            server(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").and_then(|()| wait(stream))),
            "err finish-connect",
            "tls",
            "it speaks no TLS",
        ),
        // Cut off in the middle of the handshake: once all of its beginning is read, and before.
        (server(|mut stream| hello(&mut stream)), "err finish-connect", "tls", "it speaks no TLS"),
        (server(|mut stream| stream.read_exact(&mut [0; 64])), "err finish-connect", "connection-closed", ""),
        (
            shaken(&well, |mut tls, mut stream| {
                tls.writer().write_all(b"half")?;
                tls.write_tls(&mut stream).map(drop)
            }),
            "4 failed",
            "tls-truncated",
            "broke off without the end that TLS has",
        ),
        // A wish to negotiate again, in plain text: anyone on the way could send it.
        (
            shaken(&well, |_, mut stream| stream.write_all(b"\x16\x03\x03\0\x04\0\0\0\0").and_then(|()| wait(stream))),
            "0 failed",
            "tls",
            "it speaks no TLS",
        ),
        // A record of that kind which has another key.
        (
            shaken(&well, |_, mut stream| {
                stream.write_all(&[&b"\x17\x03\x03\0\x40"[..], &[7; 64]].concat())?;
                wait(stream)
            }),
            "0 failed",
            "tls",
            "it speaks no TLS",
        ),
        (
            shaken(&well, |mut tls, mut stream| {
                Stream::new(&mut tls, &mut stream).write_all(b"world")?;
                tls.send_close_notify();
                tls.write_tls(&mut stream)?;
                wait(stream)
            }),
            "5 closed",
            "",
            "",
        ),
    ];
    let roots = private_file(ca.pem().as_bytes());
    let mut attack = Attack::new("tls-server-hostile").setting("name", &name);
    for (port, ..) in &servers {
        attack = attack.tcp(&format!("{name}:{port}"));
    }
    for rule in &mut attack.instance.grant.tcp {
        rule.tls = Some(TlsOptions { roots: Some(roots.clone()), client: None });
    }
    let ports: Vec<_> = servers.iter().map(|(port, ..)| port.to_string()).collect();
    let seen = attack.setting("ports", ports.join("\n")).obtain();
    let lines = seen.lines();
    assert_eq!(lines.len(), servers.len(), "{lines:?}");
    let faults: Vec<_> = seen.call.secret_faults.iter().map(ToString::to_string).collect();
    let connections: Vec<_> =
        seen.events.iter().filter(|event| matches!(event.action, AuditAction::Tcp { .. })).collect();
    assert_eq!(connections.len(), servers.len(), "{seen:?}");
    for (at, (port, line, code, fault)) in servers.iter().enumerate() {
        assert!(lines[at].starts_with(line), "{port}: {line}: {lines:?}");
        let expected = if code.is_empty() { AuditOutcome::Done } else { AuditOutcome::Failed };
        assert_eq!(connections[at].outcome, expected, "{port}: {seen:?}");
        assert_eq!(connections[at].code.as_deref().unwrap_or_default(), *code, "{port}: {seen:?}");
        let of_server = faults.iter().find(|text| text.contains(&format!(":{port}: ")));
        assert_eq!(of_server.is_some(), !fault.is_empty(), "{port}: {faults:?}");
        assert!(of_server.is_none_or(|text| text.contains(fault)), "{port}: {fault}: {faults:?}");
    }
}

#[test]
fn tls_handshake_that_drips() {
    let ca = authority();
    let name = host().name(&["127.0.0.1"]);
    let port = server(|mut stream| {
        // The head of a long record, and then a byte of it now and then.
        stream.write_all(b"\x16\x03\x03\x40\0")?;
        loop {
            stream.write_all(b"\x02")?;
            sleep(Duration::from_millis(20));
        }
    });
    let limit = Span::millis(300);
    let mut attack = Attack::new("tls-server-hostile").setting("name", &name).setting("ports", port);
    attack = attack.tcp(&format!("{name}:{port}")).limits(|limits| limits.tls = limit);
    for rule in &mut attack.instance.grant.tcp {
        rule.tls = Some(TlsOptions { roots: Some(private_file(ca.pem().as_bytes())), client: None });
    }
    let seen = attack.obtain();
    seen.assert_unanswered(Limit::Tls, "tls-timeout");
    assert_eq!(seen.report(), "err finish-connect timeout");
    seen.assert_soon_after(limit);
}

#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use super::*;
use crate::testing::{Requests, Server, http};
use deputy_core::Span;
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// One key in two forms.
const PKCS8: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/jose/es256.pkcs8.pem"));
const SEC1: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/jose/es256.sec1.pem"));

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(issuer: &Issuer, name: &str) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// An HTTPS server for this name; with clients, one that asks for certificates of theirs.
async fn https(issuer: &Issuer, name: &str, clients: Option<&Issuer>) -> (Server, Requests, Arc<Mutex<Vec<String>>>) {
    let (certificate, key) = issued(issuer, name);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![CertificateDer::from(certificate)], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (acceptor, requests) = (TlsAcceptor::from(Arc::new(config)), Requests::default());
    let shown = Arc::new(Mutex::new(Vec::new()));
    let (seen, notes) = (requests.clone(), Arc::clone(&shown));
    let server = Server::start(move |stream| {
        let (acceptor, seen, notes) = (acceptor.clone(), seen.clone(), Arc::clone(&notes));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let connection = stream.get_ref().1;
            let alpn = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
            let note = format!("sni={:?} alpn={alpn:?}", connection.server_name());
            notes.lock().unwrap().push(note);
            seen.serve(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    });
    (server.await, requests, shown)
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    file.persist(&path).unwrap();
    path
}

fn trusting(server: &Server, roots: PathBuf) -> HttpRule {
    let mut rule = http(&format!("https://a.example:{}", server.port()));
    rule.send.tls.roots = Some(roots);
    rule
}

#[tokio::test]
async fn tls_trusts_the_given_roots_and_sends_the_name() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (server, _, shown) = https(&ca, "a.example", None).await;
    let mut client = client(vec![trusting(&server, file(&folder, "ca.pem", &ca.pem()))]);
    for _ in 0..2 {
        let response = client.get(&format!("https://a.example:{}/", server.port())).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "ok");
    }
    let note = "sni=Some(\"a.example\") alpn=Some(\"http/1.1\")";
    assert_eq!(*shown.lock().unwrap(), [note, note]);
}

#[tokio::test]
async fn tls_certificate_may_be_for_an_address() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (server, ..) = https(&ca, "127.0.0.1", None).await;
    let mut rule = http(&format!("https://{}", server.address));
    rule.send.tls.roots = Some(file(&folder, "ca.pem", &ca.pem()));
    let response = client(vec![rule]).get(&format!("https://{}/", server.address)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "ok");
}

#[tokio::test]
async fn tls_rejects_another_name_or_an_unknown_issuer() {
    let (folder, ca, other) = (tempfile::tempdir().unwrap(), authority(), authority());
    let roots = file(&folder, "ca.pem", &ca.pem());
    for (issuer, name) in [(&ca, "b.example"), (&other, "a.example")] {
        let (server, requests, _) = https(issuer, name, None).await;
        let mut client = client(vec![trusting(&server, roots.clone())]);
        let error = client.get(&format!("https://a.example:{}/", server.port())).await.unwrap_err();
        assert_eq!(format!("{error:?}"), "TlsCertificateError", "{name}");
        assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("tls-certificate".into())));
        assert!(requests.all().is_empty());
    }
}

#[tokio::test]
async fn tls_roots_replace_those_of_the_system() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (server, ..) = https(&ca, "a.example", None).await;
    let mut with_system_roots = http(&format!("https://a.example:{}", server.port()));
    with_system_roots.send.tls.roots = None;
    let Ok(policy) =
        HttpPolicy::new(&instance(vec![with_system_roots.clone()], Limits::default()), StaticSecrets::of(&[]))
    else {
        return; // A machine without roots says so when the policy is made.
    };
    drop(policy);
    let error =
        client(vec![with_system_roots]).get(&format!("https://a.example:{}/", server.port())).await.unwrap_err();
    assert_eq!(format!("{error:?}"), "TlsCertificateError");
    drop(folder);
}

#[tokio::test]
async fn tls_client_certificate_may_change_its_key() {
    let (folder, ca, clients) = (tempfile::tempdir().unwrap(), authority(), authority());
    let (server, requests, _) = https(&ca, "a.example", Some(&clients)).await;
    let (certificate, key) = issued(&clients, "client.example");
    let mut rule = trusting(&server, file(&folder, "ca.pem", &ca.pem()));
    let chain = file(&folder, "client.pem", &certificate.pem());
    rule.send.tls.client = Some((chain, "key".parse().unwrap()));
    let values = StaticSecrets::of(&[("key", &key.serialize_pem())]);
    let mut client = with(vec![rule], Limits::default(), Arc::clone(&values), names());
    let url = format!("https://a.example:{}/", server.port());
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");

    // Renewed: a new key with a new certificate.
    let (certificate, key) = issued(&clients, "client.example");
    values.0.lock().unwrap().insert("key".into(), key.serialize_pem());
    file(&folder, "client.pem", &certificate.pem());
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    assert_eq!(requests.all().len(), 2);

    // A key that is none, and one that is another's.
    for wrong in ["hunter2".to_owned(), KeyPair::generate().unwrap().serialize_pem()] {
        client.audited.events();
        values.0.lock().unwrap().insert("key".into(), wrong);
        assert_eq!(format!("{:?}", client.get(&url).await.unwrap_err()), "ConfigurationError");
        assert_eq!(client.audited.only_outcome(), (AuditOutcome::Failed, Some("client-certificate".into())));
    }
}

#[tokio::test]
async fn tls_uses_a_renewed_client_certificate_with_the_same_key() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), authority());
    let (retired, clients) = (authority(), authority());
    let (server, requests, _) = https(&ca, "a.example", Some(&clients)).await;
    let key = KeyPair::generate().unwrap();
    let certificate = |issuer: &Issuer| {
        let params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        params.signed_by(&key, issuer).unwrap().pem()
    };
    let mut rule = trusting(&server, file(&folder, "ca.pem", &ca.pem()));
    rule.send.tls.client = Some((file(&folder, "client.pem", &certificate(&retired)), "key".parse().unwrap()));
    let values = StaticSecrets::of(&[("key", &key.serialize_pem())]);
    let mut client = with(vec![rule], Limits::default(), values, names());
    let url = format!("https://a.example:{}/", server.port());
    assert!(client.get(&url).await.is_err(), "the server does not know who signed it");
    file(&folder, "client.pem", &certificate(&clients));
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    assert_eq!(requests.all().len(), 1);
}

#[tokio::test]
async fn tls_uses_replaced_roots() {
    let (folder, old, new) = (tempfile::tempdir().unwrap(), authority(), authority());
    let (server, requests, _) = https(&new, "a.example", None).await;
    let mut client = client(vec![trusting(&server, file(&folder, "ca.pem", &old.pem()))]);
    let url = format!("https://a.example:{}/", server.port());
    assert_eq!(format!("{:?}", client.get(&url).await.unwrap_err()), "TlsCertificateError");
    file(&folder, "ca.pem", &new.pem());
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    // And the other way: a server that is no longer trusted is refused.
    file(&folder, "ca.pem", &old.pem());
    assert_eq!(format!("{:?}", client.get(&url).await.unwrap_err()), "TlsCertificateError");
    assert_eq!(requests.all().len(), 1);
}

#[tokio::test]
async fn tls_keeps_the_last_certificate_while_it_is_being_replaced() {
    let (folder, ca, clients) = (tempfile::tempdir().unwrap(), authority(), authority());
    let (server, requests, _) = https(&ca, "a.example", Some(&clients)).await;
    let (certificate, key) = issued(&clients, "client.example");
    let roots = file(&folder, "ca.pem", &ca.pem());
    let mut rule = trusting(&server, roots.clone());
    rule.send.tls.client = Some((file(&folder, "client.pem", &certificate.pem()), "key".parse().unwrap()));
    let values = StaticSecrets::of(&[("key", &key.serialize_pem())]);
    let mut client = with(vec![rule], Limits::default(), Arc::clone(&values), names());
    let url = format!("https://a.example:{}/", server.port());
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    // The certificate comes before its key, and an authority's file is empty for a moment.
    let (certificate, key) = issued(&clients, "client.example");
    file(&folder, "client.pem", &certificate.pem());
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    file(&folder, "ca.pem", "");
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    std::fs::remove_file(&roots).unwrap();
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    file(&folder, "ca.pem", &ca.pem());
    values.0.lock().unwrap().insert("key".into(), key.serialize_pem());
    assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    assert_eq!(requests.all().len(), 5);
}

#[tokio::test]
async fn tls_takes_the_key_of_a_client_certificate_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, clients) = (authority(), authority());
    let (server, requests, _) = https(&ca, "a.example", Some(&clients)).await;
    let key = KeyPair::from_pem(PKCS8).unwrap();
    let params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &clients).unwrap().pem();
    let mut rule = trusting(&server, file(&folder, "ca.pem", &ca.pem()));
    rule.send.tls.client = Some((file(&folder, "client.pem", &certificate), "key".parse().unwrap()));
    let url = format!("https://a.example:{}/", server.port());
    for form in [PKCS8, SEC1] {
        let values = StaticSecrets::of(&[("key", form)]);
        let mut client = with(vec![rule.clone()], Limits::default(), values, names());
        assert_eq!(text(client.get(&url).await.unwrap()).await.unwrap(), "ok");
    }
    assert_eq!(requests.all().len(), 2);
}

#[tokio::test]
async fn tls_sends_no_request_without_a_required_certificate() {
    let (folder, ca, clients) = (tempfile::tempdir().unwrap(), authority(), authority());
    let (server, requests, _) = https(&ca, "a.example", Some(&clients)).await;
    let mut client = client(vec![trusting(&server, file(&folder, "ca.pem", &ca.pem()))]);
    let error = client.get(&format!("https://a.example:{}/", server.port())).await.unwrap_err();
    assert!(!format!("{error:?}").contains("Internal"), "{error:?}");
    let (outcome, code) = client.audited.only_outcome();
    assert_eq!((outcome, code.as_deref()), (AuditOutcome::Failed, Some("tls")));
    assert!(requests.all().is_empty());
}

#[tokio::test]
async fn tls_handshake_that_hangs_ends_at_the_tls_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let server = server.await;
    let limits = Limits { tls: Span::millis(100), ..Limits::default() };
    let mut client = limited(vec![trusting(&server, file(&folder, "ca.pem", &authority().pem()))], limits);
    let error = client.get(&format!("https://a.example:{}/", server.port())).await.unwrap_err();
    assert_eq!((format!("{error:?}").as_str(), client.limits()), ("ConnectionTimeout", vec!["tls".into()]));
}

#[tokio::test]
async fn tls_server_without_tls_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = Server::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let mut client = client(vec![trusting(&server, file(&folder, "ca.pem", &authority().pem()))]);
    // The server waits for a request to end; its own limit would end it.
    let options = RequestOptions { connect_timeout: Some(Duration::from_millis(300)), ..RequestOptions::default() };
    let error = client.send_in(get(&format!("https://a.example:{}/", server.port())), options).await.unwrap_err();
    assert!(matches!(error, Error::TlsProtocolError | Error::ConnectionTimeout), "{error:?}");
}

#[test]
fn tls_error_names_instance_rule_and_file() {
    let folder = tempfile::tempdir().unwrap();
    for path in [file(&folder, "empty.pem", "nothing here\n"), folder.path().join("missing.pem")] {
        for client in [false, true] {
            let mut rule = http("https://a.example");
            match client {
                true => rule.send.tls.client = Some((path.clone(), "key".parse().unwrap())),
                false => rule.send.tls.roots = Some(path.clone()),
            }
            if client {
                rule.send.tls.roots = Some(file(&folder, "ca.pem", &authority().pem()));
            }
            let made = HttpPolicy::new(&instance(vec![rule], Limits::default()), StaticSecrets::of(&[]));
            let error = made.err().unwrap();
            let error = format!("{error}: {}", std::error::Error::source(&error).unwrap());
            for part in ["lab", "https://a.example", path.to_str().unwrap()] {
                assert!(error.contains(part), "{part} is not in {error}");
            }
        }
    }
}

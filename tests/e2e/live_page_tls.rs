//! The live page for other machines: over TLS, with the operator's certificate.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deputy_test_servers::{Browser, lasting_ports};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::workers::site::TestSite;

/// The name of the coordinator's machine. Chromium finds every name below `localhost` on this machine.
const NAME: &str = "deputy.localhost";

/// More than the connections that a server has at once.
const STALLED: usize = 100;

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A coordinator's health port with TLS, at every address of this machine.
struct TlsSite {
    site: TestSite,
    port: u16,
    folder: tempfile::TempDir,
}

/// A certificate that signs itself, and its key.
struct Certificate {
    pem: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Self { pem: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }

    /// One that ended long ago.
    fn ended(name: &str) -> Self {
        let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        Self { pem: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }
}

impl TlsSite {
    fn new() -> Self {
        // At every address a port can be in use by a connection that was closed.
        let [port] = lasting_ports().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("health.pem"), folder.path().join("health.key"));
        let site = TestSite::standard(&format!(
            "health = \"0.0.0.0:{port}\"\nhealth-tls = {{ chain = {chain:?}, key = {{ file = {key:?} }}, advertise = \
             \"{NAME}:{port}\" }}"
        ));
        Self { site, port, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_chain(&self, certificate: &Certificate) {
        fs::write(self.file("health.pem"), &certificate.pem).unwrap();
    }

    fn write_key(&self, certificate: &Certificate) {
        fs::write(self.file("health.key"), &certificate.key).unwrap();
        fs::set_permissions(self.file("health.key"), Permissions::from_mode(0o600)).unwrap();
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// A client that trusts this certificate alone. Sends a request.
    fn send(
        &self,
        trusted: &Certificate,
        version: &'static SupportedProtocolVersion,
        path: &str,
        head: &str,
    ) -> TlsStream {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let client = ClientConnection::new(config, ServerName::try_from(NAME).unwrap()).unwrap();
        let mut stream = StreamOwned::new(client, self.connect());
        let host = if head.contains("host:") { String::new() } else { format!("host: {NAME}:{}\r\n", self.port) };
        // It fails if the certificate is another one.
        write!(stream, "GET {path} HTTP/1.1\r\n{host}{head}connection: close\r\n\r\n").ok();
        stream
    }

    /// The whole answer; empty if there is none.
    fn ask(&self, trusted: &Certificate, path: &str, head: &str) -> String {
        let mut text = String::new();
        self.send(trusted, &TLS13, path, head).read_to_string(&mut text).ok();
        text
    }

    fn url(&self) -> String {
        let output = self.site.home.command().args(["ui"]).output().unwrap();
        let url = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        self.site.home.register_secret(url.rsplit('=').next().unwrap());
        url
    }
}

fn status(answer: &str) -> Option<u16> {
    answer.split(' ').nth(1)?.parse().ok()
}

/// Reads until a line has this text.
fn wait_for(events: &mut BufReader<TlsStream>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "the stream ended before {text}");
    }
}

#[test]
fn live_page_over_tls_is_for_other_machines() {
    let page = TlsSite::new();
    let (first, renewed) = (Certificate::new(NAME), Certificate::new(NAME));

    // `check` tells a certificate for another name, and a start refuses it.
    let other = Certificate::new("other.example");
    page.write_chain(&other);
    page.write_key(&other);
    let checked = page.site.run_command(&["check"]);
    assert!(checked.stdout.contains(&format!("is not for {NAME}: set `advertise`")), "{}", checked.stdout);
    let refused = page.site.home.command().args(["run"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("see `health-tls` in [coordinator]"), "{refused:?}");
    let ended = Certificate::ended(NAME);
    page.write_chain(&ended);
    page.write_key(&ended);
    let checked = page.site.run_command(&["check"]);
    assert!(checked.stdout.contains("expired at 2020-01-01T00:00:00.000Z: renew it"), "{}", checked.stdout);
    page.write_chain(&first);
    page.write_key(&first);
    let checked = page.site.run_command(&["check"]);
    let line = format!("live page at https://{NAME}:{}/: ok", page.port);
    assert!(checked.stdout.contains(&line), "{}{}", checked.stdout, checked.stderr);

    let coordinator = page.site.coordinator();
    coordinator.wait_until("a lease", || coordinator.revision("creds") == 1);
    for version in [&TLS12, &TLS13] {
        let mut text = String::new();
        page.send(&first, version, "/livez", "host: 192.0.2.1\r\n").read_to_string(&mut text).unwrap();
        assert_eq!(status(&text), Some(200), "a probe may name any host: {text}");
    }
    let mut plain = page.connect();
    // The server may end the connection before it has all of this.
    plain.write_all(format!("GET /livez HTTP/1.1\r\nhost: {NAME}\r\n\r\n").as_bytes()).ok();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).ok();
    assert!(!answer.starts_with(b"HTTP"), "nothing is served without TLS");

    // The session, whose cookie no page without TLS can set or send, and the hosts that the operator named.
    let url = page.url();
    let (start, path) = url.split_at(url.find("/?").unwrap());
    assert_eq!(start, format!("https://{NAME}:{}", page.port));
    assert_eq!(status(&page.ask(&first, path, "host: evil.example\r\n")), Some(421), "it is not used up");
    let opened = page.ask(&first, path, "");
    let cookie = opened.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect(&opened);
    assert!(cookie.starts_with(&format!("__Host-deputy-page-{}=", page.port)), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Secure"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    page.site.home.register_secret(cookie.rsplit('=').next().unwrap());
    let session = format!("cookie: {cookie}\r\n");
    assert_eq!(status(&page.ask(&first, "/", &session)), Some(200));
    assert_eq!(status(&page.ask(&first, "/", "")), Some(401));
    for host in ["127.0.0.1", "localhost", "192.0.2.1", "evil.example"] {
        let answer = page.ask(&first, "/", &format!("host: {host}\r\n{session}"));
        assert!(status(&answer) == Some(421) && answer.contains(&format!("its name is {NAME}")), "{answer}");
    }

    // In a browser, live.
    let folder = tempfile::tempdir().unwrap();
    let browser = &mut Browser::start(folder.path()).unwrap();
    browser.run(&format!("await page.goto({:?})", page.url())).unwrap();
    let shows = |revision: u64| {
        format!(
            "await page.waitForFunction(() => \
             document.querySelector('#instance-rows tr')?.innerText.includes('revision {revision}'))"
        )
    };
    browser.run(&shows(1)).unwrap();

    // Clients that stall in the handshake, more of them than there are places, keep no other out, and end no open page.
    let mut events = BufReader::new(page.send(&first, &TLS13, "/events", &session));
    wait_for(&mut events, "\"revision\":1");
    let mut stalled: Vec<_> = (0..STALLED).map(|_| page.connect()).collect();
    assert_eq!(status(&page.ask(&first, "/livez", "")), Some(200));
    page.site.publish_numbered("creds", 2);
    wait_for(&mut events, "\"revision\":2");
    browser.run(&shows(2)).unwrap();
    assert_eq!(status(&page.ask(&first, "/livez", "")), Some(200));

    // A renewed certificate is taken over when its key is there, too; until then the one before it is served.
    page.write_chain(&renewed);
    let unusable = "the new certificate of the health port cannot be used";
    coordinator.wait_until("a certificate without its key", || coordinator.log().contains(unusable));
    assert_eq!(status(&page.ask(&first, "/livez", "")), Some(200));
    page.write_key(&renewed);
    coordinator.wait_until("the renewed one", || status(&page.ask(&renewed, "/livez", "")) == Some(200));
    assert_eq!(page.ask(&first, "/livez", ""), "", "the old one is gone");
    assert_eq!(coordinator.log().matches(unusable).count(), 1, "a failure is logged once");

    // By now a handshake that stalled has ended, and so have those that made room.
    for stream in &mut stalled {
        assert_eq!(stream.read(&mut [0; 1]).ok().unwrap_or(0), 0);
    }
    assert_eq!(browser.run("return complaints").unwrap(), serde_json::json!([]));
}

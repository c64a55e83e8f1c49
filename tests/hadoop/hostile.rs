//! Servers that lie, drip, flood or prove nothing: the call ends in time, with what an operator needs to know.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use deputy_test_harness::{CommandOutput, HadoopSite, PRINCIPAL, exit};
use deputy_test_servers::{Acceptor, Kdc, guest};

use crate::cluster::{hdfs_instance, shared, web_instance};
use crate::yarn::rest_instance;

/// The header of an answer to a message of SASL: call -33, success, IPC version 9, which Hadoop sends as well.
const SASL_ANSWER: &[u8] = b"\x08\xdf\xff\xff\xff\x0f\x10\x00\x18\x09";
/// The header of an answer that is an error: the class of the exception and its text follow.
const SASL_ERROR: &[u8] = b"\x08\xdf\xff\xff\xff\x0f\x10\x02";
/// States of SASL, as a message begins.
const SUCCESS: &[u8] = b"\x10\x00";
const NEGOTIATE: &[u8] = b"\x10\x01";
const CHALLENGE: &[u8] = b"\x10\x03";

/// Offers of protection (RFC 4752) in which a login ends: layers, and the longest message. How the program ends, and what
/// it says.
const OFFERS: [(&[u8], i32, &str); 5] = [
    (
        &[0, 0, 0, 0],
        exit::MISCONFIGURED,
        "the server offers protection none, and authentication, integrity, privacy is",
    ),
    (&[0xf8, 0, 0, 0], exit::MISCONFIGURED, "the server offers protection none"),
    (&[1, 0, 0], exit::DENIED, "the server's offer of protection has 3 bytes, not 4"),
    (&[], exit::DENIED, "the server's offer of protection has 0 bytes, not 4"),
    // Nothing fits.
    (&[4, 0, 0, 0], exit::DENIED, "and the server takes 0"),
];

/// What a server does with a connection, once the client has said its first words.
type Behaviour = fn(&mut TcpStream) -> std::io::Result<()>;

/// A server that behaves like this, and what clients sent to it.
struct HostileServer {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl HostileServer {
    fn start(behave: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = stream.try_clone().unwrap();
                let hears = Arc::clone(&hears);
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = reader.read(&mut buffer) {
                        hears.lock().unwrap().extend(&buffer[..count]);
                    }
                });
                // The client may go away at any time.
                thread::spawn(move || drop(behave(&mut stream)));
            }
        });
        Self { port, heard }
    }

    /// What an instance of `hdfs` obtains from it, and how long that took.
    fn obtain(&self, kdc: &Kdc, lines: &str, settings: &str) -> (CommandOutput, Duration) {
        self.obtain_by(kdc, &hdfs_instance("it", &[self.port], lines, settings))
    }

    /// The same of an instance `it` with these lines.
    fn obtain_by(&self, kdc: &Kdc, lines: &str) -> (CommandOutput, Duration) {
        let site = HadoopSite::new(kdc).instance("it", lines);
        let begun = Instant::now();
        let output = site.home.deputy(&["obtain", "it"]);
        assert!(output.stdout.len() + output.stderr.len() < 8192, "it tells too much: {}", output.stderr.len());
        (output, begun.elapsed())
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

/// Bytes of Protocol Buffers with their length in front.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut out = Vec::new();
    while length > 127 {
        out.push(u8::try_from(length % 128).unwrap() | 128);
        length /= 128;
    }
    out.push(u8::try_from(length).unwrap());
    [out.as_slice(), bytes].concat()
}

/// A field of Protocol Buffers that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], delimited(bytes).as_slice()].concat()
}

fn send(stream: &mut TcpStream, parts: &[&[u8]]) -> std::io::Result<()> {
    let frame: Vec<u8> = parts.iter().flat_map(|part| delimited(part)).collect();
    stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes())?;
    stream.write_all(&frame)
}

/// Offers a login by Kerberos to a server of this name.
fn offer(stream: &mut TcpStream, service: &str, host: &str) -> std::io::Result<()> {
    let names = [(1, "KERBEROS"), (2, "GSSAPI"), (3, service), (4, host)];
    let auth: Vec<u8> = names.iter().flat_map(|(number, text)| field(*number, text.as_bytes())).collect();
    send(stream, &[SASL_ANSWER, &[NEGOTIATE, &field(4, &auth)].concat()])
}

/// Reads until the client goes away.
fn wait(stream: &TcpStream) -> std::io::Result<()> {
    // Another thread reads; this one sees the end by asking.
    while stream.peek(&mut [0]).map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |count| count > 0) {
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn hostile_offer_gets_no_ticket() {
    let cluster = shared();
    cluster.kdc.keytab("hdfs/other.example").unwrap();
    let other_host: Behaviour = |stream| offer(stream, "hdfs", "other.example").and_then(|()| wait(stream));
    let other_service: Behaviour = |stream| offer(stream, "HTTP", "localhost").and_then(|()| wait(stream));
    let realm: Behaviour = |stream| offer(stream, "krbtgt", "TEST.LOCAL").and_then(|()| wait(stream));
    for (behave, settings, code, says) in [
        (other_host, "", exit::MISCONFIGURED, "the server calls itself `hdfs/other.example`"),
        (realm, "", exit::MISCONFIGURED, "the server calls itself `krbtgt/TEST.LOCAL`"),
        // The component would accept it, and the grant does not.
        (other_host, "principal = \"hdfs/other.example@TEST.LOCAL\"", exit::REFUSED, "hdfs/other.example@TEST.LOCAL"),
        (other_service, "", exit::REFUSED, "HTTP/localhost"),
    ] {
        let server = HostileServer::start(behave);
        let (output, _) = server.obtain(&cluster.kdc, "", settings);
        let said = output.ends_with(code).stderr;
        assert!(said.contains(says), "{said}");
        // Nothing follows the question what there is.
        let heard = server.heard();
        assert!(heard.starts_with("hrpc") && !heard.contains("KERBEROS"), "{heard}");
    }
}

#[test]
fn hostile_lengths_and_texts_are_bounded() {
    let cluster = shared();
    let two_gib: Behaviour = |stream| stream.write_all(&0x7fff_ffff_u32.to_be_bytes()).and_then(|()| wait(stream));
    let negative: Behaviour = |stream| stream.write_all(&(-1_i32).to_be_bytes()).and_then(|()| wait(stream));
    let inner: Behaviour = |stream| {
        let header = b"\xff\xff\xff\xff\x07";
        stream.write_all(&[&5_u32.to_be_bytes()[..], header].concat()).and_then(|()| wait(stream))
    };
    let flood: Behaviour = |stream| {
        let text = "at org.apache.hadoop.ipc.Server\n\t".repeat(10 << 20 >> 5);
        let header = [SASL_ERROR, &field(4, b"java.lang.Error"), &field(5, text.as_bytes())].concat();
        send(stream, &[&header])
    };
    let line: Behaviour = |stream| {
        let text = format!("no\u{1b}[31m{}\n\tat x.y\n{}", "!".repeat(50_000), "\tat z\n".repeat(5_000));
        let header = [SASL_ERROR, &field(4, b"org.x.AccessControlException"), &field(5, text.as_bytes())].concat();
        send(stream, &[&header])
    };
    for (behave, code, says) in [
        (two_gib, exit::UNAVAILABLE, "the server announces 2147483647 bytes"),
        (negative, exit::UNAVAILABLE, "the server announces a negative length, -1"),
        (inner, exit::UNAVAILABLE, "the server's message ends early"),
        (flood, exit::UNAVAILABLE, "bytes, and at most 131072 are read"),
        (line, exit::DENIED, "AccessControlException: no [31m!!!!"),
    ] {
        let server = HostileServer::start(behave);
        let (output, _) = server.obtain(&cluster.kdc, "", "");
        let said = output.ends_with(code).stderr;
        assert!(said.contains(says) && !said.contains("at x.y") && !said.contains('\u{1b}'), "{says}: {said}");
    }
}

#[test]
fn hostile_silence_and_drip_end_with_the_limits() {
    let cluster = shared();
    let silence: Behaviour = |stream| wait(stream);
    let drip: Behaviour = |stream| {
        stream.write_all(&100_000_u32.to_be_bytes())?;
        loop {
            stream.write_all(b"\x0a")?;
            sleep(Duration::from_millis(50));
        }
    };
    let closing: Behaviour = |stream| stream.shutdown(Shutdown::Both);
    for (behave, limits, says) in [
        (silence, "", ["the server is silent for 10 s"; 2]),
        (drip, "[instances.it.limits]\nwall = \"2s\"", ["the network did not answer within the limit `wall`"; 2]),
        // It is seen when reading or when writing.
        (closing, "", ["the server closes the connection", "the connection broke off"]),
    ] {
        let server = HostileServer::start(behave);
        let (output, took) = server.obtain(&cluster.kdc, limits, "");
        let said = output.ends_with(exit::UNAVAILABLE).stderr;
        assert!(says.iter().any(|says| said.contains(says)) && took < Duration::from_secs(30), "{took:?}: {said}");
    }
}

#[test]
fn hostile_server_without_the_key_proves_nothing() {
    let cluster = shared();
    let skips: Behaviour = |stream| {
        offer(stream, "hdfs", "localhost")?;
        send(stream, &[SASL_ANSWER, SUCCESS])?;
        wait(stream)
    };
    let forges: Behaviour = |stream| {
        offer(stream, "hdfs", "localhost")?;
        send(stream, &[SASL_ANSWER, &[CHALLENGE, &field(3, b"\x60\x06\x06\x04abcd")].concat()])?;
        wait(stream)
    };
    let no_security: Behaviour = |stream| send(stream, &[SASL_ANSWER, SUCCESS]).and_then(|()| wait(stream));
    for (behave, says) in [
        (skips, "ends the login before it is complete"),
        (forges, "the server's Kerberos token is not valid"),
        (no_security, "the server has no Kerberos"),
    ] {
        let server = HostileServer::start(behave);
        let (output, _) = server.obtain(&cluster.kdc, "", "");
        let said = output.ends_with(exit::DENIED).stderr;
        assert!(said.contains(says), "{said}");
    }
}

/// Reads a frame.
fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// The port of a server that has the key, and offers these layers of protection in these bytes.
fn offering(keytab: PathBuf, layers: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.read_exact(&mut [0; b"hrpc\x09\x00\xdf".len()])?;
        receive(&mut stream)?;
        offer(&mut stream, "hdfs", "localhost")?;
        let initiate = receive(&mut stream)?;
        // A token of GSS-API has its length in its third and fourth byte.
        let at = initiate.windows(2).position(|bytes| bytes == b"\x60\x82").unwrap();
        let length = usize::from(initiate[at + 2]) << 8 | usize::from(initiate[at + 3]);
        let mut acceptor = Acceptor::new(&keytab);
        let answer = acceptor.accept(&initiate[at..at + 4 + length]).unwrap();
        send(&mut stream, &[SASL_ANSWER, &[CHALLENGE, &field(3, &answer)].concat()])?;
        receive(&mut stream)?;
        send(&mut stream, &[SASL_ANSWER, &[CHALLENGE, &field(3, &acceptor.wrap(layers, false))].concat()])?;
        receive(&mut stream)?;
        send(&mut stream, &[SASL_ANSWER, SUCCESS])?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    port
}

#[test]
fn hostile_offer_of_protection_is_refused() {
    let cluster = shared();
    let keytab = cluster.kdc.keytab("hdfs/localhost").unwrap();
    let ports: Vec<_> = OFFERS.iter().map(|(layers, ..)| offering(keytab.clone(), layers)).collect();
    let site = OFFERS.iter().zip(&ports).enumerate().fold(HadoopSite::new(&cluster.kdc), |site, (at, (_, port))| {
        let name = format!("offer-{at}");
        site.instance(&name, &hdfs_instance(&name, &[*port], "", ""))
    });
    for (at, (_, code, says)) in OFFERS.iter().enumerate() {
        let said = site.home.deputy(&["obtain", &format!("offer-{at}")]).ends_with(*code).stderr;
        assert!(said.contains(says), "{says}: {said}");
    }
}

/// Answers a request over HTTP with these headers and this body.
fn answer(stream: &mut TcpStream, head: &str, body: &str) -> std::io::Result<()> {
    // Not before the request: an answer that comes early is none.
    sleep(Duration::from_millis(200));
    let length = body.len();
    write!(stream, "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")?;
    wait(stream)
}

#[test]
fn hostile_web_server_gets_no_further() {
    let cluster = shared();
    let redirects: Behaviour =
        |stream| answer(stream, "302 Found\r\nlocation: http://169.254.169.254/latest/meta-data/", "");
    let garbage: Behaviour = |stream| answer(stream, "200 OK", "{\"Token\":{\"urlString\":\"AAAA\"}}");
    let page: Behaviour = |stream| answer(stream, "200 OK", &"<html>".repeat(100_000));
    let flood: Behaviour = |stream| answer(stream, "500 Oh", &"at org.apache.hadoop\n".repeat(10 << 20 >> 4));
    let exception: Behaviour = |stream| {
        let message = format!("no{}\\n\\tat x.y", "!".repeat(50_000));
        let body = format!(
            "{{\"RemoteException\":{{\"exception\":\"E\",\"javaClassName\":\"x.AccessControlException\",\"message\":\"{message}\"}}}}"
        );
        answer(stream, "403 Forbidden", &body)
    };
    let forges: Behaviour = |stream| answer(stream, "200 OK\r\nwww-authenticate: Negotiate YIIB", "{\"Token\":null}");
    for (behave, says) in [
        (redirects, "it: denied: 302 without a reason"),
        (garbage, "it: denied: the token cannot be read: it ends early"),
        (page, "it: denied: the answer is not the JSON of this operation"),
        (flood, "over the limit `response`"),
        (exception, "it: denied: 403 AccessControlException: no!!!!"),
        (forges, "[server-unproven]"),
    ] {
        let server = HostileServer::start(behave);
        let url = format!("http://localhost:{}", server.port);
        let lines = web_instance("it", "webhdfs", &[&url], "", &format!("urls = \"{url}\""));
        let (output, _) = server.obtain_by(&cluster.kdc, &lines);
        assert_ne!(output.code, Some(exit::OK), "{says}");
        assert!(output.stderr.contains(says) && !output.stderr.contains("at x.y"), "{says}: {}", output.stderr);
    }
}

/// An instance `it` of a component that logs in to a service of this name at a port.
fn instance_of(component: &str, port: u16, settings: &str) -> String {
    let file = guest(component).unwrap();
    format!(
        "[instances.it]\ncomponent = {file:?}\n[instances.it.settings]\n{settings}\n\
         [instances.it.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"{component}/localhost@TEST.LOCAL\"]\n\
         [[instances.it.tcp]]\nallow = \"localhost:{port}\"\nnetworks = [\"loopback\"]\n"
    )
}

#[test]
fn hostile_lengths_of_other_services_are_bounded() {
    let cluster = shared();
    for service in ["hbase/localhost", "hive/localhost"] {
        cluster.kdc.keytab(service).unwrap();
    }
    // HBase has a status before the length, Hive one of a single byte, ZooKeeper none.
    let of_hbase: Behaviour = |stream| stream.write_all(b"\0\0\0\0\x7f\xff\xff\xff").and_then(|()| wait(stream));
    let of_hive: Behaviour = |stream| stream.write_all(b"\x02\x7f\xff\xff\xff").and_then(|()| wait(stream));
    let of_zookeeper: Behaviour = |stream| stream.write_all(b"\x7f\xff\xff\xff").and_then(|()| wait(stream));
    for (behave, component, setting) in [
        (of_hbase, "hbase", "servers = \"localhost:PORT\""),
        (of_zookeeper, "hbase", "zookeeper = \"localhost:PORT\""),
        (of_hive, "hive", "uris = \"thrift://localhost:PORT\""),
    ] {
        let server = HostileServer::start(behave);
        let lines = instance_of(component, server.port, &setting.replace("PORT", &server.port.to_string()));
        let (output, took) = server.obtain_by(&cluster.kdc, &lines);
        let said = output.ends_with(exit::UNAVAILABLE).stderr;
        assert!(said.contains("announces 2147483647 bytes"), "{setting}: {said}");
        assert!(took < Duration::from_secs(30), "{setting}: {took:?}");
    }
    let garbage: Behaviour = |stream| answer(stream, "200 OK", "{\"token\":\"AAAA\",\"expiration-time\":1}");
    let server = HostileServer::start(garbage);
    let (output, _) = server.obtain_by(&cluster.kdc, &rest_instance(&[1], &[server.port], "it", "", ""));
    let said = output.ends_with(exit::DENIED).stderr;
    assert!(said.contains("the token cannot be read: it ends early"), "{said}");
}

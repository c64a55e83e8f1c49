//! A coordinator that publishes files itself, without a second process: real credentials of SeaweedFS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::{free_ports, guest};
use serde_json::Value;

use crate::s3;

/// With the receiver of AWS's files, by its name; an endpoint; and health at the second of these ports.
fn home(ports: [u16; 2]) -> TestEnvironment {
    let mut home = s3::home_with("lifetime = \"20s\"\nrenew = { ratio = 0.1 }\nretry = { floor = \"100ms\" }\n");
    fs::create_dir(home.path("parts")).unwrap();
    fs::copy(guest("aws-credentials").unwrap(), home.path("parts/aws-credentials.wasm")).unwrap();
    home.prepend("output = \"out\"\n");
    let [aws, health] = ports;
    home.append(&format!(
        r#"
        [coordinator]
        health = "127.0.0.1:{health}"
        [components]
        folder = "parts"
        [receivers.aws]
        component = "aws-credentials"
        instances = ["s3"]
        mode = "0640"
        [[endpoints.aws]]
        listen = "127.0.0.1:{aws}"
        instance = "s3"
        token-file = "s3.token"
        "#
    ));
    home
}

fn asked(port: u16, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{headers}connection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn published(home: &TestEnvironment) -> String {
    fs::read_to_string(home.path("out/aws/credentials")).unwrap_or_default()
}

#[test]
fn coordinator_publishes_and_serves_what_it_obtains() {
    let ports = free_ports::<2>().unwrap();
    let home = home(ports);
    let checked = home.deputy(&["check", "--json"]).ends_with(exit::OK).json();
    let found = &checked["local"]["receivers"][0]["path"];
    assert!(found.as_str().is_some_and(|path| path.ends_with("parts/aws-credentials.wasm")), "{found}");
    let running = RunningCoordinator::start(&home);
    running.wait_until("published", || published(&home).contains("aws_session_token"));
    let first = published(&home);
    let mode = fs::metadata(home.path("out/aws/credentials")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    running.wait_until("published again", || published(&home) != first);

    // The endpoint has the same.
    let token = fs::read_to_string(home.path("s3.token")).unwrap();
    let (code, body) = asked(ports[0], "/v1/credentials/s3", &format!("authorization: {}\r\n", token.trim()));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, body["Token"].is_string()), (200, true));

    // Status, probes and metrics show it.
    running.wait_until("ready", || asked(ports[1], "/readyz", "").0 == 200);
    let status = running.all_status();
    assert_eq!((status.ready, &status.local.unwrap()["receivers"][0]["name"]), (true, &"aws".into()));
    assert!(home.deputy(&["status"]).ends_with(exit::OK).stdout.contains("RECEIVER"));
    let (_, metrics) = asked(ports[1], "/metrics", "");
    for name in ["deputy_ready{", "deputy_worker_ready 1", "deputy_worker_switches_total{receiver=\"aws\"}"] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    assert_eq!(metrics.matches("# EOF").count(), 1);

    // A reload keeps it, and says what it does not change.
    home.edit("mode = \"0640\"", "mode = \"0600\"");
    let reloaded = home.deputy(&["reload"]).ends_with(exit::OK);
    let warning = "changes to `output`, `expired`, [receivers], where their components are, and [endpoints] take effect at the \
                   next start";
    assert!(reloaded.stdout.contains(warning) || reloaded.stderr.contains(warning), "{}", reloaded.stdout);
    let second = published(&home);
    running.wait_until("published after the reload", || published(&home) != second);

    // What is published stays, whole, and goes on after a restart.
    running.kill();
    let left = published(&home);
    assert!(left.contains("aws_session_token"));
    let running = RunningCoordinator::start(&home);
    running.wait_until("published after the kill", || published(&home) != left);
    running.wait_until("with the new mode", || {
        fs::metadata(home.path("out/aws/credentials")).is_ok_and(|file| file.permissions().mode() & 0o777 == 0o600)
    });
    assert_eq!(running.stop(), Some(exit::OK));
    assert!(published(&home).contains("aws_session_token"));
}

#[test]
fn own_receiver_with_another_digest_publishes_nothing() {
    let home = home(free_ports::<2>().unwrap());
    home.edit("mode = \"0640\"", &format!("sha256 = \"{}\"", "0".repeat(64)));
    let running = RunningCoordinator::start(&home);
    running.wait_until("refused", || {
        running.all_status().local.is_some_and(|local| local.to_string().contains("has the SHA-256"))
    });
    running.wait_until("obtained", || running.all_status().instances.iter().all(|instance| instance.ready));
    assert!(published(&home).is_empty());
    assert_eq!(running.stop(), Some(exit::OK));
}

#[test]
fn own_receiver_replaced_before_it_loads_waits_for_a_start() {
    let home = home(free_ports::<2>().unwrap());
    // Without a delivery nothing is loaded.
    home.edit("lifetime = \"20s\"", "lifetime = \"20s\"\nenabled = false");
    let running = RunningCoordinator::start(&home);
    // Another file that does the same: an empty custom section is added.
    let path = home.path("parts/aws-credentials.wasm");
    let replaced = [fs::read(&path).unwrap(), vec![0, 2, 1, b'x']].concat();
    fs::write(&path, replaced).unwrap();
    home.edit("\nenabled = false", "");
    home.deputy(&["reload"]).ends_with(exit::OK);
    running.wait_until("refused", || {
        running.all_status().local.is_some_and(|local| local.to_string().contains("has the SHA-256"))
    });
    assert!(published(&home).is_empty());
    assert_eq!(running.stop(), Some(exit::OK));
    let running = RunningCoordinator::start(&home);
    running.wait_until("published after the start", || published(&home).contains("aws_session_token"));
}

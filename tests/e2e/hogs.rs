//! Components that keep the host busy in a straight line: their limits hold, and everything else goes on.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::{free_ports, guest, with_straight_line_calls};

use crate::script::{ScriptedServer, lease};

/// Two instances that burn processor time whenever they are called, for anything, with this limit.
fn with_hogs(mut home: TestEnvironment, cpu: &str) -> TestEnvironment {
    write_hog(&home);
    for name in ["hog-a", "hog-b"] {
        // Two components: what is known of one is not taken for the other.
        home.append(&format!("[instances.{name}]\ncomponent = \"{name}.wasm\"\nlimits = {{ cpu = \"{cpu}\" }}\n"));
    }
    home
}

fn write_hog(home: &TestEnvironment) {
    let component = fs::read(guest("log-lines-million").unwrap()).unwrap();
    for (name, calls) in [("hog-a", 20_000), ("hog-b", 20_001)] {
        fs::write(home.path(name).with_extension("wasm"), with_straight_line_calls(&component, calls, 4_000_000))
            .unwrap();
    }
}

/// The status of a request for health, and how long it took.
fn ask(port: u16, path: &str) -> (u16, Duration) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: deputy\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), begun.elapsed())
}

/// They burn when they are loaded, again every 30 s, and at each reload; the test causes all of these.
#[test]
fn hogs_hold_up_neither_health_nor_renewals_nor_the_end() {
    let script = ScriptedServer::new(|call| lease(call, Duration::from_secs(4)));
    let lines = script.lines("good", "retry = { floor = \"100ms\" }");
    let port = free_ports::<1>().unwrap()[0];
    let mut home = with_hogs(script.home().instance("good", "benign-obtain", &lines), "3s");
    home.append(&format!("[coordinator]\nhealth = \"127.0.0.1:{port}\"\nshutdown = \"2s\""));
    let running = RunningCoordinator::start_unseen(&home);
    running.wait_until("health", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    let begun = Instant::now();
    let (mut answers, mut renewed) = (0, false);
    while !renewed {
        let (status, took) = ask(port, "/livez");
        assert_eq!(status, 200);
        assert!(took < Duration::from_secs(5), "/livez took {took:?}");
        answers += 1;
        renewed = script.count("good", "obtain") >= 3;
        assert!(begun.elapsed() < Duration::from_secs(120), "no renewal beside hogs:\n{}", running.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(answers > 3, "{answers}");
    for name in ["hog-a", "hog-b"] {
        running.wait_until("the limit", || running.instance_status(name).reason.contains("over the limit `cpu`"));
    }
    // In the middle of another attack.
    running.signal("HUP");
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    assert_eq!(running.stop(), Some(exit::OK));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn inspect_ends_a_hog_by_its_limits() {
    let home = TestEnvironment::new();
    write_hog(&home);
    let begun = Instant::now();
    let run = home.deputy(&["inspect", "hog-a.wasm"]).ends_with(exit::OK);
    let is_over = |limit: &str| run.stdout.contains(&format!("over the limit `{limit}`"));
    assert!(is_over("cpu") || is_over("wall"), "{}", run.stdout);
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
}

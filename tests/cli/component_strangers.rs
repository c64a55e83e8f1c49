//! `deputy test` of what a stranger wrote: a test and a component that try to reach this machine, or its user's terminal.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use deputy_test_servers::guest;

use crate::home::TestEnvironment;

/// The start of a test whose component does as its server says.
const ASKS: &str = "[instance]\ncomponent = \"guest.wasm\"\nsettings = { url = \"https://ask.example\" }\n[[instance.http]]\nallow = \
                    \"https://ask.example\"\n";

/// Of a file, or of a variable, that no test may show.
const CANARY: &str = "canary-of-this-machine";

fn home(component: &str, script: &str) -> TestEnvironment {
    let home = TestEnvironment::empty();
    fs::copy(guest(component).unwrap(), home.path("guest.wasm")).unwrap();
    home.write("a.test.toml", script);
    home
}

/// Characters that act on a terminal, or are not seen and change what is.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn component_test_of_a_stranger_reads_no_file() {
    let home = home("benign-lifecycle", "");
    home.write("private.txt", &format!("{CANARY}\n"));
    home.write("private.wasm", &format!("(module (; {CANARY} ;) {CANARY})\n"));
    home.write("private.pem", &format!("-----BEGIN CERTIFICATE-----\n{CANARY}\n-----END CERTIFICATE-----\n"));
    let https = "\n[instance.secrets.key]\nvalue = \"x\"\n[[instance.http]]\nallow = \"https://b.example\"\n";
    let client = "client-certificate = { chain = \"private.pem\", key = { secret = \"key\" } }\n";
    let kinds = "[[call]]\nfunction = \"kinds\"\n";
    for (script, code, expected) in [
        (format!("{ASKS}{https}{client}{kinds}"), 2, "the servers of a test ask for no client certificate"),
        (ASKS.replace("guest.wasm", "./private.txt") + kinds, 2, "private.txt"),
        (ASKS.replace("guest.wasm", "private.wasm") + kinds, 2, "private.wasm"),
        // Its servers have certificates of the test's own authority: the file is not opened.
        (format!("{ASKS}{https}roots = \"nowhere.pem\"\n{kinds}"), 0, ""),
    ] {
        home.write("a.test.toml", &script);
        for more in [&[][..], &["--json"], &["--conformance"]] {
            let run = home.run_with(&[&["test", "a.test.toml"], more].concat(), &[("PRIVATE", CANARY)]);
            assert!(
                run.code == Some(code) || more.contains(&"--conformance"),
                "{script}: {}{}",
                run.stdout,
                run.stderr
            );
            let printed = run.stdout + &run.stderr;
            assert!(printed.contains(expected) || more.contains(&"--conformance"), "{expected}: {printed}");
            assert!(!printed.contains(CANARY), "{script}: {printed}");
        }
    }
}

#[test]
fn component_test_of_a_stranger_waits_for_no_fifo() {
    let home = home("benign-lifecycle", &format!("{ASKS}[[call]]\nfunction = \"kinds\"\n"));
    assert!(Command::new("mkfifo").arg(home.path("b.test.toml")).status().unwrap().success());
    let began = Instant::now();
    for path in [".", "b.test.toml"] {
        let run = home.run(&["test", path]);
        assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("b.test.toml is not a regular file"), "{}", run.stderr);
    }
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn component_test_of_a_stranger_sees_no_environment() {
    for component in ["environment-read", "files-read"] {
        let home = home(component, "[instance]\ncomponent = \"guest.wasm\"\n[[call]]\n");
        home.write("private.txt", CANARY);
        let run = home.run_with(&["test", "a.test.toml", "--json"], &[("PRIVATE", CANARY)]);
        assert!(run.stdout.contains("\"calls\""), "{}{}", run.stdout, run.stderr);
        assert!(!run.stdout.contains(CANARY) && !run.stderr.contains(CANARY), "{}{}", run.stdout, run.stderr);
    }
}

#[test]
fn component_test_of_a_stranger_is_bounded() {
    let requests: Vec<_> =
        (0..65).map(|at| format!("{{ request = {{ url = \"https://h{at}.example/\" }} }}")).collect();
    let home = home("benign-lifecycle", &format!("{ASKS}[[call]]\nhttp = [{}]\n", requests.join(", ")));
    let run = home.run(&["test", "a.test.toml"]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("more than 64 servers: write several files"), "{}", run.stderr);
    home.write("a.test.toml", &format!("{ASKS}[[call]]\nexpect = {{ payload = {{ regex = \"\\\\w{{2000}}\" }} }}\n"));
    let run = home.run(&["test", "a.test.toml"]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("size limit"), "{}", run.stderr);
    let patterns = "{ regex = \".\" },".repeat(1001);
    let addresses = "\"192.0.2.1\",".repeat(17);
    for (script, expected) in [
        (format!("{ASKS}[[call]]\n[call.expect]\nvalue = [{patterns}]\n"), "more than 1000 regular expressions"),
        (format!("{ASKS}[hosts.a]\naddresses = [{addresses}]\n"), "more than 16 addresses of one host"),
        (format!("{ASKS}{}", "[[call]]\n".repeat(201)), "more than 200 calls"),
    ] {
        home.write("a.test.toml", &script);
        let run = home.run(&["test", "a.test.toml"]);
        assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
}

#[test]
fn component_test_of_a_stranger_leaves_the_terminal_alone() {
    const ODD: &str = r#"\u001b[2J\u009b2J\u202e\u200b"/><testcase name="forged"/>]]>&<!--'"#;
    // Some as they are, and some as TOML writes them.
    let odd = ODD.replace('"', "\\\"") + "\u{9b}2J\u{202e}";
    let script = format!(
        "{ASKS}[[call]]\nname = \"{odd}\"\n[[call.http]]\nrequest = {{ method = \"POST\", url = \"https://ask.example/obtain\", \
         headers = {{ \"x-{odd}\" = \"{odd}\" }} }}\nreply = {{ body = \"payload {odd}\\nfact a {odd}\" }}\n[call.expect]\npayload = \
         {{ json = {{ \"{odd}\" = \"{odd}\" }} }}\nfacts = {{ \"{odd}\" = \"{odd}\" }}\nuses = [\"{odd}\"]\n\
         [[call]]\n[[call.http]]\nrequest = {{ method = \"POST\", url = \"https://ask.example/obtain\" }}\nreply = {{ body = \"failure \
         denied {odd}\" }}\n"
    );
    let home = home("benign-lifecycle", &script);
    for more in [&[][..], &["--json"], &["--junit", "results.xml"]] {
        let run = home.run(&[&["test", "a.test.toml"], more].concat());
        assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
        let printed = run.stdout + &run.stderr;
        assert!(printed.contains("forged") && !printed.contains(acts), "{printed:?}");
    }
    let xml = home.read("results.xml");
    assert!(!xml.contains(acts), "{xml:?}");
    // Nothing of a text is markup.
    assert_eq!((xml.matches("<testcase ").count(), xml.matches("<failure ").count()), (2, 2), "{xml}");
    for part in xml.split('<').skip(1) {
        let tags = ["?xml ", "testsuites>", "testsuite ", "testcase ", "failure ", "/failure>", "/testcase>"];
        assert!(tags.iter().chain(&["/testsuite>", "/testsuites>"]).any(|tag| part.starts_with(tag)), "{part}");
    }
    for part in xml.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|entity| part.starts_with(entity)), "{part}");
    }
    // Errors about the file itself.
    for script in [
        format!("\"{odd}\" = 1\n"),
        format!("{ASKS}\"{odd}\" = 1\n"),
        format!("{ASKS}[[call]]\nname = \"{odd}\"\nfunction = \"renew\"\n"),
        format!("{ASKS}[[call]]\nexpect = {{ failure = \"{odd}\" }}\n"),
        ASKS.replace("guest.wasm", &format!("{odd}.wasm")) + "[[call]]\n",
    ] {
        home.write("a.test.toml", &script);
        for more in [&[][..], &["--json"]] {
            let run = home.run(&[&["test", "a.test.toml"], more].concat());
            assert_eq!(run.code, Some(2), "{script}: {}{}", run.stdout, run.stderr);
            let printed = run.stdout + &run.stderr;
            assert!(!printed.contains(acts), "{script}: {printed:?}");
        }
    }
}

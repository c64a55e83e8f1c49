//! `deputy call` and `deputy dev`

use std::fs;

use deputy_test_servers::guest;
use serde_json::Value;

use crate::home::TestEnvironment;
use crate::service::answering;

fn home() -> TestEnvironment {
    let home = TestEnvironment::empty();
    fs::copy(guest("benign-lifecycle").unwrap(), home.path("guest.wasm")).unwrap();
    home
}

#[test]
fn call_needs_no_configuration() {
    let (home, url) = (home(), answering(200, "", "payload secret-payload\nafter-ms 3600000\nfact region eu"));
    let set = format!("url={url}");
    let call = ["call", "guest.wasm", "--set", &set, "--allow", &url, "--network", "loopback"];
    let run = home.run(&call);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for line in [
        "kind         hostile/1",
        "             region: eu",
        "payload      14 bytes, not shown: --reveal prints them\n",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    assert!(run.stderr.contains("call obtain"), "{}", run.stderr);
    let run = home.run(&[&call[..], &["--reveal"]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "secret-payload"), "{}", run.stderr);
    let run = home.run(&[&call[..], &["--json"]].concat());
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&seen["kind"], &seen["payload_bytes"]), (&"hostile/1".into(), &14.into()));
    assert!(!run.stdout.contains("secret-payload") && !run.stderr.contains("secret-payload"));
}

#[test]
fn call_reaches_only_what_it_is_allowed() {
    let (home, url) = (home(), answering(200, "", "payload p"));
    let set = format!("url={url}");
    for (more, code) in [
        (&[][..], "host-not-granted"),
        (&["--allow", &url][..], "address-not-granted"),
        (&["--allow", &format!("{url}/other"), "--network", "loopback"][..], "path-not-granted"),
    ] {
        let run = home.run(&[&["call", "guest.wasm", "--set", &set], more].concat());
        assert_eq!(run.code, Some(5), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(&format!("[{code}]")), "{code}: {}", run.stderr);
        assert!(run.stderr.contains("--allow and --network permit more to this call"), "{code}: {}", run.stderr);
        for no_configuration in ["deputy grant", "deputy.toml"] {
            assert!(!run.stderr.contains(no_configuration), "{code}: {}", run.stderr);
        }
    }
}

#[test]
fn call_asks_the_other_functions() {
    let home = home();
    for (function, answer) in [("kinds", "hostile/1\n"), ("service-name", "lifecycle\n"), ("tokens-required", "true\n")]
    {
        let run = home.run(&["call", "guest.wasm", "--function", function]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), answer), "{}", run.stderr);
    }
}

#[test]
fn call_refuses_a_malformed_command_line() {
    let home = home();
    for wrong in [&["--set", "a"][..], &["--allow", "ftp://a"], &["--allow", "a"], &["--network", "all"]] {
        let run = home.run(&[&["call", "guest.wasm"], wrong].concat());
        assert_eq!(run.code, Some(2), "{wrong:?}: {}", run.stderr);
    }
}

#[test]
fn dev_builds_calls_and_shows_what_was_refused() {
    let (home, url) = (home(), answering(200, "", "payload p"));
    fs::rename(home.path("guest.wasm"), home.path("built.wasm")).unwrap();
    let set = format!("url={url}");
    let dev = ["dev", "guest.wasm", "--build", "cp built.wasm guest.wasm", "--once", "--set", &set];
    let run = home.run(&dev);
    assert_eq!(run.code, Some(5), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("[host-not-granted]"), "{}", run.stderr);
    let run = home.run(&[&dev[..], &["--allow", &url, "--network", "loopback"]].concat());
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("kind         hostile/1"), "{}", run.stdout);
    let run = home.run(&["dev", "guest.wasm", "--build", "exit 1", "--once"]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("the build failed"), "{}", run.stderr);
}

#[test]
fn dev_ends_what_a_build_leaves_behind() {
    let home = home();
    let build = "(sleep 1; touch left) & true";
    let run = home.run(&["dev", "guest.wasm", "--function", "kinds", "--build", build, "--once"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(!home.path("left").exists());
}

#[test]
fn dev_follows_no_link_of_the_sources() {
    let home = home();
    for link in ["a", "b", "c"] {
        std::os::unix::fs::symlink(".", home.path(link)).unwrap();
    }
    let run = home.run(&["dev", "guest.wasm", "--function", "kinds", "--build", "true", "--once"]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
}

/// Kills it when the test fails.
struct RunningDev(std::process::Child);

impl Drop for RunningDev {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn dev_calls_again_after_a_change() {
    let home = home();
    home.write("source", "1");
    let mut command = home.command(&[]);
    let build = "cat source >> builds";
    command.args(["dev", "guest.wasm", "--function", "kinds", "--watch", "source", "--build", build]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut dev = RunningDev(command.spawn().unwrap());
    let mut output = std::io::BufReader::new(dev.0.stdout.take().unwrap());
    let mut until = |expected: &str| {
        let mut line = String::new();
        while !line.contains(expected) {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0, "it ended");
        }
    };
    until("hostile/1");
    home.write("source", "23");
    until("hostile/1");
    assert_eq!(home.read("builds"), "123");
}

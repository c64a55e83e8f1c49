//! `deputy run` with its state in etcd.
#![expect(clippy::print_stderr, reason = "a test says how long a takeover took")]

use std::fs;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};

use crate::script::ScriptedServer;
use crate::servers;

/// A machine with the instance `vault` and the master key in a file of its own, whose state is in etcd under a prefix.
fn home(script: &ScriptedServer, prefix: &str) -> TestEnvironment {
    let mut home = script.home().instance("vault", "benign-lifecycle", &script.lines("vault", ""));
    // Components are compiled with this key already.
    let key = fs::read_to_string(home.state().join("key")).unwrap();
    fs::remove_file(home.state().join("key")).unwrap();
    home.put_secret("state.key", &key);
    home.register_secret(key.trim());
    home.prepend(&format!("[coordinator]\nkey = {{ file = \"secrets/state.key\" }}\n{}", store(prefix)));
    home
}

fn store(prefix: &str) -> String {
    format!("[coordinator.store]\netcd = {:?}\nprefix = \"{prefix}\"\n", servers::etcd().endpoints())
}

fn stored(prefix: &str) -> String {
    servers::etcd().ctl(&["get", prefix, "--prefix", "--hex"]).unwrap()
}

#[test]
fn etcd_keeps_leases_through_a_kill_and_copies() {
    let script = ScriptedServer::granting();
    let mut home = home(&script, "kept-1/");
    let checked = home.deputy(&["check"]).ends_with(exit::OK);
    assert!(checked.stdout.contains("a payload has at most 512 KiB"), "{}", checked.stdout);

    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("vault") == 1);
    let lease = running.printed_instance("vault").lease.unwrap();
    running.kill();
    // The lock of a process that was killed ends by itself.
    let running = RunningCoordinator::start(&home);
    assert_eq!(running.printed_instance("vault").lease.unwrap().valid_until, lease.valid_until);
    assert_eq!(running.stop(), Some(exit::OK));
    assert!(
        !fs::read_dir(home.state())
            .unwrap()
            .any(|file| { file.unwrap().file_name().to_string_lossy().starts_with("lease.") })
    );

    let refused = home.deputy(&["state", "rekey"]).ends_with(exit::MISCONFIGURED);
    assert!(refused.stderr.contains("deputy state copy etcd"), "{}", refused.stderr);
    let copied = home.deputy(&["state", "copy", "etcd"]).ends_with(exit::OK);
    assert!(copied.stdout.contains("copied and compared"), "{}", copied.stdout);
    let refused = home.deputy(&["state", "copy", "etcd"]).ends_with(exit::FAILED);
    assert!(refused.stderr.contains("copy into an empty state"), "{}", refused.stderr);

    home.replace(&store("kept-1/"), "");
    let refused = home.deputy(&["state", "copy", "directory"]).ends_with(exit::MISCONFIGURED);
    assert!(refused.stderr.contains("write `store` into [coordinator]"), "{}", refused.stderr);
    let running = RunningCoordinator::start(&home);
    assert_eq!(running.printed_instance("vault").lease.unwrap().valid_until, lease.valid_until);
    assert_eq!(running.stop(), Some(exit::OK));

    home.replace("secrets/state.key\" }\n", &format!("secrets/state.key\" }}\n{}", store("kept-2/")));
    home.deputy(&["state", "copy", "directory"]).ends_with(exit::OK);
    let running = RunningCoordinator::start(&home);
    assert_eq!(running.printed_instance("vault").lease.unwrap().valid_until, lease.valid_until);
    assert_eq!(running.stop(), Some(exit::OK));
    assert_eq!(script.functions("vault"), ["obtain"]);
}

#[test]
fn etcd_state_with_another_master_key_is_untouched() {
    let script = ScriptedServer::granting();
    let home = home(&script, "other-key/");
    let running = RunningCoordinator::start(&home);
    running.wait_until("a lease", || running.revision("vault") == 1);
    assert_eq!(running.stop(), Some(exit::OK));
    let before = stored("other-key/");
    home.put_secret("state.key", &"5a5b".repeat(16));
    for arguments in [&["run"][..], &["state", "backup", "backup"]] {
        let refused = home.deputy(arguments).ends_with(exit::FAILED);
        assert!(refused.stderr.contains("the key does not fit the state in etcd"), "{}", refused.stderr);
    }
    assert_eq!(stored("other-key/"), before);
    assert_eq!(script.count("vault", "obtain"), 1);
}

#[test]
fn etcd_standby_takes_over_when_the_leader_ends() {
    let script = ScriptedServer::granting();
    let (first, second) = (home(&script, "standby/"), home(&script, "standby/"));
    let leader = RunningCoordinator::start(&first);
    leader.wait_until("a lease", || leader.revision("vault") == 1);
    let lease = leader.printed_instance("vault").lease.unwrap();
    let standby = RunningCoordinator::start_unseen(&second);
    standby.wait_until("its word", || standby.log().contains("standing by"));
    let refused = second.deputy(&["status"]).ends_with(exit::UNAVAILABLE);
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(refused.stderr.contains(&format!("standing by: {} leads", machine.trim())), "{}", refused.stderr);

    let killed = Instant::now();
    leader.kill();
    standby.wait_until("it leads", || standby.answers());
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    eprintln!("took over {} ms after a kill", killed.elapsed().as_millis());
    assert_eq!(standby.printed_instance("vault").lease.unwrap().valid_until, lease.valid_until);
    second.deputy(&["renew", "vault"]).ends_with(exit::OK);
    standby.wait_until("another lease", || standby.revision("vault") == 2);

    let (leader, standby) = (standby, RunningCoordinator::start_unseen(&first));
    standby.wait_until("its word", || standby.log().matches("standing by").count() == 1);
    let stopped = Instant::now();
    assert_eq!(leader.stop(), Some(exit::OK));
    standby.wait_until("it leads", || standby.answers());
    eprintln!("took over {} ms after SIGTERM", stopped.elapsed().as_millis());
    assert!(stopped.elapsed() < Duration::from_secs(5), "the lock was not given back: {:?}", stopped.elapsed());
    assert_eq!(standby.revision("vault"), 2);
    assert_eq!(script.functions("vault").len(), 2, "no takeover obtains what is there");
}

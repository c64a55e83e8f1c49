//! `deputy run` with its state in etcd.
#![expect(clippy::print_stderr, reason = "a test says how long a takeover took")]

use std::fs;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::Etcd;

use crate::script::ScriptedServer;
use crate::servers;

/// A machine with the instance `vault` and the master key in a file of its own, whose state is in etcd under a prefix.
fn home(script: &ScriptedServer, prefix: &str) -> TestEnvironment {
    home_at(script, &store(prefix))
}

/// The same with these lines for its state.
fn home_at(script: &ScriptedServer, store: &str) -> TestEnvironment {
    let mut home = script.home().instance("vault", "benign-lifecycle", &script.lines("vault", ""));
    // Components are compiled with this key already.
    let key = fs::read_to_string(home.state().join("key")).unwrap();
    fs::remove_file(home.state().join("key")).unwrap();
    home.put_secret("state.key", &key);
    home.register_secret(key.trim());
    home.prepend(&format!("[coordinator]\nkey = {{ file = \"secrets/state.key\" }}\n{store}"));
    home
}

fn store(prefix: &str) -> String {
    store_at(&servers::etcd().endpoints(), prefix)
}

fn store_at(endpoints: &[String], prefix: &str) -> String {
    format!("[coordinator.store]\netcd = {endpoints:?}\nprefix = \"{prefix}\"\n")
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

    let examined = home.deputy(&["doctor"]).ends_with(exit::OK);
    assert!(examined.stdout.contains("answers, and etcd has a quorum"), "{}", examined.stdout);
    home.replace("etcd = [", "etcd = [\"http://127.0.0.1:1\", ");
    let examined = home.deputy(&["doctor"]).ends_with(exit::OK);
    assert!(examined.stdout.contains("warning  etcd      http://127.0.0.1:1: "), "{}", examined.stdout);
    home.replace("etcd = [\"http://127.0.0.1:1\", ", "etcd = [");

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
    assert!(refused.stderr.contains("a copy needs an empty one"), "{}", refused.stderr);

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
        let refused = home.deputy(arguments).ends_with(exit::MISCONFIGURED);
        assert!(refused.stderr.contains("the key does not fit the state in etcd"), "{}", refused.stderr);
    }
    assert_eq!(stored("other-key/"), before);
    assert_eq!(script.count("vault", "obtain"), 1);
}

#[test]
fn etcd_follower_takes_over_when_the_leader_ends() {
    let script = ScriptedServer::granting();
    let (first, second) = (home(&script, "takeover/"), home(&script, "takeover/"));
    let leader = RunningCoordinator::start(&first);
    leader.wait_until("a lease", || leader.revision("vault") == 1);
    let lease = leader.printed_instance("vault").lease.unwrap();
    let follower = RunningCoordinator::start_unseen(&second);
    follower.wait_until("it follows", || leads(&follower) == Some(false) && follower.revision("vault") == 1);
    // What asks for a call reaches the leader.
    let renewed = second.deputy(&["renew", "vault"]).ends_with(exit::OK);
    assert!(renewed.stdout.contains("the leader was asked for a new lease"), "{}", renewed.stdout);
    follower.wait_until("the leader's next lease", || follower.revision("vault") == 2);
    leader.wait_until("its next lease", || leader.revision("vault") == 2);
    assert_ne!(leader.printed_instance("vault").lease.unwrap(), lease);

    let killed = Instant::now();
    leader.kill();
    follower.wait_until("it leads", || leads(&follower) == Some(true));
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    eprintln!("took over {} ms after a kill", killed.elapsed().as_millis());
    assert_eq!(follower.revision("vault"), 2);
    second.deputy(&["revoke", "vault"]).ends_with(exit::OK);
    follower.wait_until("another lease", || follower.revision("vault") == 3);

    let (leader, follower) = (follower, RunningCoordinator::start_unseen(&first));
    follower.wait_until("it follows", || leads(&follower) == Some(false) && follower.revision("vault") == 3);
    let stopped = Instant::now();
    assert_eq!(leader.stop(), Some(exit::OK));
    follower.wait_until("it leads", || leads(&follower) == Some(true));
    eprintln!("took over {} ms after SIGTERM", stopped.elapsed().as_millis());
    assert!(stopped.elapsed() < Duration::from_secs(5), "the lock was not given back: {:?}", stopped.elapsed());
    assert_eq!(follower.revision("vault"), 3);
    assert_eq!(script.count("vault", "obtain"), 3, "no takeover obtains what is there");
}

#[test]
fn etcd_request_to_the_leader_fails_while_etcd_is_away() {
    let script = ScriptedServer::granting();
    let mut etcd = Etcd::start_three(&[]).unwrap();
    let store = store_at(&etcd.endpoints(), "requests/");
    let [first, second] = [(); 2].map(|()| {
        let home = home_at(&script, &store);
        home.instance("lazy", "benign-lifecycle", &script.lines("lazy", "obtain = \"on-demand\""))
    });
    let leader = RunningCoordinator::start(&first);
    leader.wait_until("a lease", || leader.revision("vault") == 1);
    let follower = RunningCoordinator::start_unseen(&second);
    follower.wait_until("it follows", || leads(&follower) == Some(false) && follower.revision("vault") == 1);

    // Two of three members are gone, and then the last one hangs, too.
    etcd.kill(1);
    etcd.kill(2);
    leader.wait_until("it no longer leads", || leads(&leader) == Some(false));
    requests_fail(&first);
    requests_fail(&second);
    etcd.signal(0, "STOP").unwrap();
    requests_fail(&first);
    requests_fail(&second);

    etcd.signal(0, "CONT").unwrap();
    etcd.start_all().unwrap();
    follower.wait_until("one of them leads", || leads(&leader) == Some(true) || leads(&follower) == Some(true));
    for home in [&first, &second] {
        home.deputy(&["get", "lazy"]).ends_with(exit::OK);
    }
    assert_eq!((script.count("vault", "obtain"), script.count("vault", "revoke")), (1, 0), "nothing was asked");
    assert_eq!(script.count("lazy", "obtain"), 1);
}

/// Asks for all that only a coordinator which leads can do.
fn requests_fail(home: &TestEnvironment) {
    for command in [&["renew", "vault"][..], &["revoke", "vault"], &["get", "lazy"]] {
        let asked = Instant::now();
        let failed = home.deputy(command).ends_with(exit::UNAVAILABLE);
        assert!(failed.stderr.contains("the leader was not asked: the state does not answer"), "{}", failed.stderr);
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    }
    // What is here is served.
    home.deputy(&["get", "vault"]).ends_with(exit::OK);
}

#[test]
fn etcd_follower_warns_of_another_configuration_alone() {
    const WARNING: &str = "leads with another configuration";
    const FOLLOWING: &str = "\"following: ";
    let script = ScriptedServer::granting();
    let (first, second) = (home(&script, "compared/"), home(&script, "compared/"));
    let leader = RunningCoordinator::start(&first);
    leader.wait_until("a lease", || leader.revision("vault") == 1);
    let follower = RunningCoordinator::start(&second);
    follower.wait_until("it knows the leader's configuration", || {
        let status = follower.all_status();
        status.configuration.is_some() && status.configuration == status.leader_configuration
    });
    // As long as two configurations may differ, and some more.
    std::thread::sleep(Duration::from_secs(7));
    assert!(!follower.log().contains(WARNING), "{}", follower.log());
    assert_eq!(follower.log().matches(FOLLOWING).count(), 1, "{}", follower.log());

    first.edit("/vault\"", "/changed\"");
    first.deputy(&["reload"]).ends_with(exit::OK);
    follower.wait_until("it warns", || follower.log().contains(WARNING));
    assert_eq!(follower.log().matches(FOLLOWING).count(), 1, "another configuration is no other leader");
}

/// Whether a coordinator leads, once it answers.
fn leads(coordinator: &RunningCoordinator<'_>) -> Option<bool> {
    coordinator.answers().then(|| coordinator.all_status().role == "leading")
}

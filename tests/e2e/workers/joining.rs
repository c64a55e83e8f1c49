//! Enrolment: a join string admits one worker for each of its uses, and only at the coordinator that made it.

use std::fs;

use deputy_coordinator::{TokenList, TokenStatus};
use deputy_test_harness::exit;

use super::site::{GROUP, RunningWorker, TestSite};

#[test]
fn enrolment_join_string_works_once() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let token = site.token(GROUP, &[]);
    let join = ["--join".as_ref(), token.as_os_str()];
    let worker = site.worker_with("worker", &join);
    worker.wait_until_published("app", "creds", 1);

    let thief = site.worker_with("thief", &join);
    assert_eq!(thief.end(), Some(exit::DENIED));
    let said = fs::read_to_string(site.home.path("thief.log")).unwrap();
    assert!(said.contains("error: cannot join the coordinator"), "{said}");
    assert!(!site.link("thief", "app").exists());
    assert_eq!((site.workers().len(), site.audited("join", "refused").len()), (1, 1));
    assert!(site.run_command(&["token", "list"]).ends_with(exit::OK).stdout.lines().count() == 1, "no token is left");

    // Whose it is does without it from then on.
    fs::remove_file(&token).unwrap();
    worker.kill();
    site.configure("worker", &format!("join = {{ file = {token:?} }}"));
    let worker = site.restart_worker("worker");
    worker.wait_for_link("connected");
    coordinator.wait_until("it is there", || site.only_worker().connected);
}

/// Writes the configuration of a worker that joins by a new token, as a deployment does.
fn deploy(site: &TestSite) {
    let token = site.token(GROUP, &[]);
    site.configure("worker", &format!("join = {{ file = {token:?} }}"));
}

fn tokens(site: &TestSite) -> Vec<TokenStatus> {
    site.run_command(&["token", "list", "--json"]).ends_with(exit::OK).parsed::<TokenList>().tokens
}

fn unused_tokens(site: &TestSite) -> usize {
    tokens(site).len()
}

#[test]
fn enrolment_new_join_string_keeps_a_valid_identity() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    deploy(&site);
    let worker = site.restart_worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let id = worker.id();
    assert_eq!(worker.stop(), Some(exit::OK));
    deploy(&site);
    coordinator.kill();
    // What is in memory is gone with the container; what was kept is not.
    fs::remove_dir_all(site.home.path("secrets/worker")).unwrap();

    let worker = site.restart_worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let _coordinator = site.coordinator();
    worker.wait_for_link("connected");
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
    assert_eq!((worker.id(), site.only_worker().id), (id.clone(), id));
    assert_eq!(unused_tokens(&site), 1);
}

#[test]
fn enrolment_removed_worker_joins_with_a_new_string() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    deploy(&site);
    let worker = site.restart_worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let id = worker.id();
    site.run_command(&["workers", "remove", &id]).ends_with(exit::OK);
    let says_what_to_do = |worker: &RunningWorker<'_>| worker.log().contains("where `join` in [worker] points");
    worker.wait_until("it says what to do", || says_what_to_do(&worker));
    assert!(!worker.status().unwrap().ready);
    worker.kill();
    // The string by which it was here is spent.
    let worker = site.restart_worker("worker");
    worker.wait_for_link("out");
    assert_eq!((worker.id(), worker.published_number("app", "creds")), (id.clone(), 1));
    worker.kill();

    deploy(&site);
    site.publish_numbered("creds", 2);
    let worker = site.restart_worker("worker");
    worker.wait_until_published("app", "creds", 2);
    assert_ne!(worker.id(), id);
    assert_eq!(unused_tokens(&site), 0);
    // What it kept as the one that was removed is of no use, as was to be expected.
    assert!(!worker.log().contains("unusable"), "{}", worker.log());
}

#[test]
fn enrolment_refuses_revoked_and_expired_tokens() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let (revoked, expired) = (site.token(GROUP, &["--uses", "5"]), site.token(GROUP, &["--ttl", "1s"]));
    let five = tokens(&site).into_iter().find(|token| token.uses == 5).unwrap();
    site.run_command(&["token", "revoke", &five.id]).ends_with(exit::OK);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    for (name, token) in [("late", &expired), ("later", &revoked)] {
        let worker = site.worker_with(name, &["--join".as_ref(), token.as_os_str()]);
        assert_eq!(worker.end(), Some(exit::DENIED), "{name}");
    }
    assert_eq!((site.workers().len(), site.audited("join", "refused").len()), (0, 2));
}

#[test]
fn enrolment_impostor_gets_no_token() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let (used, fresh) = (site.token(GROUP, &[]), site.token(GROUP, &[]));
    let join = ["--join".as_ref(), used.as_os_str()];
    site.worker_with("worker", &join).wait_until_published("app", "creds", 1);
    coordinator.kill();

    let address = site.address();
    let impostor = TestSite::at(address, "").instance("creds", "any", &[GROUP]).receiver("app", &["creds"]);
    impostor.publish_numbered("creds", 666);
    let running = impostor.coordinator();
    let stranger = site.worker_with("stranger", &["--join".as_ref(), fresh.as_os_str()]);
    assert_eq!(stranger.end(), Some(exit::MISCONFIGURED));
    let said = fs::read_to_string(site.home.path("stranger.log")).unwrap();
    assert!(said.contains(&format!("the server at {address} is not the coordinator of this join string")), "{said}");
    let worker = site.restart_worker("worker");
    worker.wait_until("it has tried", || worker.status().is_some_and(|status| status.connection.error.is_some()));
    assert_eq!((worker.published_number("app", "creds"), impostor.workers().len()), (1, 0));
    running.kill();

    // The string was not spent by that.
    let _coordinator = site.coordinator();
    site.worker_with("stranger", &["--join".as_ref(), fresh.as_os_str()]).wait_until_published("app", "creds", 1);
    worker.wait_for_link("connected");
}

#[test]
fn group_limits_what_a_worker_can_fetch() {
    let site = TestSite::standard("").instance("theirs", "any", &["etl"]);
    let _coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let component = deputy_test_servers::guest("files").unwrap();
    site.configure(
        "curious",
        &format!(
            "instances = [\"creds\", \"theirs\"]\n[receivers.mine]\ncomponent = {component:?}\n\
             instances = [\"creds\", \"theirs\"]\n[receivers.mine.settings]\n{}\n{}\n",
            super::site::twice("creds"),
            super::site::twice("theirs"),
        ),
    );
    let token = site.token("etl", &[]);
    let curious = site.worker_with("curious", &["--join".as_ref(), token.as_os_str()]);
    curious.wait_until_published("mine", "theirs", 1);
    let status = curious.status().unwrap();
    let refused = status.connection.refused;
    assert!(refused.len() == 1 && refused[0].contains("creds is not delivered to the group etl"));
    let audited = site.audited("subscribe", "refused");
    assert_eq!(audited.len(), 1, "{audited:?}");
    assert_eq!((&audited[0]["instance"], &audited[0]["group"]), (&"creds".into(), &"etl".into()));

    site.publish_numbered("creds", 2);
    site.publish_numbered("theirs", 2);
    worker.wait_until_published("app", "creds", 2);
    curious.wait_until_published("mine", "theirs", 2);
    assert_eq!(curious.published_number("mine", "creds"), 0);
    assert_eq!(curious.status().unwrap().instances.len(), 1);
}

#[test]
fn enrolment_mistakes_are_reported_with_their_fix() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let out = site.home.path("secrets/typo");
    let made = site.run_command(&["token", "create", "--group", "analytic", "--out", out.to_str().unwrap()]);
    let said = made.ends_with(exit::OK).stderr;
    assert!(said.contains("nothing is delivered to the group analytic, only to analytics"), "{said}");
    let mut command = site.command("worker");
    let output = command.args(["--join", " dj1.almost"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("- for stdin") && said.contains("deputy token create"), "{said}");
    assert!(!said.contains("almost"), "it may be a secret: {said}");
}

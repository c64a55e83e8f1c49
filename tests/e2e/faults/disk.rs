//! A state directory that can't be written to: nothing is given out that is not saved, and all goes on when it can.

use std::fs;
use std::time::Duration;

use deputy_coordinator::status::{InstanceStatus, LeaseStatus};
use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::fleet::Fleet;
use super::log::{self, Line};
use super::namespace::Namespace;
use super::stand_in::{CANARY, StandIn};
use crate::script::{ScriptedServer, lease};

/// A renewal comes after three to six seconds, and the end long after this test.
const POLICY: &str = "lifetime = \"60s\"\nrenew = { ratio = 0.1, jitter = 0.5 }\nretry = { floor = \"100ms\" }";

#[test]
fn disk_full_delays_publication_until_there_is_room() {
    nothing_new_is_given_out(Namespace::fill, Namespace::empty, "there is no room");
}

#[test]
fn disk_read_only_delays_publication_until_writable() {
    let (ro, rw) = (|disk: &mut Namespace| disk.remount("ro"), |disk: &mut Namespace| disk.remount("rw"));
    nothing_new_is_given_out(ro, rw, "its file system is read-only");
}

/// These end while the disk is full.
const SHORT: &str = "lifetime = \"8s\"\nrenew = { ratio = 0.5, jitter = 0.1 }\nretry = { floor = \"100ms\" }";

#[test]
fn disk_that_stays_full_publishes_unsaved_leases() {
    let server = StandIn::generous();
    let fleet = Fleet::new(6000, 20, "").with("web", 3, &server.endpoint(), SHORT);
    fleet.home.register_secret(CANARY);
    let mut disk = Namespace::with_small_disk(&fleet.home.path("state"), "4m");
    let running = start(&fleet, &disk);
    fleet.wait_until_ready(&running);
    disk.fill();
    let before = leases(&fleet);
    // Each of these is two leases later than the last one that could be saved. Each was given out unsaved, not all at once:
    // an instance that holds the next lease already shows that one.
    let mut unsaved = std::collections::BTreeSet::new();
    running.wait_until("later leases", || {
        let status = fleet.status();
        let instances = &status.instances;
        assert!(instances.iter().all(|instance| instance.ready), "one has no lease: {status:?}");
        let is_late = |(now, old): (&Lease, &Lease)| now.revision >= old.revision + 3;
        let is_unsaved =
            |instance: &&InstanceStatus| instance.unsaved.as_ref().is_some_and(|why| why.contains("no room"));
        unsaved.extend(instances.iter().filter(is_unsaved).map(|instance| instance.name.clone()));
        leases(&fleet).iter().zip(&before).all(is_late) && unsaved.len() == instances.len()
    });
    running.wait_until("status says so", || {
        let said = fleet.home.deputy(&["status", "web-000"]).ends_with(exit::OK).stdout;
        said.contains("unsaved") && said.contains("no room")
    });
    assert!(running.log().contains("lease published unsaved"));
    running.wait_until("metrics and readiness say so", || {
        let unsaved = |line: &str| line.starts_with("deputy_lease_unsaved{") && line.ends_with(" 1");
        fleet.metrics().lines().any(unsaved) && fleet.probe("/readyz").lines().any(|line| line.contains("unsaved"))
    });
    let unsaved = fleet.issued("web-000").revision;
    disk.empty();
    running.wait_until("all is saved", || fleet.status().instances.iter().all(|instance| instance.unsaved.is_none()));
    fleet.metrics();
    assert_eq!(running.stop(), Some(exit::OK));
    let running = start(&fleet, &disk);
    assert!(leases(&fleet)[0].revision >= unsaved, "it is there after a restart");
    assert_eq!(running.stop(), Some(exit::OK));
}

fn nothing_new_is_given_out(harm: impl Fn(&mut Namespace), mend: impl Fn(&mut Namespace), why: &str) {
    let server = StandIn::generous();
    let fleet = Fleet::new(6000, 20, "").with("web", 3, &server.endpoint(), POLICY);
    fleet.home.register_secret(CANARY);
    let mut disk = Namespace::with_small_disk(&fleet.home.path("state"), "4m");
    let running = start(&fleet, &disk);
    fleet.wait_until_ready(&running);

    harm(&mut disk);
    let (before, calls) = (leases(&fleet), server.calls().len());
    let given = fleet.issued("web-000");
    running.wait_until("every instance has something that it can't save", || {
        let is_unsavable = |reason: &str| reason.contains("saving it failed") && reason.contains(why);
        fleet.status().instances.iter().all(|instance| is_unsavable(&instance.reason))
    });
    running.wait_until("that was tried again", || failed_saves(&running).len() >= 9);
    let failed = failed_saves(&running);
    assert!(failed.iter().all(|line| line.field("error").contains(why)), "{failed:?}");
    assert_eq!(server.calls().len(), calls + 3, "no call is made for what cannot be saved");
    assert_eq!(leases(&fleet), before);
    assert_eq!(fleet.issued("web-000"), given);
    let status = fleet.status();
    assert!(status.ready, "{status:?}");
    fleet.metrics();

    mend(&mut disk);
    running
        .wait_until("all goes on", || leases(&fleet).iter().zip(&before).all(|(now, old)| now.revision > old.revision));
    assert_ne!(fleet.issued("web-000"), given);
    for name in fleet.names() {
        let lines = log::lines(&running);
        let published = lines.iter().filter(|line| line.message == "lease published" && line.instance() == name);
        let revisions: Vec<u64> = published.map(|line| line.field("revision").parse().unwrap()).collect();
        assert!(revisions.iter().copied().eq(1..=revisions.len() as u64), "{name}: {revisions:?}");
    }

    // What is on the disk is whole: a process that starts meanwhile says why it can't go on, and the next one can.
    harm(&mut disk);
    let before = leases(&fleet);
    running.kill();
    let mut refused = RunningCoordinator::start_as(&fleet.home, disk.enter(&fleet.home.command()));
    assert_eq!(refused.end(), Some(1));
    let said = refused.last_error();
    assert!(said.contains(why), "{said}");
    mend(&mut disk);
    let running = start(&fleet, &disk);
    assert!(leases(&fleet).iter().zip(&before).all(|(now, old)| now.revision >= old.revision));
    assert_eq!(running.stop(), Some(exit::OK));
    fs::create_dir(fleet.home.path("said/disk")).unwrap();
    disk.copy_to(&fleet.home.path("said/disk"));
    fleet.assert_no_secret_leaked();
}

/// Starts it where the small disk is.
fn start<'f>(fleet: &'f Fleet, disk: &Namespace) -> RunningCoordinator<'f> {
    let running = RunningCoordinator::start_as(&fleet.home, disk.enter(&fleet.home.command()));
    running.wait_until("it has started", || fleet.has_started());
    running
}

/// What is given out for an instance.
#[derive(Debug, PartialEq, Eq)]
struct Lease {
    revision: u64,
    valid_until: String,
}

fn leases(fleet: &Fleet) -> Vec<Lease> {
    let leases = fleet.status().instances.into_iter().map(|instance| instance.lease.unwrap());
    leases.map(|LeaseStatus { revision, valid_until, .. }| Lease { revision, valid_until }).collect()
}

fn failed_saves(running: &RunningCoordinator<'_>) -> Vec<Line> {
    let failed = |line: &Line| line.message.starts_with("saving the lease failed");
    log::lines(running).into_iter().filter(failed).collect()
}

#[test]
fn disk_full_at_the_first_start_is_named_and_costs_the_cache() {
    let script = ScriptedServer::granting();
    let home = TestEnvironment::new().instance("a", "benign-obtain", &script.lines("a", ""));
    let disk = Namespace::with_small_disk(&home.path("state"), "64k");
    let mut command = home.command();
    command.args(["obtain", "a"]);
    let output = disk.enter(&command).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("writing compiled code failed"), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert!(!stderr.contains("do not trust it"), "{stderr}");
}

/// Bounds the files of a process from now on, or no longer.
fn limit_file_sizes(running: &RunningCoordinator<'_>, most: Option<u64>) {
    let pid = Pid::from_raw(running.pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: most, maximum: None }).unwrap();
}

#[test]
fn disk_limit_on_file_sizes_is_like_a_full_disk() {
    let script = ScriptedServer::new(|call| lease(call, Duration::from_secs(3)));
    let home = script.home().instance("a", "benign-obtain", &script.lines("a", "retry = { floor = \"100ms\" }"));
    let running = RunningCoordinator::start(&home);
    limit_file_sizes(&running, Some(16));
    running.wait_until("it cannot save", || {
        running.instance_status("a").unsaved.is_some_and(|why| why.contains("there is no room"))
    });
    let before = running.revision("a");
    running.wait_until("leases are renewed unsaved", || running.revision("a") > before + 1);
    limit_file_sizes(&running, None);
    running.wait_until("all is saved", || running.instance_status("a").unsaved.is_none());
    assert_eq!(running.stop(), Some(exit::OK));
}

//! Several coordinators on one state in etcd: each serves workers, one of them leads.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_coordinator::{WorkerList, WorkerStatus};
use deputy_test_harness::{CommandOutput, RunningCoordinator, asked_as, copy_compiled, exit};
use deputy_test_servers::Etcd;

use super::site::{GROUP, RunningWorker, TestSite, address, answered};
use crate::servers;

/// A machine with a coordinator, whose state is in etcd, and with the configurations of others beside it.
pub(super) fn site(endpoints: &[String], prefix: &str) -> TestSite {
    with_shared_key(TestSite::standard(&store_lines(endpoints, prefix)))
}

/// What stands in `[coordinator]` of each coordinator on one state.
pub(super) fn store_lines(endpoints: &[String], prefix: &str) -> String {
    format!(
        "heartbeat = \"1s\"\nkey = {{ file = \"secrets/state.key\" }}\nstore = {{ etcd = {endpoints:?}, prefix = \"{prefix}/\" }}"
    )
}

/// A site whose coordinators have one master key.
pub(super) fn with_shared_key(site: TestSite) -> TestSite {
    let key = site.home.path("state/key");
    site.home.put_secret("state.key", &fs::read_to_string(&key).unwrap());
    fs::remove_file(key).unwrap();
    site
}

/// Another coordinator of a site, with a state directory, a socket and an address of its own.
pub(super) struct Replica {
    config: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    address: String,
}

impl Replica {
    pub(super) fn new(site: &TestSite, name: &str) -> Self {
        Self::at(address(), site, name)
    }

    /// The same with another address.
    pub(super) fn at(address: String, site: &TestSite, name: &str) -> Self {
        let home = &site.home;
        let config = home.path(&format!("{name}.toml"));
        let (state, socket) = (home.path(&format!("{name}-state")), home.path(&format!("{name}.sock")));
        let replica = Self { config, state, socket, address };
        copy_compiled(&home.path("state"), &replica.state);
        let text = fs::read_to_string(home.path("deputy.toml")).unwrap();
        let text = text.replace(home.path("control.sock").to_str().unwrap(), replica.socket.to_str().unwrap());
        let text =
            text.replace(site.address(), &replica.address).replace("audit.jsonl", &format!("{name}-audit.jsonl"));
        fs::write(&replica.config, text).unwrap();
        replica
    }

    /// Replaces a part of its configuration, which must be there once.
    pub(super) fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        fs::write(&self.config, text.replace(old, new)).unwrap();
    }

    pub(super) fn program(&self, site: &TestSite) -> Command {
        let mut command = site.home.program();
        command.arg("--config").arg(&self.config).arg("--state").arg(&self.state);
        command
    }

    /// Starts it, and waits for nothing.
    pub(super) fn start_unseen<'s>(&self, site: &'s TestSite) -> RunningCoordinator<'s> {
        RunningCoordinator::start_as(&site.home, self.program(site))
    }

    /// Starts it, and waits until it serves.
    pub(super) fn start<'s>(&self, site: &'s TestSite, role: &str) -> RunningCoordinator<'s> {
        let running = self.start_unseen(site);
        running.wait_until(role, || self.status().is_some_and(|status| status.ready && status.role == role));
        running
    }

    /// Where workers reach it.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn run(&self, site: &TestSite, arguments: &[&str]) -> CommandOutput {
        let mut command = self.program(site);
        command.args(arguments);
        site.home.deputy_as(command)
    }

    pub(super) fn status(&self) -> Option<CoordinatorStatus> {
        asked_as(&self.socket, "/v1/status")
    }

    pub(super) fn workers(&self) -> Vec<WorkerStatus> {
        asked_as::<WorkerList>(&self.socket, "/v1/workers").map(|list| list.workers).unwrap_or_default()
    }

    /// Starts a worker that joins here.
    pub(super) fn worker<'s>(&self, site: &'s TestSite, name: &str) -> RunningWorker<'s> {
        let token = self.token(site, name);
        site.worker_with(name, &["--join".as_ref(), token.as_os_str()])
    }

    /// Makes a token for one worker, and gives the file with its join string.
    pub(super) fn token(&self, site: &TestSite, name: &str) -> PathBuf {
        let file = site.home.path(&format!("secrets/join-of-{name}"));
        let args = ["token", "create", "--group", GROUP, "--out", file.to_str().unwrap()];
        answered(|| self.run(site, &args)).ends_with(exit::OK);
        site.home.register_secret(&fs::read_to_string(&file).unwrap());
        file
    }
}

fn is_connected(workers: &[WorkerStatus], id: &str) -> bool {
    workers.iter().any(|worker| worker.id == id && worker.connected)
}

#[test]
fn replicas_serve_workers_and_one_of_them_leads() {
    let site = site(&servers::etcd().endpoints(), "replicas");
    let (second, third) = (Replica::new(&site, "second"), Replica::new(&site, "third"));
    let leader = site.coordinator();
    let here = site.worker("here");
    here.wait_until_published("app", "creds", 1);
    let following = second.start(&site, "following");
    let also_following = third.start(&site, "following");
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let status = second.status().unwrap();
    assert_eq!(status.leader.as_deref(), Some(machine.trim()));
    assert!(status.instances.iter().all(|instance| instance.ready && instance.reason.contains("leads")), "{status:?}");
    let shown = second.run(&site, &["status"]).ends_with(exit::OK);
    assert!(shown.stdout.contains(&format!("{} leads", machine.trim())), "{}", shown.stdout);

    // A worker joins at a coordinator that follows, and gets what the leader obtains.
    let there = second.worker(&site, "there");
    there.wait_until_published("app", "creds", 1);
    site.publish_numbered("creds", 2);
    here.wait_until_published("app", "creds", 2);
    there.wait_until_published("app", "creds", 2);
    // Each knows all workers, and is connected to its own.
    let (here_id, there_id) = (here.id(), there.id());
    leader.wait_until("the leader knows both", || site.workers().len() == 2 && second.workers().len() == 2);
    assert!(is_connected(&site.workers(), &here_id) && !is_connected(&site.workers(), &there_id));
    assert!(is_connected(&second.workers(), &there_id) && !is_connected(&second.workers(), &here_id));

    // A token with one use admits one worker, at whichever it asks.
    let token = third.token(&site, "once");
    let once = site.worker_with("once", &["--join".as_ref(), token.as_os_str()]);
    once.wait_until_published("app", "creds", 2);
    let text = fs::read_to_string(&token).unwrap();
    let elsewhere = text.parse::<deputy_link::JoinString>().map(|mut join| {
        join.addresses = site.address().parse().unwrap();
        join.reveal().to_string()
    });
    fs::write(&token, elsewhere.unwrap()).unwrap();
    let refused = site.worker_with("refused", &["--join".as_ref(), token.as_os_str()]);
    refused.wait_until("it is refused", || refused.log().contains("it expired, was used or revoked"));

    // A removal takes effect at once, wherever the worker is connected.
    let removed = Instant::now();
    site.home.deputy(&["workers", "remove", &there_id]).ends_with(exit::OK);
    there.wait_until("it is removed", || !is_connected(&second.workers(), &there_id));
    assert!(removed.elapsed() < Duration::from_secs(5), "{:?}", removed.elapsed());

    // The workers of a coordinator that takes over stay connected.
    assert_eq!(also_following.stop(), Some(exit::OK));
    let stays = second.worker(&site, "stays");
    stays.wait_until_published("app", "creds", 2);
    leader.kill();
    following.wait_until("it leads", || second.status().is_some_and(|status| status.role == "leading" && status.ready));
    site.publish_numbered("creds", 3);
    stays.wait_until_published("app", "creds", 3);
    assert_eq!(stays.log().matches("connected to the coordinator").count(), 1, "{}", stays.log());
    // The former leader follows, and its workers find it again.
    fs::remove_file(site.home.socket()).ok();
    let former = RunningCoordinator::start_unseen(&site.home);
    here.wait_until_published("app", "creds", 3);
    former.wait_until("it follows", || former.all_status().role == "following");
    assert_eq!(former.stop(), Some(exit::OK));
    assert_eq!(following.stop(), Some(exit::OK));
}

#[test]
fn replicas_serve_on_while_etcd_is_away() {
    let etcd = Etcd::start(&[]).unwrap();
    let site = site(&etcd.endpoints(), "away");
    let leader = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    let token = site.token(GROUP, &[]);

    etcd.signal(0, "STOP").unwrap();
    leader.wait_until("it no longer leads", || leader.all_status().state_trouble.is_some());
    assert!(!leader.all_status().ready);
    let shown = site.home.deputy(&["status"]).ends_with(exit::OK);
    assert!(shown.stdout.contains("the state in etcd cannot be read"), "{}", shown.stdout);
    worker.wait_for_link("connected");
    let created = site.home.deputy(&["token", "create", "--group", GROUP]).ends_with(exit::UNAVAILABLE);
    assert!(created.stderr.contains("nothing was changed: "), "{}", created.stderr);
    assert_eq!(created.stdout, "");
    // It knows the worker, which may come back; another one cannot join.
    assert_eq!(worker.stop(), Some(exit::OK));
    let again = site.restart_worker("worker");
    again.wait_for_link("connected");
    let late = site.worker_with("late", &["--join".as_ref(), token.as_os_str()]);
    late.wait_until("it is asked to try again", || late.log().contains("try again"));
    site.publish_numbered("creds", 2);

    etcd.signal(0, "CONT").unwrap();
    leader.wait_until("it leads again", || leader.all_status().role == "leading");
    again.wait_until_published("app", "creds", 2);
    late.wait_until_published("app", "creds", 2);
    // The late worker used its token, and the other one was never created.
    let tokens = site.home.deputy(&["token", "list", "--json"]).ends_with(exit::OK);
    let tokens: serde_json::Value = serde_json::from_str(&tokens.stdout).unwrap();
    assert_eq!(tokens["tokens"], serde_json::json!([]));
    assert_eq!(leader.stop(), Some(exit::OK));
}

#[test]
fn replicas_take_over_each_others_workers_within_seconds() {
    let site = site(&servers::etcd().endpoints(), "addresses");
    let second = Replica::new(&site, "second");
    let addresses = [site.address().to_owned(), second.address().to_owned()];
    for config in [&site.home.path("deputy.toml"), &second.config] {
        let text = fs::read_to_string(config).unwrap();
        fs::write(config, text.replacen("heartbeat =", &format!("advertise = {addresses:?}\nheartbeat ="), 1)).unwrap();
    }
    let leader = site.coordinator();
    let following = second.start(&site, "following");
    let token = site.token(GROUP, &["--uses", "3"]);
    let workers = ["one", "two", "three"].map(|name| site.worker_with(name, &["--join".as_ref(), token.as_os_str()]));
    for worker in &workers {
        worker.wait_until_published("app", "creds", 1);
    }

    following.kill();
    wait_until_all_are_at(&workers, &addresses[0]);
    let following = second.start(&site, "following");
    leader.kill();
    wait_until_all_are_at(&workers, &addresses[1]);
    following.wait_until("it leads", || second.status().is_some_and(|status| status.role == "leading" && status.ready));
    site.publish_numbered("creds", 2);
    for worker in &workers {
        worker.wait_until_published("app", "creds", 2);
        assert_eq!(worker.status().unwrap().connection.addresses.len(), 2);
    }
    assert_eq!(following.stop(), Some(exit::OK));
}

/// Waits for no longer than a few failed attempts take, on a machine that is busy.
fn wait_until_all_are_at(workers: &[RunningWorker<'_>], address: &str) {
    let begun = Instant::now();
    for worker in workers {
        worker.wait_until(address, || {
            let connection = worker.status().map(|status| status.connection);
            connection.is_some_and(|connection| connection.state == "connected" && connection.coordinator == address)
        });
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

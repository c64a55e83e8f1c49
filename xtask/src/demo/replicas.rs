//! `cargo xtask demo replicas`: three coordinators on one state in etcd, six workers that know all of them, and a client that
//! reads with what the workers have. The leader is killed, and so is etcd's leader.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use deputy_test_servers::{Etcd, Seaweed};
use serde_json::Value;

use super::daemon::{Process, now, since, until, wait_for};
use super::{build, configuration, free_port, quote, reading, write_files, write_private};
use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;
use crate::{guests, tools};

const COORDINATORS: [&str; 3] = ["coordinator-1", "coordinator-2", "coordinator-3"];

const WORKERS: [&str; 6] = ["worker-1", "worker-2", "worker-3", "worker-4", "worker-5", "worker-6"];

/// How long the client reads.
const READING: Duration = Duration::from_secs(60);

/// When the coordinator that leads is killed, when it is back, and when etcd's leader is killed.
const KILL_LEADER: Duration = Duration::from_secs(10);
const START_AGAIN: Duration = Duration::from_secs(30);
const KILL_ETCD: Duration = Duration::from_secs(40);

/// How many leases the client must have seen at each worker: one in eight seconds is replaced after some six, and none during a
/// takeover of up to ten.
const LEASES: usize = 6;

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    tools::install_python(workspace)?;
    tools::install_etcd(workspace)?;
    guests::build_connectors(workspace)?;
    let deputy = build(workspace)?;
    let step =
        Step::begin("etcd", "starting three members, and a real S3 with a real STS, on free ports of this machine");
    let mut etcd = Etcd::start_three(&[]).doing(|| "starting etcd".into())?;
    let seaweed = Seaweed::start().doing(|| "starting SeaweedFS".into())?;
    step.end(format!("ready at {} and {}", etcd.endpoints().join(", "), seaweed.endpoint()));
    let folder = seaweed.server().folder().join("replicas");
    let replicas = Replica::configure_all(workspace, &folder, &seaweed, &etcd)?;

    let mut running = BTreeMap::new();
    for replica in &replicas {
        running.insert(replica.name, replica.start(&deputy)?);
        until("it to serve", || replica.role(&deputy).is_some())?;
    }
    let first = leader(&replicas, &deputy)?;
    let other = replicas.iter().find(|replica| replica.name != first.name).unwrap_or(first);
    until("a lease", || first.call(&deputy, &["get", "s3-demo", "--wait", "1s"]).succeeds())?;
    until("it to be known everywhere", || other.call(&deputy, &["get", "s3-demo"]).succeeds())?;
    for replica in [first, other] {
        say::note("deputy status", format!("at {}", replica.name));
        replica.call(&deputy, &["status"]).said().shown()?;
    }

    say::note("deputy worker", "six workers join with one string, each at a coordinator that it takes by chance");
    let uses = WORKERS.len().to_string();
    let token = ["token", "create", "--group", "readers", "--uses", &uses, "--out", "join"];
    other.call(&deputy, &token).said().shown()?;
    let mut workers = Vec::new();
    for worker in WORKERS {
        fs::create_dir(folder.join(worker)).doing(|| format!("making the folder of {worker}"))?;
        let state = format!("{worker}-state");
        let arguments = ["worker", "--join", "join", "--output", worker, "--state", &state];
        workers.push(Process::start(&deputy, &folder, worker, &arguments)?);
    }
    let applied = || WORKERS.iter().all(|worker| folder.join(worker).join("aws/credentials").exists());
    until("the workers to apply it", applied)?;
    for replica in &replicas {
        say::note("deputy workers", format!("at {}", replica.name));
        replica.call(&deputy, &["workers"]).said().shown()?;
    }

    let endpoint = seaweed.endpoint();
    reading::make_object(&folder, &endpoint, WORKERS.first().copied().unwrap_or_default())?;
    say::note("boto3", format!("reads the object for {} s, in turn with what each worker left", READING.as_secs()));
    let said = thread::scope(|scope| {
        let client = scope.spawn(|| reading::read(&folder, &endpoint, &WORKERS, READING));
        let begun = now();
        wait_for(begun, KILL_LEADER);
        if let Some(mut leading) = running.remove(first.name) {
            leading.kill()?;
        }
        let killed = now();
        say::note("kill -9", format!("{}, which led, is gone", first.name));
        let rest: Vec<&Replica> = replicas.iter().filter(|replica| replica.name != first.name).collect();
        until("another one to lead", || rest.iter().any(|replica| replica.leads(&deputy)))?;
        say::note("deputy run", format!("another one leads after {:.1} s", since(killed).as_secs_f64()));
        wait_for(begun, START_AGAIN);
        running.insert(first.name, first.start(&deputy)?);
        until("it to follow", || first.role(&deputy).as_deref() == Some("following"))?;
        say::note("deputy run", format!("{} is back, and follows", first.name));
        wait_for(begun, KILL_ETCD);
        if let Some(member) = etcd.leader() {
            etcd.kill(member);
            say::note("kill -9", "etcd's leader is gone; the other two members elect another one");
        }
        client.join().map_err(|_| Failure::new("the client's thread panicked"))?
    })?;
    let reads = reading::judge(&said, &WORKERS, LEASES)?;
    other.call(&deputy, &["status"]).said().shown()?;
    for worker in workers {
        worker.stop()?;
    }
    for coordinator in running.into_values() {
        coordinator.stop()?;
    }
    say::note("shown", format!("{reads} reads at {} workers, and not one failed:", WORKERS.len()));
    say::note("", "with a leading coordinator that was killed, and etcd's leader that was");
    Ok(())
}

/// One of the coordinators, with its own configuration file, state directory and address.
struct Replica {
    name: &'static str,
    folder: PathBuf,
    config: String,
}

impl Replica {
    fn configure_all(workspace: &Workspace, folder: &Path, seaweed: &Seaweed, etcd: &Etcd) -> Result<Vec<Self>> {
        let mut addresses = Vec::new();
        for _ in COORDINATORS {
            addresses.push(format!("127.0.0.1:{}", free_port()?));
        }
        fs::create_dir(folder).doing(|| "making the folder of the demonstration".into())?;
        write_files(workspace, folder)?;
        // In practice each machine has a copy: here they share one.
        write_private(&folder.join("master.key"), &Run::new("openssl").args(["rand", "-base64", "32"]).quiet()?)?;
        let mut replicas = Vec::new();
        for (name, listen) in COORDINATORS.iter().zip(&addresses) {
            let coordinator = format!(
                r#"state = "{name}-state"

[coordinator]
key = {{ file = "master.key" }}       # the same at each of them
listen = "{listen}"
advertise = {addresses:?}    # join strings have all

[coordinator.store]
etcd = {:?}
"#,
                etcd.endpoints()
            );
            let text = configuration(&coordinator, "8s", seaweed);
            if replicas.is_empty() {
                say::note("deputy.toml", "of the first; the others differ in `state` and `listen` alone:");
                quote(&text);
            }
            let config = format!("{name}.toml");
            write(&folder.join(&config), text.as_bytes())?;
            replicas.push(Self { name, folder: folder.to_owned(), config });
        }
        Ok(replicas)
    }

    fn start(&self, deputy: &Path) -> Result<Process> {
        Process::start(deputy, &self.folder, self.name, &["--config", &self.config, "run"])
    }

    fn call(&self, deputy: &Path, arguments: &[&str]) -> Run {
        Run::new(deputy).args(["--config", &self.config]).args(arguments).dir(&self.folder)
    }

    fn leads(&self, deputy: &Path) -> bool {
        self.role(deputy).as_deref() == Some("leading")
    }

    /// `leading` or `following`, once it serves, its components are loaded and the leases of its leader read.
    fn role(&self, deputy: &Path) -> Option<String> {
        let status = || self.call(deputy, &["status", "--json"]);
        // One that does not run yet is no failure to be shown.
        let status = if status().succeeds() { status().json().ok()? } else { return None };
        let state = status.pointer("/instances/0/state").and_then(Value::as_str);
        let is_loading = matches!(state, Some("loading" | "reading"));
        let is_ready = status.get("starting").and_then(Value::as_bool) == Some(false) && !is_loading;
        status.get("role").and_then(Value::as_str).filter(|_| is_ready).map(str::to_owned)
    }
}

/// The one that leads.
fn leader<'r>(replicas: &'r [Replica], deputy: &Path) -> Result<&'r Replica> {
    let mut found = None;
    until("one of them to lead", || {
        found = replicas.iter().find(|replica| replica.leads(deputy));
        found.is_some()
    })?;
    found.ok_or_else(|| Failure::new("no coordinator leads"))
}

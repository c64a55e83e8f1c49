//! The demonstration's second half: a coordinator that rotates real credentials every few seconds, three workers that
//! apply them, and a client that reads with what each of them left. The coordinator is killed in between, and a worker.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::daemon::{Process, now, until, wait_for};
use super::reading;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say;

/// How long the client reads.
const READING: Duration = Duration::from_secs(48);

/// When the workers are listed once more.
const LAST_LOOK: Duration = Duration::from_secs(45);

/// When the coordinator is killed, and when a worker.
const KILL_COORDINATOR: Duration = Duration::from_secs(15);
const KILL_WORKER: Duration = Duration::from_secs(30);

/// How many leases the client must have seen at each worker in the end: ten rotations.
const LEASES: usize = 11;

const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];

/// Runs it in the demonstration's folder, which has a configuration and an object to read.
pub(super) fn run(deputy: &Path, folder: &Path, endpoint: &str) -> Result<()> {
    let call = |arguments: &[&str]| Run::new(deputy).args(["--config", "deputy.toml"]).args(arguments).dir(folder);
    say::note("deputy run", "the coordinator: a lease of five seconds, replaced in time, sealed, given out");
    let mut coordinator = Process::start(deputy, folder, "coordinator", &["--config", "deputy.toml", "run"])?;
    until("the coordinator to hold a lease", || call(&["get", "s3-demo", "--wait", "1s"]).succeeds())?;
    call(&["status"]).said().shown()?;

    say::note("deputy worker", "three workers join with a string of three uses, and apply what they are given");
    call(&["token", "create", "--group", "readers", "--uses", "3", "--out", "join"]).said().shown()?;
    let start = |worker: &str| {
        let state = format!("{worker}-state");
        Process::start(deputy, folder, worker, &["worker", "--join", "join", "--output", worker, "--state", &state])
    };
    let mut workers = Vec::new();
    for worker in WORKERS {
        std::fs::create_dir(folder.join(worker)).doing(|| format!("making the folder of {worker}"))?;
        workers.push(start(worker)?);
    }
    let applied = || WORKERS.iter().all(|worker| folder.join(worker).join("aws/credentials").exists());
    until("the workers to apply it", applied)?;
    call(&["workers"]).said().shown()?;

    say::note("boto3", format!("reads the object for {} s, in turn with what each worker left", READING.as_secs()));
    let said = thread::scope(|scope| {
        let client = scope.spawn(|| reading::read(folder, endpoint, &WORKERS, READING));
        let begun = now();
        wait_for(begun, KILL_COORDINATOR);
        coordinator.kill()?;
        say::note("kill -9", "the coordinator is gone; another one begins with the sealed lease and the same workers");
        coordinator = Process::start(deputy, folder, "coordinator", &["--config", "deputy.toml", "run"])?;
        wait_for(begun, KILL_WORKER);
        if let Some(last) = workers.pop() {
            drop(last);
            say::note("kill -9", "a worker is gone; its published files stay, and it comes back with its identity");
            workers.push(start("worker-3")?);
        }
        wait_for(begun, LAST_LOOK);
        call(&["workers"]).said().shown()?;
        client.join().map_err(|_| Failure::new("the client's thread panicked"))?
    })?;
    let reads = reading::judge(&said, &WORKERS, LEASES)?;
    let status = call(&["status", "--json"]).json()?;
    let revision = status.pointer("/instances/0/lease/revision").and_then(Value::as_u64).unwrap_or_default();
    for worker in workers {
        worker.stop()?;
    }
    coordinator.stop()?;
    say::note("shown", format!("{reads} reads at three workers through {revision} leases, and not one failed:"));
    say::note("", "with a coordinator that was killed, and a worker that was");
    Ok(())
}

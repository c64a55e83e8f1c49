//! The demonstration's second half: a coordinator that rotates real credentials every few seconds, three workers that
//! apply them, and a client that reads with what each of them left. The coordinator is killed in between, and a worker.

use std::path::Path;
use std::thread;
use std::time::Duration;

use deputy_test_servers::boto;
use serde_json::Value;

use super::daemon::{Process, now, until, wait_for};
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

/// Reads the object again and again, each time with what a worker's file holds then, as a job that starts again does. It
/// knows AWS's shared credentials file, and nothing of Deputy.
const CLIENT: &str = "
import boto3, os, time
end = time.time() + float(os.environ['SECONDS'])
while time.time() < end:
    for worker in os.environ['WORKERS'].split():
        os.environ['AWS_SHARED_CREDENTIALS_FILE'] = worker + '/aws/credentials'
        try:
            session = boto3.Session(profile_name='s3-demo')
            s3 = session.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
            s3.get_object(Bucket='demo', Key='greeting')['Body'].read()
            print('read', os.path.basename(worker), session.get_credentials().access_key)
        except Exception as error:
            print('failed', os.path.basename(worker), type(error).__name__, error)
    time.sleep(0.1)
";

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

    let seconds = READING.as_secs().to_string();
    let folders: Vec<_> = WORKERS.iter().map(|worker| folder.join(worker).display().to_string()).collect();
    let folders = folders.join(" ");
    let environment = [("ENDPOINT", endpoint), ("SECONDS", &*seconds), ("WORKERS", &*folders)];
    say::note("boto3", format!("reads the object for {seconds} s, in turn with what each worker left"));
    let said = thread::scope(|scope| {
        let client = scope.spawn(|| boto(CLIENT, &environment));
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
        client.join().map_err(|_| Failure::new("the client's thread panicked"))?.doing(|| "reading".into())
    })?;
    let reads = judge(&said)?;
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

/// How many reads there were: none failed, and each worker rotated.
fn judge(said: &str) -> Result<usize> {
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("failed")).collect();
    if let Some(first) = failed.first() {
        return Err(Failure::new(format!("{} reads failed, the first: {first}", failed.len())));
    }
    let mut reads = 0;
    for worker in WORKERS {
        let begin = format!("read {worker} ");
        let mut keys: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(&begin)).collect();
        reads += keys.len();
        keys.dedup();
        if keys.len() < LEASES {
            let text = format!("the client saw {} leases at {worker}, where {LEASES} were to be seen", keys.len());
            return Err(Failure::new(text));
        }
    }
    Ok(reads)
}

//! The demonstration's second half: a coordinator that rotates real credentials every few seconds, is killed in between,
//! and a client that never notices.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_servers::boto;
use serde_json::Value;

use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say;

/// How long the client reads.
const READING: Duration = Duration::from_secs(24);

/// When the coordinator is killed, and how many leases the client must have seen in the end.
const KILL: Duration = Duration::from_secs(10);
const LEASES: usize = 4;

/// Reads the object again and again, each time with what the file holds then, as a job that starts anew does.
const CLIENT: &str = "
import boto3, os, time
end = time.time() + float(os.environ['SECONDS'])
while time.time() < end:
    session = boto3.Session(profile_name='demo')
    s3 = session.client('s3', endpoint_url=os.environ['ENDPOINT'])
    try:
        s3.get_object(Bucket='demo', Key='greeting')['Body'].read()
        print('read', session.get_credentials().access_key)
    except Exception as error:
        print('failed', type(error).__name__, error)
    time.sleep(0.1)
";

/// What the client saw.
struct Seen {
    reads: usize,
    keys: Vec<String>,
}

/// Runs it in the demonstration's folder, which has a configuration and an object to read.
pub(super) fn run(deputy: &Path, folder: &Path, environment: &[(&str, &str)]) -> Result<()> {
    let call = |arguments: &[&str]| Run::new(deputy).args(["--config", "deputy.toml"]).args(arguments).dir(folder);
    say::note("deputy run", "the coordinator: a lease of six seconds, replaced in time, sealed, given out");
    let mut coordinator = Coordinator::start(deputy, folder)?;
    call(&["get", "s3-demo", "--wait", "30s", "--out", "credentials.json"]).quiet()?;
    call(&["status", "s3-demo"]).said().shown()?;

    let seconds = READING.as_secs().to_string();
    let environment = [environment, &[("SECONDS", seconds.as_str())]].concat();
    say::note("boto3", format!("reads the object ten times a second for {seconds} s, with what the file holds"));
    let (said, missed) = thread::scope(|scope| {
        let client = scope.spawn(|| boto(CLIENT, &environment));
        let begun = now();
        let (mut killed, mut missed) = (false, 0);
        while since(begun) < READING {
            // In the place of a worker: fetches what is given out. While nobody answers, the file stays as it is.
            let fetched = call(&["get", "s3-demo", "--wait", "1s", "--out", "credentials.json"]).succeeds();
            missed += usize::from(!fetched);
            if !killed && since(begun) > KILL {
                killed = true;
                coordinator.kill()?;
                say::note("kill -9", "the coordinator is gone; another one begins with the sealed lease");
                coordinator = Coordinator::start(deputy, folder)?;
                call(&["status"]).said().shown()?;
            }
            pause(Duration::from_millis(200));
        }
        let said = client.join().map_err(|_| Failure::new("the client's thread panicked"))?;
        said.doing(|| "reading".into()).map(|said| (said, missed))
    })?;
    let Seen { reads, keys } = judge(&said)?;
    let status = call(&["status", "--json"]).json()?;
    let revision = status.pointer("/instances/0/lease/revision").and_then(Value::as_u64).unwrap_or_default();
    coordinator.stop()?;
    say::note(
        "shown",
        format!("{reads} reads with {} leases, and none failed: rotated to revision {revision},", keys.len()),
    );
    say::note("", format!("killed in between, and served again at once ({missed} times there was nobody to ask)"));
    Ok(())
}

fn judge(said: &str) -> Result<Seen> {
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("failed")).collect();
    if let Some(first) = failed.first() {
        return Err(Failure::new(format!("{} reads failed, the first: {first}", failed.len())));
    }
    let mut keys: Vec<String> = said.lines().filter_map(|line| line.strip_prefix("read ")).map(str::to_owned).collect();
    let reads = keys.len();
    keys.dedup();
    if keys.len() < LEASES {
        return Err(Failure::new(format!(
            "the client saw {} leases in {reads} reads: that is no rotation",
            keys.len()
        )));
    }
    Ok(Seen { reads, keys })
}

/// A coordinator that ends with this value.
struct Coordinator(Child);

impl Coordinator {
    /// Starts one, and waits until it answers.
    fn start(deputy: &Path, folder: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(folder.join("run.log"));
        let log = log.doing(|| "opening the coordinator's log".into())?;
        let child = Command::new(deputy)
            .args(["--config", "deputy.toml", "run"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let coordinator = Self(child.doing(|| "starting the coordinator".into())?);
        let begun = now();
        while !Run::new(deputy).args(["--config", "deputy.toml", "status", "s3-demo"]).dir(folder).succeeds() {
            if since(begun) > Duration::from_secs(60) {
                return Err(Failure::new("the coordinator does not answer: see run.log beside its configuration"));
            }
            pause(Duration::from_millis(50));
        }
        Ok(coordinator)
    }

    fn kill(&mut self) -> Result<()> {
        self.0.kill().doing(|| "killing the coordinator".into())?;
        self.0.wait().map(drop).doing(|| "killing the coordinator".into())
    }

    /// Asks it to end, as systemd does.
    fn stop(mut self) -> Result<()> {
        Run::new("kill").args(["-TERM", &self.0.id().to_string()]).quiet()?;
        let status = self.0.wait().doing(|| "stopping the coordinator".into())?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("the coordinator ended with {status}"))) }
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn since(begun: Instant) -> Duration {
    now().saturating_duration_since(begun)
}

#[expect(clippy::disallowed_methods, reason = "a demonstration takes as long as it takes")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a demonstration has a thread of its own")]
fn pause(time: Duration) {
    thread::sleep(time);
}

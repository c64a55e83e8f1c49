//! How long no lease is obtained when the coordinator that leads ends: three processes on three members of etcd.

use std::env;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{asked_as, send_signal};
use deputy_test_servers::Etcd;

use crate::Result;
use crate::report::Report;

const REPLICAS: usize = 3;

/// The instance whose payload is in a file. It has another one whenever a leader ends.
const INSTANCE: &str = "lease";

const LOOK: Duration = Duration::from_millis(2);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes a leader away again and again, and measures until another one has the next lease.
pub(crate) async fn measure(report: &mut Report, takeovers: usize) -> Result {
    let [stopped, killed] = tokio::task::spawn_blocking(move || {
        let mut cluster = Cluster::start().map_err(|error| error.to_string())?;
        let times =
            ["TERM", "KILL"].map(|signal| cluster.take_over(signal, takeovers).map_err(|error| error.to_string()));
        let [stopped, killed] = times;
        Ok::<_, String>([stopped?, killed?])
    })
    .await??;
    let section = report.section("from the end of the leader to the next lease");
    section.times("stopped with SIGTERM", &stopped);
    section.times("killed", &killed);
    Ok(())
}

struct Cluster {
    folder: tempfile::TempDir,
    _etcd: Etcd,
    replicas: Vec<Replica>,
    number: usize,
}

impl Cluster {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let etcd = Etcd::start_three(&[])?;
        private_file(&folder.path().join("state.key"), &"5a5b".repeat(16))?;
        let replicas = (0..REPLICAS).map(|index| Replica::new(folder.path(), index, &etcd.endpoints()));
        let replicas = replicas.collect::<Result<_>>()?;
        let mut cluster = Self { folder, _etcd: etcd, replicas, number: 0 };
        cluster.next_payload()?;
        for replica in &mut cluster.replicas {
            replica.start()?;
        }
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    fn take_over(&mut self, signal: &str, takeovers: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..takeovers {
            let (leader, revision) = self.wait_until_whole()?;
            let ended = Instant::now();
            send_signal(self.replicas[leader].pid()?, signal);
            self.next_payload()?;
            let others = self.replicas.iter().enumerate().filter(|(index, _)| *index != leader);
            let others: Vec<&Replica> = others.map(|(_, replica)| replica).collect();
            wait_until("the next lease", || {
                others.iter().any(|replica| replica.status().is_some_and(|status| held(&status) > revision))
            })?;
            times.push(ended.elapsed());
            self.replicas[leader].end()?;
            self.replicas[leader].start()?;
        }
        Ok(times)
    }

    /// Waits until one leads and all hold its lease: which one that is, and the revision.
    fn wait_until_whole(&self) -> Result<(usize, u64)> {
        let mut whole = None;
        wait_until("three coordinators and one leader", || {
            let statuses: Vec<_> = self.replicas.iter().filter_map(Replica::status).collect();
            let leaders: Vec<_> = (0..statuses.len()).filter(|index| statuses[*index].role == "leading").collect();
            let agreed = statuses.iter().all(|status| status.ready && held(status) == held(&statuses[0]));
            if let ([leader], true, REPLICAS) = (&leaders[..], agreed, statuses.len()) {
                whole = Some((*leader, held(&statuses[0])));
            }
            whole.is_some_and(|(_, revision)| revision > 0)
        })?;
        whole.ok_or_else(|| "no coordinator leads".into())
    }

    fn next_payload(&mut self) -> Result {
        self.number += 1;
        let [beside, place] = [".payload", "payload"].map(|name| self.folder.path().join(name));
        private_file(&beside, &format!("payload {}", self.number))?;
        Ok(fs::rename(beside, place)?)
    }
}

/// The revision of the lease that a coordinator holds.
fn held(status: &CoordinatorStatus) -> u64 {
    status.instances.first().and_then(|instance| instance.lease.as_ref()).map_or(0, |lease| lease.revision)
}

/// `deputy run`.
struct Replica {
    config: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

impl Replica {
    fn new(folder: &Path, index: usize, etcd: &[String]) -> Result<Self> {
        let [config, state, socket, log] =
            ["toml", "state", "sock", "log"].map(|kind| folder.join(format!("replica-{index}.{kind}")));
        let text = format!(
            "[coordinator]\ncontrol = {socket:?}\nkey = {{ file = \"state.key\" }}\n\
             store = {{ etcd = {etcd:?}, prefix = \"bench/\" }}\n\
             [instances.{INSTANCE}]\nservice = \"bench\"\nkind = \"bench/1\"\n\
             file = {{ path = \"payload\", lifetime = \"1h\" }}\n"
        );
        fs::write(&config, text)?;
        Ok(Self { config, state, socket, log, process: None })
    }

    fn start(&mut self) -> Result {
        let program = env::var_os("DEPUTY_PROGRAM").ok_or("DEPUTY_PROGRAM does not name the program `deputy`")?;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&self.config).arg("--state").arg(&self.state).arg("run");
        self.process = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().ok_or("a coordinator does not run")?.id())
    }

    fn end(&mut self) -> Result {
        if let Some(mut process) = self.process.take() {
            process.wait()?;
        }
        Ok(())
    }

    fn status(&self) -> Option<CoordinatorStatus> {
        asked_as(&self.socket, "/v1/status")
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

fn private_file(path: &Path, text: &str) -> Result {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file.write_all(text.as_bytes())?)
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) -> Result {
    let begun = Instant::now();
    while !so() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what}: not after {} s", PATIENCE.as_secs()).into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

//! `deputy run` with many instances and workers, whose leases are rotated by writing files.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_servers::free_ports;
use serde_json::Value;

use crate::Result;
use crate::child::Process;
use crate::load::{self, Handshake};
use crate::serve::INSTANCE;

/// Groups of workers.
const GROUPS: usize = 10;

/// Instances that are delivered to a group, besides the one that all have.
const INSTANCES_OF_GROUP: usize = 8;

/// Instances that one file gives their leases.
const INSTANCES_OF_FILE: usize = 50;

/// How long the start may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A coordinator. It ends with this value.
pub(crate) struct PageSite {
    folder: tempfile::TempDir,
    deputy: PathBuf,
    coordinator: Child,
    loads: Vec<Process>,
    files: usize,
    /// How often a file was written.
    written: usize,
}

impl PageSite {
    /// Starts the coordinator, and has the workers join and connect.
    pub(crate) fn start(instances: usize, workers: usize, loads: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let deputy = std::env::current_exe()?.with_file_name("deputy");
        let [health, listen] = free_ports()?;
        let files = instances.div_ceil(INSTANCES_OF_FILE);
        fs::write(folder.path().join("deputy.toml"), configuration(instances, health, listen))?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new(&deputy);
        command.args(["--config", "deputy.toml", "run"]).current_dir(folder.path()).env_clear();
        let coordinator = command.stdin(Stdio::null()).stderr(log).spawn()?;
        let mut site = Self { folder, deputy, coordinator, loads: Vec::new(), files, written: 0 };
        (0..files).try_for_each(|file| site.write(&format!("part-{file}")))?;
        site.write(INSTANCE)?;
        site.wait_until("all leases", |status| status["ready_count"].as_u64() == Some(instances as u64))?;
        site.loads = (0..loads).map(|_| Process::start("load")).collect::<Result<_>>()?;
        let strings = (0..GROUPS).map(|group| site.token(group, workers)).collect::<Result<Vec<_>>>()?;
        let join = |number, count| load::Order::Join { number, strings: strings.clone(), count };
        load::tell(&mut site.loads, workers, join)?;
        let connect =
            |_, count| load::Order::Connect { ports: vec![listen; GROUPS], count, with: Handshake::WholeGroup };
        load::tell(&mut site.loads, workers, connect)?;
        Ok(site)
    }

    /// A URL that opens the page.
    pub(crate) fn url(&self) -> Result<String> {
        Ok(self.ask(&["ui", "--json"])?["url"].as_str().ok_or("no URL")?.to_owned())
    }

    /// Rotates the leases of the instances of one file, in turns, and after each round that of the workers.
    pub(crate) fn rotate(&mut self) -> Result {
        match self.written % (self.files + 1) {
            file if file == self.files => self.write(INSTANCE),
            file => self.write(&format!("part-{file}")),
        }
    }

    /// Processor time that the coordinator had.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.coordinator.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a file whole. Others may not read it.
    fn write(&mut self, name: &str) -> Result {
        self.written += 1;
        let staged = self.folder.path().join("staged");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        write!(file, "payload {}", self.written)?;
        Ok(fs::rename(staged, self.folder.path().join(name).with_extension("payload"))?)
    }

    fn token(&self, group: usize, workers: usize) -> Result<String> {
        let (group, uses) = (format!("group-{group}"), workers.to_string());
        let token = self.ask(&["token", "create", "--group", &group, "--uses", &uses, "--ttl", "1h", "--json"])?;
        Ok(token["join"].as_str().ok_or("no join string")?.to_owned())
    }

    fn ask(&self, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.deputy);
        let output = command.args(["--config", "deputy.toml"]).args(args).current_dir(self.folder.path()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result {
        let begun = Instant::now();
        while !self.ask(&["status", "--json"]).is_ok_and(|status| is_so(&status)) {
            if begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("log"))?;
                return Err(format!("{what}: not after {PATIENCE:?}: {log}").into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for PageSite {
    fn drop(&mut self) {
        // They may have ended by themselves.
        self.loads.clear();
        drop(self.coordinator.kill());
        drop(self.coordinator.wait());
    }
}

fn configuration(instances: usize, health: u16, listen: u16) -> String {
    let groups: Vec<_> = (0..GROUPS).map(|group| format!("group-{group}")).collect();
    let local = Ipv4Addr::LOCALHOST;
    // The bare workers send no heartbeats, only reports.
    let mut text = format!(
        "state = \"state\"\naudit = \"audit.jsonl\"\n[coordinator]\nhealth = \"{local}:{health}\"\nlisten = \
         \"{local}:{listen}\"\nheartbeat = \"10m\"\n"
    );
    let mut add = |name: &str, groups: &[String], file: &str| {
        let deliver = if groups.is_empty() { String::new() } else { format!("deliver-to = {groups:?}\n") };
        text.push_str(&format!(
            "[instances.{name}]\nservice = \"s3\"\nkind = \"aws-credential-process/1\"\n{deliver}file = {{ path \
             = \"{file}.payload\", lifetime = \"1h\" }}\n"
        ));
    };
    add(INSTANCE, &groups, INSTANCE);
    for number in 1..instances {
        let group =
            if number <= GROUPS * INSTANCES_OF_GROUP { &groups[number % GROUPS..=number % GROUPS] } else { &[] };
        add(&format!("instance-{number:04}"), group, &format!("part-{}", number / INSTANCES_OF_FILE));
    }
    text
}

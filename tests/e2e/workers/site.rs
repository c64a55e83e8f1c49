//! A coordinator and its workers, each a process of its own with a configuration and a state of its own.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_coordinator::{WorkerList, WorkerStatus};
use deputy_link::JoinString;
use deputy_test_harness::{
    CommandOutput, PATIENCE, RunningCoordinator, TestEnvironment, asked_as, copy_compiled, exit, is_loaded, send_signal,
};
use deputy_test_servers::guest;
use deputy_worker::status::WorkerReport;
use serde_json::Value;

use super::unit::{CANARY, Payload, Unit};

/// How long a payload is good where the test is not about its end.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// The group that most tests are about.
pub(crate) const GROUP: &str = "analytics";

/// Everything that is compiled once for all tests here.
const COMPONENTS: [&str; 7] = [
    "files",
    "benign-keeper",
    "benign-obtain",
    "benign-receiver",
    "cpu-loop-after-put",
    "secret-not-granted-to-receiver",
    "trap-after-put",
];

/// A machine with a coordinator and workers. When it goes, all that was said and written is searched for secrets.
pub(crate) struct TestSite {
    pub(crate) home: TestEnvironment,
    address: String,
}

/// `deputy worker`. It is killed when this is dropped.
pub(crate) struct RunningWorker<'s> {
    site: &'s TestSite,
    pub(crate) name: String,
    child: Child,
}

impl TestSite {
    /// With nothing to deliver yet. `coordinator` stands in `[coordinator]`.
    pub(crate) fn new(coordinator: &str) -> Self {
        Self::at(&address(), coordinator)
    }

    /// The same with another address.
    pub(crate) fn at(address: &str, coordinator: &str) -> Self {
        let mut home = TestEnvironment::new().canary(CANARY);
        let socket = home.path("control.sock");
        home.prepend(&format!(
            "audit = \"audit.jsonl\"\n[coordinator]\ncontrol = {socket:?}\nlisten = \"{address}\"\n{coordinator}\n"
        ));
        let site = Self { home, address: address.to_owned() };
        site.compile("state");
        site
    }

    /// Adds an instance whose payload is what [`give`](Self::give) writes.
    pub(crate) fn instance(mut self, name: &str, service: &str, groups: &[&str]) -> Self {
        // The hostile guests take their own kind.
        let kind = if service == "s3" { "aws-credential-process/1" } else { "hostile/1" };
        self.home.append(&format!(
            "[instances.{name}]\nservice = \"{service}\"\nkind = \"{kind}\"\ndeliver-to = {groups:?}\n\
             file = {{ path = \"secrets/{name}.payload\", lifetime = \"1h\" }}\n"
        ));
        self.publish_numbered(name, 1);
        self
    }

    /// Adds a receiver of the group that writes each instance's payload twice.
    pub(crate) fn receiver(mut self, name: &str, instances: &[&str]) -> Self {
        let component = guest("files").unwrap();
        let settings: Vec<String> = instances.iter().map(|name| twice(name)).collect();
        self.home.append(&format!(
            "[groups.{GROUP}.receivers.{name}]\ncomponent = {component:?}\ninstances = {instances:?}\n\
             [groups.{GROUP}.receivers.{name}.settings]\n{}\n",
            settings.join("\n")
        ));
        self
    }

    /// One instance `creds`, and one receiver `app` of it.
    pub(crate) fn standard(coordinator: &str) -> Self {
        Self::new(coordinator).instance("creds", "any", &[GROUP]).receiver("app", &["creds"])
    }

    /// Has the coordinator find another payload of an instance.
    pub(crate) fn publish_numbered(&self, name: &str, number: u64) {
        self.publish_text(name, &Payload::new(name, number, LONG).text());
    }

    /// The same with a text of the test's own, whole at once.
    pub(crate) fn publish_text(&self, name: &str, text: &str) {
        let (beside, place) = (self.home.path("secrets/.new"), self.home.path(&format!("secrets/{name}.payload")));
        fs::write(&beside, text).unwrap();
        fs::set_permissions(&beside, Permissions::from_mode(0o600)).unwrap();
        fs::rename(beside, place).unwrap();
    }

    /// Starts the coordinator.
    pub(crate) fn coordinator(&self) -> RunningCoordinator<'_> {
        RunningCoordinator::start(&self.home)
    }

    /// Starts it by a command that was changed.
    pub(crate) fn coordinator_as(&self, command: Command) -> RunningCoordinator<'_> {
        let running = RunningCoordinator::start_as(&self.home, command);
        running.wait_until("it has started", || self.has_started());
        running
    }

    fn has_started(&self) -> bool {
        asked_as::<CoordinatorStatus>(&self.home.socket(), "/v1/status").is_some_and(|status| is_loaded(&status))
    }

    /// Makes a token with these further arguments, and gives the file with its join string.
    pub(crate) fn token(&self, group: &str, more: &[&str]) -> PathBuf {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = self.home.path(&format!("secrets/join-{number}"));
        let args = [&["token", "create", "--group", group, "--out", file.to_str().unwrap()], more].concat();
        answered(|| self.home.deputy(&args)).ends_with(exit::OK);
        let text = fs::read_to_string(&file).unwrap();
        let join: JoinString = text.parse().unwrap();
        // In Base64, the letters that hold nothing but the secret: what stands around it may be known.
        self.home.register_secret(&text["dj1.".len() + 11..][..42]);
        self.home.register_secret(&join.secret.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        file
    }

    /// Writes a worker's configuration: `lines` stand in `[worker]`, and behind it.
    pub(crate) fn configure(&self, name: &str, lines: &str) {
        let text = format!("[worker]\noutput = \"secrets/{name}\"\naudit = \"{name}-audit.jsonl\"\n{lines}\n");
        fs::write(self.home.path(&format!("{name}.toml")), text).unwrap();
    }

    /// Starts a worker that joins with a new token, and waits for nothing.
    pub(crate) fn worker(&self, name: &str) -> RunningWorker<'_> {
        let join = self.token(GROUP, &[]);
        self.worker_with(name, &["--join".as_ref(), join.as_os_str()])
    }

    /// Starts a worker that was there before.
    pub(crate) fn restart_worker(&self, name: &str) -> RunningWorker<'_> {
        self.worker_with(name, &[])
    }

    /// Starts a worker with these arguments.
    pub(crate) fn worker_with(&self, name: &str, args: &[&OsStr]) -> RunningWorker<'_> {
        let mut command = self.command(name);
        command.args(args);
        self.worker_as(name, command)
    }

    /// Starts a worker by a command of it that was changed.
    pub(crate) fn worker_as(&self, name: &str, mut command: Command) -> RunningWorker<'_> {
        let log = File::options().create(true).append(true).open(self.home.path(&format!("{name}.log"))).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        RunningWorker { site: self, name: name.to_owned(), child }
    }

    /// `deputy worker`, ready for its arguments.
    pub(crate) fn command(&self, name: &str) -> Command {
        self.command_logging(name, "debug")
    }

    /// The same with a level of the log.
    pub(crate) fn command_logging(&self, name: &str, level: &str) -> Command {
        if !self.home.path(&format!("{name}.toml")).exists() {
            self.configure(name, "");
        }
        let state = format!("{name}-state");
        self.compile(&state);
        let mut command = self.home.program();
        command.arg("--config").arg(self.home.path(&format!("{name}.toml")));
        command.arg("--state").arg(self.home.path(&state)).args(["worker", "--log", level]);
        command
    }

    /// Sees to it that a state directory has the compiled components.
    fn compile(&self, state: &str) {
        static COMPILED: OnceLock<PathBuf> = OnceLock::new();
        let compiled = COMPILED.get_or_init(|| TestEnvironment::compiled("workers-state", &COMPONENTS));
        let state = self.home.path(state);
        if !state.join("components").exists() {
            copy_compiled(compiled, &state);
        }
    }

    /// What the coordinator says of its workers.
    pub(crate) fn workers(&self) -> Vec<WorkerStatus> {
        self.try_workers().unwrap()
    }

    /// The same; none if the coordinator does not answer.
    pub(crate) fn try_workers(&self) -> Option<Vec<WorkerStatus>> {
        asked_as::<WorkerList>(&self.home.socket(), "/v1/workers").map(|list| list.workers)
    }

    /// What it says of one worker.
    pub(crate) fn worker_status(&self, id: &str) -> WorkerStatus {
        self.workers().into_iter().find(|worker| worker.id == id).unwrap()
    }

    /// What it says of the one worker that it knows.
    pub(crate) fn only_worker(&self) -> WorkerStatus {
        let mut workers = self.workers();
        assert_eq!(workers.len(), 1, "{workers:?}");
        workers.remove(0)
    }

    /// Where a receiver's files appear at a worker.
    pub(crate) fn link(&self, worker: &str, receiver: &str) -> PathBuf {
        self.home.path("secrets").join(worker).join(receiver)
    }

    /// Events of the coordinator's audit, of workers alone.
    pub(crate) fn audited(&self, operation: &str, outcome: &str) -> Vec<Value> {
        let is_it = |event: &Value| event["operation"] == operation && event["outcome"] == outcome;
        self.home.audit("audit.jsonl").into_iter().filter(is_it).collect()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs `deputy workers` or another command, and keeps what it said for the search.
    pub(crate) fn run_command(&self, args: &[&str]) -> CommandOutput {
        self.home.run_unchecked(args)
    }
}

impl Drop for TestSite {
    fn drop(&mut self) {
        if !thread::panicking()
            && let Some(leak) = self.home.leak(b"", b"")
        {
            panic!("{leak}");
        }
    }
}

/// Settings of `files` that leave an instance's payload in two files.
pub(crate) fn twice(name: &str) -> String {
    format!("\"path.{name}\" = \"{name}\"\n\"template.{name}.copy\" = \"{{{{ {name}.payload }}}}\"")
}

/// An address of this machine that no other test uses, also while no process listens there. It has a network of loopback
/// to itself: those who look for free ports do so at 127.0.0.1.
pub(crate) fn address() -> String {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{number}:8271", 64 + process / 256 % 128, process % 256)
}

impl RunningWorker<'_> {
    /// Its status; none if it does not answer.
    pub(crate) fn status(&self) -> Option<WorkerReport> {
        asked_as(&self.site.home.path(&format!("{}-state/worker.sock", self.name)), "/v1/status")
    }

    /// The same by its own command, for people and for programs.
    pub(crate) fn published_files(&self) -> String {
        let state = self.site.home.path(&format!("{}-state", self.name));
        let mut told = String::new();
        for json in [&[][..], &["--json"]] {
            let mut command = self.site.home.program();
            let output = command.arg("--state").arg(&state).args(["worker", "status"]).args(json).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            told = String::from_utf8(output.stdout).unwrap();
            self.site.home.record_output("who-asked-worker", &told);
        }
        told
    }

    /// The number of an instance's payload in what a receiver published, 0 if there is none.
    #[track_caller]
    pub(crate) fn published_number(&self, receiver: &str, instance: &str) -> u64 {
        let unit = Unit::read(&self.site.link(&self.name, receiver)).unwrap();
        let payloads = unit.map(|unit| unit.payloads().unwrap()).unwrap_or_default();
        payloads.get(instance).map_or(0, |payload| payload.number)
    }

    /// Waits until it has published this.
    #[track_caller]
    pub(crate) fn wait_until_published(&self, receiver: &str, instance: &str, number: u64) {
        self.wait_until(&format!("{instance} {number} in {receiver}"), || {
            self.published_number(receiver, instance) == number
        });
    }

    /// Waits until its link is in this state.
    #[track_caller]
    pub(crate) fn wait_for_link(&self, state: &str) {
        self.wait_until(state, || self.status().is_some_and(|status| status.connection.state == state));
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(
                begun.elapsed() < PATIENCE,
                "{}: {what}: not after {} s\n{}\n{:?}",
                self.name,
                PATIENCE.as_secs(),
                self.log(),
                self.status(),
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its id, once it has joined.
    pub(crate) fn id(&self) -> String {
        self.wait_until("it has joined", || self.status().is_some());
        self.status().unwrap().connection.worker
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.site.home.path(&format!("{}.log", self.name))).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.pid(), name);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGTERM, and gives its exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signal("TERM");
        self.end()
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not stop:\n{}", self.name, self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for RunningWorker<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a command again while the state does not answer it in time, as etcd does not while its disk is busy.
pub(crate) fn answered(run: impl Fn() -> CommandOutput) -> CommandOutput {
    let begun = Instant::now();
    loop {
        let output = run();
        if output.code != Some(exit::UNAVAILABLE) || begun.elapsed() > PATIENCE {
            return output;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

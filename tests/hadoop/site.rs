//! A coordinator with instances of Hadoop's providers, and a worker whose one receiver writes a token file.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use deputy_link::JoinString;
use deputy_test_servers::{Kdc, guest, lasting_ports};

use crate::cluster::PRINCIPAL;
use crate::deputy::{TestEnvironment, copy_compiled, exit};
use crate::running::{RunningCoordinator, asked};
use crate::worker::RunningWorker;

/// The group of the worker.
const GROUP: &str = "jobs";

/// What is compiled once for all tests.
const COMPONENTS: [&str; 7] = ["hadoop-credentials", "hbase", "hdfs", "hive", "kms", "webhdfs", "yarn"];

/// A machine with both.
pub(crate) struct HadoopSite {
    pub(crate) home: TestEnvironment,
    instances: Vec<String>,
}

impl HadoopSite {
    /// With the login `alice` of this realm, and nothing else yet.
    pub(crate) fn new(kdc: &Kdc) -> Self {
        let mut home = TestEnvironment::new();
        copy_compiled(compiled(), home.state());
        let [port] = lasting_ports().unwrap();
        let (socket, keytab) = (home.path("control.sock"), kdc.keytab(PRINCIPAL).unwrap());
        home.prepend(&format!(
            "audit = \"audit.jsonl\"\n[coordinator]\ncontrol = {socket:?}\nlisten = \"127.0.0.1:{port}\"\n\
             [logins.{PRINCIPAL}]\nprincipal = \"{}\"\nkeytab = {keytab:?}\nkdcs = [\"{}\"]\n",
            kdc.full(PRINCIPAL),
            kdc.address(),
        ));
        Self { home, instances: Vec::new() }
    }

    /// Adds an instance by the lines of its configuration. It is delivered to the worker.
    pub(crate) fn instance(mut self, name: &str, lines: &str) -> Self {
        let header = format!("[instances.{name}]\n");
        assert!(lines.starts_with(&header), "{lines}");
        self.home.append(&lines.replacen(&header, &format!("{header}deliver-to = [\"{GROUP}\"]\n"), 1));
        self.instances.push(name.to_owned());
        self
    }

    /// Adds the receiver of all instances, with these settings.
    pub(crate) fn receiver(mut self, settings: &str) -> Self {
        let component = guest("hadoop-credentials").unwrap();
        self.home.append(&format!(
            "[groups.{GROUP}.receivers.hadoop]\ncomponent = {component:?}\ninstances = {:?}\n\
             [groups.{GROUP}.receivers.hadoop.settings]\n{settings}\n",
            self.instances
        ));
        self
    }

    /// Starts the coordinator.
    pub(crate) fn coordinator(&self) -> RunningCoordinator<'_> {
        RunningCoordinator::start(&self.home)
    }

    /// Starts the worker, which joins with a new token.
    pub(crate) fn worker(&self) -> RunningWorker<'_> {
        let join = self.home.path("secrets/join");
        let join_argument = join.to_str().unwrap();
        self.home.deputy(&["token", "create", "--group", GROUP, "--out", join_argument]).ends_with(exit::OK);
        let secret: JoinString = fs::read_to_string(&join).unwrap().parse().unwrap();
        self.home.register_secret(&secret.secret.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let text = "[worker]\noutput = \"secrets/worker\"\naudit = \"worker-audit.jsonl\"\n";
        fs::write(self.home.path("worker.toml"), text).unwrap();
        let state = self.home.path("worker-state");
        copy_compiled(compiled(), &state);
        let arguments: [&OsStr; 2] = ["--join".as_ref(), join.as_os_str()];
        RunningWorker::start(&self.home, &arguments)
    }

    /// Waits until each of these instances has had this number of leases, and the worker has applied the newest.
    #[track_caller]
    pub(crate) fn wait_for_tokens(&self, coordinator: &RunningCoordinator<'_>, leases: &[(&str, u64)]) {
        for (name, revision) in leases {
            coordinator.wait_until(&format!("lease {revision} of {name}"), || coordinator.revision(name) >= *revision);
            coordinator.wait_until(&format!("lease {revision} of {name} at the worker"), || {
                let workers = asked(&self.home.socket(), "/v1/workers").unwrap();
                let applied = workers["workers"][0]["applied"].as_array().cloned().unwrap_or_default();
                let of_instance = applied.iter().find(|applied| applied["instance"] == **name);
                of_instance.is_some_and(|applied| applied["revision"].as_u64() >= Some(*revision))
            });
        }
    }

    /// The token file that the worker's receiver writes.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.home.path("secrets/worker/hadoop/hadoop.tokens")
    }
}

/// A state directory with the compiled components.
fn compiled() -> &'static PathBuf {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let home = TestEnvironment::in_target("hadoop-state");
        for component in COMPONENTS {
            home.deputy(&["inspect", guest(component).unwrap().to_str().unwrap()]).ends_with(exit::OK);
        }
        home.state().to_owned()
    })
}

//! A coordinator with instances of `kafka`, and a worker whose one receiver writes the properties of clients.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use deputy_link::JoinString;
use deputy_test_servers::{Kafka, Kdc, guest, lasting_ports};
use serde_json::Value;

use crate::deputy::{TestEnvironment, copy_compiled, exit};
use crate::running::{RunningCoordinator, asked};
use crate::worker::RunningWorker;

/// The group of the worker.
const GROUP: &str = "jobs";

/// Whom Deputy logs in as by Kerberos.
pub(crate) const PRINCIPAL: &str = "alice";

/// A machine with both.
pub(crate) struct KafkaSite {
    pub(crate) home: TestEnvironment,
    instances: Vec<String>,
}

impl KafkaSite {
    /// With the login of this realm, and nothing else yet.
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
        Self { home: home.secret("kafka-password", Kafka::PASSWORD), instances: Vec::new() }
    }

    /// Adds an instance with a login by SCRAM. `rule` is what stands in each of its rules, besides the network.
    pub(crate) fn scram(self, name: &str, servers: &str, settings: &str, rule: &str) -> Self {
        let grant = format!(
            "[instances.{name}.secrets.password]\nfile = \"secrets/kafka-password\"\nscram = {{ username = \"{}\" }}\n",
            Kafka::USER
        );
        self.instance(name, servers, settings, &grant, rule)
    }

    /// Adds an instance with a login by Kerberos.
    pub(crate) fn gssapi(self, name: &str, servers: &str, settings: &str) -> Self {
        let grant = format!(
            "[instances.{name}.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"kafka/localhost@TEST.LOCAL\"]\n"
        );
        self.instance(name, servers, &format!("authentication = \"GSSAPI\"\n{settings}"), &grant, "")
    }

    /// Adds an instance, which is delivered to the worker.
    pub(crate) fn instance(mut self, name: &str, servers: &str, settings: &str, grant: &str, rule: &str) -> Self {
        let component = guest("kafka").unwrap();
        let rules: String = servers
            .split(',')
            .map(|server| format!("[[instances.{name}.tcp]]\nallow = \"{server}\"\nnetworks = [\"loopback\"]\n{rule}"))
            .collect();
        self.home.append(&format!(
            "[instances.{name}]\ndeliver-to = [\"{GROUP}\"]\ncomponent = {component:?}\n\
             retry = {{ floor = \"200ms\", most = \"1s\" }}\n\
             [instances.{name}.settings]\nservers = \"{servers}\"\n{settings}\n{grant}{rules}"
        ));
        self.instances.push(name.to_owned());
        self
    }

    /// Adds the receiver of all instances, with these settings.
    pub(crate) fn receiver(mut self, settings: &str) -> Self {
        let component = guest("kafka-client").unwrap();
        self.home.append(&format!(
            "[groups.{GROUP}.receivers.kafka]\ncomponent = {component:?}\ninstances = {:?}\n\
             [groups.{GROUP}.receivers.kafka.settings]\n{settings}\n",
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
        copy_compiled(compiled(), &self.home.path("worker-state"));
        let arguments: [&OsStr; 2] = ["--join".as_ref(), join.as_os_str()];
        RunningWorker::start(&self.home, &arguments)
    }

    /// Waits until an instance has had this lease, and the worker has applied the newest.
    #[track_caller]
    pub(crate) fn wait_for_lease(&self, coordinator: &RunningCoordinator<'_>, name: &str, revision: u64) {
        coordinator.wait_until(&format!("lease {revision} of {name}"), || coordinator.revision(name) >= revision);
        coordinator.wait_until(&format!("lease {revision} of {name} at the worker"), || {
            let workers = asked(&self.home.socket(), "/v1/workers").unwrap();
            let applied = workers["workers"][0]["applied"].as_array().cloned().unwrap_or_default();
            let of_instance = applied.iter().find(|applied| applied["instance"] == *name);
            of_instance.is_some_and(|applied| applied["revision"].as_u64() >= Some(revision))
        });
    }

    /// The file that the worker's receiver writes for an instance.
    pub(crate) fn properties(&self, name: &str) -> PathBuf {
        self.home.path("secrets/worker/kafka").join(format!("{name}.properties"))
    }
}

/// A state directory with the compiled components.
fn compiled() -> &'static PathBuf {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let home = TestEnvironment::in_target("kafka-state");
        for component in ["kafka", "kafka-client"] {
            home.deputy(&["inspect", guest(component).unwrap().to_str().unwrap()]).ends_with(exit::OK);
        }
        home.state().to_owned()
    })
}

/// A fact of the lease in the status of an instance; empty if there is none.
pub(crate) fn fact<'s>(instance: &'s Value, name: &str) -> &'s str {
    let facts = instance["lease"]["facts"].as_array().map(Vec::as_slice).unwrap_or_default();
    facts.iter().find(|fact| fact["name"] == name).and_then(|fact| fact["value"].as_str()).unwrap_or_default()
}

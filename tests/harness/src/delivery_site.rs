//! A coordinator with instances of a family of connectors, and a worker with one receiver of all of them.

use std::ffi::OsStr;
use std::fs;
use std::marker::PhantomData;
use std::path::PathBuf;

use deputy_coordinator::WorkerList;
use deputy_coordinator::status::InstanceStatus;
use deputy_link::JoinString;
use deputy_local::FactStatus;
use deputy_test_servers::{Kdc, guest, lasting_ports};

use crate::coordinator::{RunningCoordinator, asked_as};
use crate::environment::{TestEnvironment, copy_compiled, exit};
use crate::worker::RunningWorker;

/// The group of the worker.
const GROUP: &str = "jobs";

/// The Kerberos principal of the only login, which has its name.
pub const PRINCIPAL: &str = "alice";

/// Components that are tested together.
pub trait Connectors {
    /// The receiver's name in the configuration.
    const RECEIVER: &'static str;
    const RECEIVER_COMPONENT: &'static str;

    /// A state directory in which the components are compiled, made once.
    fn compiled() -> &'static PathBuf;
}

/// A machine with both.
pub struct DeliverySite<C> {
    pub home: TestEnvironment,
    instances: Vec<String>,
    connectors: PhantomData<C>,
}

impl<C: Connectors> DeliverySite<C> {
    /// With the login of this realm, and nothing else yet.
    pub fn new(kdc: &Kdc) -> Self {
        let mut home = TestEnvironment::new();
        copy_compiled(C::compiled(), home.state());
        let [port] = lasting_ports().unwrap();
        let (socket, keytab) = (home.path("control.sock"), kdc.keytab(PRINCIPAL).unwrap());
        home.prepend(&format!(
            "audit = \"audit.jsonl\"\n[coordinator]\ncontrol = {socket:?}\nlisten = \"127.0.0.1:{port}\"\n\
             [logins.{PRINCIPAL}]\nprincipal = \"{}\"\nkeytab = {keytab:?}\nkdcs = [\"{}\"]\n",
            kdc.full(PRINCIPAL),
            kdc.address(),
        ));
        Self { home, instances: Vec::new(), connectors: PhantomData }
    }

    /// Adds an instance by the lines of its configuration. It is delivered to the worker.
    pub fn instance(mut self, name: &str, lines: &str) -> Self {
        let header = format!("[instances.{name}]\n");
        assert!(lines.starts_with(&header), "{lines}");
        self.home.append(&lines.replacen(&header, &format!("{header}deliver-to = [\"{GROUP}\"]\n"), 1));
        self.instances.push(name.to_owned());
        self
    }

    /// Adds the receiver of all instances, with these settings.
    pub fn receiver(mut self, settings: &str) -> Self {
        let (name, component) = (C::RECEIVER, guest(C::RECEIVER_COMPONENT).unwrap());
        self.home.append(&format!(
            "[groups.{GROUP}.receivers.{name}]\ncomponent = {component:?}\ninstances = {:?}\n\
             [groups.{GROUP}.receivers.{name}.settings]\n{settings}\n",
            self.instances
        ));
        self
    }

    /// Starts the coordinator.
    pub fn coordinator(&self) -> RunningCoordinator<'_> {
        RunningCoordinator::start(&self.home)
    }

    /// Starts the worker, which joins with a new token.
    pub fn worker(&self) -> RunningWorker<'_> {
        let join = self.home.path("secrets/join");
        let join_argument = join.to_str().unwrap();
        self.home.deputy(&["token", "create", "--group", GROUP, "--out", join_argument]).ends_with(exit::OK);
        let secret: JoinString = fs::read_to_string(&join).unwrap().parse().unwrap();
        self.home.register_secret(&secret.secret.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let text = "[worker]\noutput = \"secrets/worker\"\naudit = \"worker-audit.jsonl\"\n";
        fs::write(self.home.path("worker.toml"), text).unwrap();
        copy_compiled(C::compiled(), &self.home.path("worker-state"));
        let arguments: [&OsStr; 2] = ["--join".as_ref(), join.as_os_str()];
        RunningWorker::start(&self.home, &arguments)
    }

    /// Waits until each of these instances has had this number of leases, and the worker has applied the newest.
    #[track_caller]
    pub fn wait_for_tokens(&self, coordinator: &RunningCoordinator<'_>, leases: &[(&str, u64)]) {
        for (name, revision) in leases {
            coordinator.wait_until(&format!("lease {revision} of {name}"), || coordinator.revision(name) >= *revision);
            coordinator.wait_until(&format!("lease {revision} of {name} at the worker"), || {
                self.applied(name) >= Some(*revision)
            });
        }
    }

    /// The revision of an instance that the worker applied last.
    fn applied(&self, instance: &str) -> Option<u64> {
        let list: WorkerList = asked_as(&self.home.socket(), "/v1/workers").unwrap();
        let applied = &list.workers.first()?.applied;
        applied.iter().find(|applied| applied.instance == instance)?.revision
    }

    /// A file that the worker's receiver writes.
    pub(crate) fn published(&self, file: &str) -> PathBuf {
        self.home.path("secrets/worker").join(C::RECEIVER).join(file)
    }
}

/// A fact of the lease that an instance has; empty if there is none.
pub fn fact<'s>(instance: &'s InstanceStatus, name: &str) -> &'s str {
    instance.lease.as_ref().map_or("", |lease| fact_value(&lease.facts, name))
}

/// A fact among those of a lease; empty if there is none.
pub fn fact_value<'f>(facts: &'f [FactStatus], name: &str) -> &'f str {
    facts.iter().find(|fact| fact.name == name).map_or("", |fact| fact.value.as_str())
}

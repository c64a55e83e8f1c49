//! `deputy get` and `deputy worker status` at a worker's socket.

use std::sync::Arc;

use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_core::{Delivery, InstanceName, LeaseVersion, Revision, SecretBytes, Timestamp};
use deputy_http_server::{HttpListener, serve};
use deputy_link::DeliveredState;
use deputy_local::{ControlError, SocketFile};
use deputy_worker::endpoint::{LeaseAccess, LocalEndpoint, StatusSource};
use deputy_worker::status::{AbsentStatus, ConnectionStatus, DeliveryStatus, WorkerReport};
use insta::assert_snapshot;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::home::TestEnvironment;
use crate::service::SESSION;

/// 2099.
const UNTIL: Timestamp = Timestamp::from_millis(4_070_908_800_000);

/// The socket of a worker that holds these.
pub(crate) struct Worker {
    _runtime: Runtime,
    _file: SocketFile,
    held: watch::Sender<Arc<DeliveredState>>,
}

/// What it says of itself.
struct Said;

#[async_trait::async_trait]
impl StatusSource for Said {
    async fn status(&self) -> Result<serde_json::Value, ControlError> {
        let instance = |name: &str, state: &str, reason: Option<&str>| DeliveryStatus {
            name: name.to_owned(),
            service: name.to_owned(),
            kind: format!("{name}-token/1"),
            revision: 7,
            obtained_at: "2026-01-01T00:00:00.000Z".to_owned(),
            valid_until: "2026-01-01T01:00:00.000Z".to_owned(),
            valid_for_ms: Some(1_800_000),
            next_at: None,
            renewable_until: None,
            received_at: "2026-01-01T00:00:00.000Z".to_owned(),
            age_ms: 1_800_000,
            bytes: 21,
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
        };
        let connection = ConnectionStatus {
            worker: "00c0ffee00c0ffee".to_owned(),
            group: "analytics".to_owned(),
            coordinator: "coordinator.example:8271".to_owned(),
            addresses: ["coordinator.example:8271", "other.example:8271"].map(str::to_owned).to_vec(),
            state: "connected".to_owned(),
            since: "2026-01-01T00:00:00.000Z".to_owned(),
            last_contact: None,
            last_contact_age_ms: Some(2000),
            error: None,
            certificate_ends: None,
            refused: Vec::new(),
        };
        let absent = AbsentStatus {
            name: "kafka".to_owned(),
            reason: "no-lease".to_owned(),
            message: "the coordinator has no lease of it".to_owned(),
        };
        let status = WorkerReport {
            schema: 1,
            version: "0.1.0".to_owned(),
            pid: 7,
            since: "2026-01-01T00:00:00.000Z".to_owned(),
            now: "2026-01-01T00:30:00.000Z".to_owned(),
            connection,
            complete: true,
            ready: false,
            absent: vec![absent],
            warnings: Vec::new(),
            group_is_empty: false,
            instances: vec![
                instance("s3", "applied", None),
                instance("hdfs", "failed", Some("a receiver \u{1b}[2J failed")),
            ],
            receivers: Vec::new(),
            missing: Vec::new(),
        };
        Ok(serde_json::to_value(status).unwrap())
    }
}

impl Worker {
    /// At `worker.sock` in a home, which `worker.toml` names.
    pub(crate) fn start(home: &TestEnvironment, holds: &[(&str, &str, &str)]) -> Self {
        home.write("worker.toml", "[worker]\noutput = \"out\"\n[endpoints.socket]\npath = \"worker.sock\"\n");
        let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
        for (name, service, payload) in holds {
            let instance: InstanceName = name.parse().unwrap();
            let stamp = LeaseVersion { revision: Revision(7), obtained_at: Timestamp::from_millis(0) };
            let payload = Arc::new(SecretBytes::new(payload.as_bytes().to_vec()));
            let service = service.parse().unwrap();
            let kind = "aws-credential-process/1".parse().unwrap();
            let delivery = Delivery {
                instance: instance.clone(),
                service,
                kind,
                stamp,
                valid_until: UNTIL,
                next_at: None,
                renewable_until: None,
                payload,
                trace: None,
            };
            held.deliveries.insert(instance, delivery);
        }
        let (sender, receiver) = watch::channel(Arc::new(held));
        let clock: Arc<dyn Clock> =
            Arc::new(|| Now { mono: MonotonicTime::default(), wall: Timestamp::from_millis(0) });
        let runtime = Runtime::new().unwrap();
        let file = runtime.block_on(async {
            let (listener, file) = SocketFile::listen(&home.path("worker.sock"), 0o600).unwrap();
            tokio::spawn(serve(
                HttpListener::Unix(listener),
                Arc::new(LocalEndpoint::new(receiver, clock, Arc::new(Said), LeaseAccess::Given)),
            ));
            file
        });
        Self { _runtime: runtime, _file: file, held: sender }
    }

    /// Replaces the payload of an instance, by a lease with the next revision.
    pub(crate) fn replace(&self, name: &str, payload: &str) {
        let mut held = DeliveredState::clone(&self.held.borrow());
        let delivery = held.deliveries.get_mut(&name.parse::<InstanceName>().unwrap()).unwrap();
        delivery.stamp.revision = Revision(delivery.stamp.revision.0 + 1);
        delivery.payload = Arc::new(SecretBytes::new(payload.as_bytes().to_vec()));
        self.held.send(Arc::new(held)).unwrap();
    }
}

#[test]
fn worker_socket_serves_get_and_exec() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[("s3", "s3", SESSION)]);
    assert_snapshot!(home.snapshot(&["get", "s3", "--config", "worker.toml"]), @"
    exit code 0
    ----- stdout
    instance     s3
    revision     7
    kind         aws-credential-process/1
    valid until  2099-01-01T00:00:00.000Z
    payload      21 bytes, not shown: --reveal prints them, --out FILE writes them to a file
    ");
    let by_socket = home.run(&["get", "s3", "--socket", "worker.sock", "--reveal"]);
    assert_eq!((by_socket.code, by_socket.stdout.as_str()), (Some(0), SESSION));
    let by_variable = home.run_with(&["get", "s3", "--reveal"], &[("DEPUTY_CONFIG", "worker.toml")]);
    assert_eq!((by_variable.code, by_variable.stdout.as_str()), (Some(0), SESSION));
}

#[test]
fn worker_socket_explains_a_missing_lease() {
    let home = TestEnvironment::empty();
    let worker = Worker::start(&home, &[]);
    assert_snapshot!(home.snapshot(&["get", "s3", "--config", "worker.toml", "--wait", "10ms"]), @"
    exit code 4
    ----- stderr
    error: s3 is not ready: the coordinator delivers no such instance here: is this worker's group in its `deliver-to`, and does the coordinator hold a lease of it?
    ");
    assert_snapshot!(home.snapshot(&["renew", "s3", "--config", "worker.toml"]), @"
    exit code 2
    ----- stderr
    error: a worker does not do this: ask its coordinator
    ");
    drop(worker);
    assert_snapshot!(home.snapshot(&["get", "s3", "--config", "worker.toml"]), @"
    exit code 4
    ----- stderr
    error: no worker is listening at [HOME]/worker.sock: is one running, with [endpoints.socket] in its configuration?
      because No such file or directory (os error 2)
    ");
    assert_snapshot!(home.snapshot(&["get", "s3", "--socket", "worker.sock"]), @"
    exit code 4
    ----- stderr
    error: no coordinator or worker is listening at worker.sock: start one with `deputy run`, or a worker that has this socket in [endpoints.socket]
      because No such file or directory (os error 2)
    ");
}

#[test]
fn worker_status_shows_leases_and_receivers() {
    let home = TestEnvironment::empty();
    let _worker = Worker::start(&home, &[]);
    assert_snapshot!(home.snapshot(&["worker", "status"]), @"
    exit code 0
    ----- stdout
    worker           00c0ffee00c0ffee, group analytics
    coordinator      coordinator.example:8271, connected since 2026-01-01T00:00:00.000Z, last contact 2s ago
    other addresses  other.example:8271
    ready            no
    no lease         kafka: the coordinator has no lease of it
    version          0.1.0, process 7, running since 2026-01-01T00:00:00.000Z

    INSTANCE  SERVICE  KIND          REVISION  VALID FOR  STATE    WHY
    hdfs      hdfs     hdfs-token/1  7         30m        failed   a receiver �[2J failed
    s3        s3       s3-token/1    7         30m        applied
    ");
    let run = home.run(&["worker", "status", "--json", "--socket", "worker.sock"]);
    let status: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &status["instances"][1]["name"]), (Some(0), &"hdfs".into()));
}

#[test]
fn check_of_a_worker_loads_its_receivers() {
    let home = TestEnvironment::empty();
    let component = deputy_test_servers::guest("aws-credentials").unwrap().display().to_string();
    home.write(
        "worker.toml",
        &format!(
            "[worker]\noutput = \"out\"\nstate = \"state\"\n[receivers.aws]\ncomponent = \"{component}\"\ninstances = [\"s3\"]\n\
             [receivers.chosen]\nmode = \"0640\"\n"
        ),
    );
    let good = home.run(&["check", "--config", "worker.toml", "--json"]);
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    let json: serde_json::Value = serde_json::from_str(&good.stdout).unwrap();
    assert_eq!((&json["ok"], &json["receivers"][0]["instances"][0]), (&true.into(), &"s3".into()));
    assert_eq!(json["receivers"][1]["component"], serde_json::Value::Null);
    home.write("worker.toml", "[worker]\noutput = \"out\"\nstate = \"state\"\n[receivers.aws]\ncomponent = \"./worker.toml\"\ninstances = [\"s3\"]\n");
    let bad = home.run(&["check", "--config", "worker.toml"]);
    assert_eq!(bad.code, Some(1), "{}", bad.stdout);
    assert!(bad.stdout.contains("worker.toml is text, not a component"), "{}", bad.stdout);
}

#[test]
fn check_finds_settings_that_a_receiver_does_not_know() {
    let home = TestEnvironment::empty();
    let component = deputy_test_servers::guest("aws-credentials").unwrap().display().to_string();
    let receiver = format!("component = \"{component}\"\ninstances = [\"s3\"]\nsettings = {{ defualt = \"s3\" }}\n");
    home.write("worker.toml", &format!("[worker]\noutput = \"out\"\nstate = \"state\"\n[receivers.aws]\n{receiver}"));
    let bad = home.run(&["check", "--config", "worker.toml"]);
    assert_eq!(bad.code, Some(1), "{}", bad.stdout);
    assert!(bad.stdout.contains("the component has no setting `defualt`; did you mean `default`?"), "{}", bad.stdout);
    home.write(
        "deputy.toml",
        &format!(
            "[coordinator]\nlisten = \"127.0.0.1:8271\"\n\
             [instances.s3]\nservice = \"s3\"\nkind = \"aws-credential-process/1\"\nfile = {{ path = \"s3.json\", lifetime = \"1h\" }}\ndeliver-to = [\"web\"]\n\
             [groups.web.receivers.aws]\n{receiver}"
        ),
    );
    let bad = home.run(&["check"]);
    assert_eq!(bad.code, Some(1), "{}{}", bad.stdout, bad.stderr);
    assert!(bad.stdout.contains("the component has no setting `defualt`; did you mean `default`?"), "{}", bad.stdout);
}

#[test]
fn check_takes_every_documented_file_mode() {
    let home = TestEnvironment::empty();
    let write = |mode: &str| {
        home.write(
            "worker.toml",
            &format!("[worker]\noutput = \"out\"\nstate = \"state\"\n[receivers.aws]\nmode = \"{mode}\"\n"),
        );
    };
    for mode in ["0660", "0440", "0400", "0640", "0664"] {
        write(mode);
        let run = home.run(&["check", "--config", "worker.toml"]);
        assert_eq!(run.code, Some(0), "{mode}: {}{}", run.stdout, run.stderr);
    }
    write("0666");
    let run = home.run(&["check", "--config", "worker.toml"]);
    assert_eq!(run.code, Some(2), "{}", run.stdout);
    assert!(run.stderr.contains("worker.toml:5:8") && run.stderr.contains("^^^^^^"), "{}", run.stderr);
}

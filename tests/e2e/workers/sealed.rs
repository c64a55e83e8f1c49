//! What no worker and no reader may have: handles and state are in the sealed store, and nowhere else.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deputy_core::Timestamp;
use deputy_link::message::{ClientMessage, ClientMessageKind, Subscribe};
use deputy_link::{COORDINATOR_NAME, JoinString, WorkerKey, client, encode};
use deputy_test_harness::{RunningCoordinator, TestEnvironment, exit};
use deputy_test_servers::{free_ports, get, guest};
use rustls::{ClientConnection, StreamOwned};

use super::site::{GROUP, RunningWorker, TestSite};
use crate::script::{ScriptedCall, ScriptedServer};

/// With letters that every encoding writes in another way.
const HANDLE: &str = "canary-handle/of+lease~";
const STATE: &str = "canary-state/of+login~";
/// A payload is where it belongs, and is found there.
const PAYLOAD: &str = "payload-of-a-worker";

/// What the service says of lasting leases, and workers show of it.
const NEXT_AT: Timestamp = Timestamp::from_millis(4_102_444_800_000);
const RENEWABLE_UNTIL: Timestamp = Timestamp::from_millis(4_102_448_400_000);

/// Where the payload is, and no canary.
const PUBLISHED: &str = "out/app/lease";
const FRAMES: &str = "said/frames";

/// What it answers: each call brings another handle and another state. Leases are short until the third renewal, which fails
/// and tells why.
#[derive(Default)]
struct Service {
    /// The handle and the state of the last answer.
    last: Mutex<(String, String)>,
    /// What `obtain` came with that was not the last state.
    wrong: Mutex<Vec<String>>,
    is_calm: AtomicBool,
}

impl Service {
    fn answer(&self, call: &ScriptedCall) -> String {
        let ScriptedCall { function, number, payload, .. } = call;
        let mut last = self.last.lock().unwrap();
        match (function.as_str(), number) {
            ("revoke", _) => return String::new(),
            ("renew", 3) => {
                self.is_calm.store(true, Ordering::Relaxed);
                return format!("failure denied no lease has the handle {}\n", last.0);
            }
            ("obtain", _) if *payload != last.1 => self.wrong.lock().unwrap().push(payload.clone()),
            _ => {}
        }
        *last = (format!("{HANDLE}{function}-{number}"), format!("{STATE}{function}-{number}"));
        let life = if self.is_calm.load(Ordering::Relaxed) {
            format!(
                "after-ms 3600000\nnext-at {}\nrenewable-until {}\n",
                NEXT_AT.as_millis(),
                RENEWABLE_UNTIL.as_millis()
            )
        } else {
            "after-ms 8000\n".to_owned()
        };
        format!("payload {PAYLOAD} {function} {number}\nhandle {}\nfact state {}\n{life}", last.0, last.1)
    }
}

/// A group whose workers get the payload of `lease`, which keeps a state and has handles.
struct Sealed {
    service: Arc<Service>,
    script: ScriptedServer,
    site: TestSite,
    health: u16,
    worker_health: u16,
}

impl Sealed {
    fn new() -> Self {
        let [health, worker_health] = free_ports().unwrap();
        let service = Arc::<Service>::default();
        let answers = Arc::clone(&service);
        let script = ScriptedServer::new(move |call| answers.answer(call));
        let mut site = TestSite::new(&format!("health = \"127.0.0.1:{health}\""));
        let (provider, files) = (guest("benign-keeper").unwrap(), guest("files").unwrap());
        let lines = script.lines("lease", &format!("deliver-to = [{GROUP:?}]\nretry = {{ floor = \"50ms\" }}"));
        site.home.append(&format!("[instances.lease]\ncomponent = {provider:?}\n{lines}[instances.lease.state]\n"));
        site.home.append(&format!("[groups.{GROUP}.receivers.app]\ncomponent = {files:?}\ninstances = [\"lease\"]\n"));
        // Its files are searched as well, and so not among the secrets.
        let worker = format!(
            "[worker]\noutput = \"out\"\naudit = \"worker-audit.jsonl\"\nhealth = \"127.0.0.1:{worker_health}\"\n"
        );
        fs::write(site.home.path("worker.toml"), worker).unwrap();
        for canary in [HANDLE, STATE] {
            site.home.register_secret(canary);
        }
        Self { service, script, site, health, worker_health }
    }

    fn coordinator(&self) -> RunningCoordinator<'_> {
        let running = RunningCoordinator::start_logging(&self.site.home, self.site.home.command(), "trace");
        running.wait_until("it has a lease", || running.answers() && running.revision("lease") >= 1);
        running
    }

    fn worker(&self, more: &[&Path]) -> RunningWorker<'_> {
        let mut command: Command = self.site.command_logging("worker", "trace");
        command.args(more);
        let worker = self.site.worker_as("worker", command);
        worker.wait_for_link("connected");
        worker
    }

    fn published(&self) -> String {
        fs::read_to_string(self.site.home.path(PUBLISHED)).unwrap_or_default()
    }

    /// Waits until the workload has this payload.
    #[track_caller]
    fn wait_for(&self, worker: &RunningWorker<'_>, payload: &str) {
        worker.wait_until(payload, || self.published() == format!("{PAYLOAD} {payload}"));
    }

    /// Asks everything that answers, and keeps the answers for the search.
    fn ask_everything(&self, worker: &RunningWorker<'_>) {
        let home = &self.site.home;
        for args in [
            &["status"][..],
            &["status", "lease"],
            &["status", "--json"],
            &["status", "lease", "--json"],
            &["workers"],
            &["workers", "--json"],
            &["check"],
            &["check", "--json"],
        ] {
            home.run_unchecked(args).ends_with(exit::OK);
        }
        worker.published_files();
        for (name, port) in [("coordinator-health", self.health), ("worker-health", self.worker_health)] {
            for path in ["/metrics", "/readyz", "/livez"] {
                home.record_output(name, &get(port, path).unwrap().body);
            }
        }
        home.run_unchecked(&["get", "lease", "--json"]).ends_with(exit::OK);
        // A backup replaces no file.
        let backup = home.path("backup.sealed");
        drop(fs::remove_file(&backup));
        home.run_unchecked(&["state", "backup", backup.to_str().unwrap()]).ends_with(exit::OK);
    }
}

/// All that the coordinator sends to a worker that has just joined, as it is below TLS.
fn frames(join: &Path) -> Vec<u8> {
    let string: JoinString = fs::read_to_string(join).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let identity = runtime.block_on(client::join(&string, WorkerKey::new().unwrap())).unwrap();
    let tls = ClientConnection::new(identity.tls().unwrap(), COORDINATOR_NAME.try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(string.addresses.to_string()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = StreamOwned::new(tls, socket);
    let subscribe = Subscribe { version: "test".to_owned(), ..Subscribe::default() };
    stream.write_all(&encode(&ClientMessage::from(ClientMessageKind::Subscribe(subscribe)))).unwrap();
    let mut heard = Vec::new();
    let mut bytes = [0; 4096];
    while !holds(&heard, PAYLOAD) {
        let length = stream.read(&mut bytes).unwrap();
        assert_ne!(length, 0, "it ended without a lease");
        heard.extend_from_slice(&bytes[..length]);
    }
    heard
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A canary that is put into a place is found there, so that finding none says something.
fn finds_what_is_planted(home: &TestEnvironment) {
    for place in
        [PUBLISHED, FRAMES, "worker-state/planted", "worker.log", "run.log", "audit.jsonl", "said/worker-health"]
    {
        let path = home.path(place);
        // The worker has removed what it published before the revocation.
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let before = fs::read(&path).unwrap_or_default();
        fs::write(&path, [&before[..], HANDLE.as_bytes()].concat()).unwrap();
        assert!(home.leak(b"", b"").is_some(), "{place}");
        // The worker may have removed what is not its own.
        if before.is_empty() { drop(fs::remove_file(&path)) } else { fs::write(&path, before).unwrap() }
    }
}

#[test]
fn sealed_handles_and_states_are_in_the_store_alone() {
    let sealed = Sealed::new();
    let home = &sealed.site.home;
    let coordinator = sealed.coordinator();
    let join = sealed.site.token(GROUP, &["--uses", "2"]);
    let worker = sealed.worker(&[Path::new("--join"), &join]);
    sealed.wait_for(&worker, "obtain 1");
    fs::create_dir_all(home.path("said")).unwrap();
    fs::write(home.path(FRAMES), frames(&join)).unwrap();

    // It is renewed; the third renewal fails, and what replaces the lease knows the state.
    sealed.ask_everything(&worker);
    coordinator.wait_until("renewals", || sealed.script.count("lease", "renew") >= 3);
    coordinator.wait_until("another one", || sealed.script.functions("lease").last().unwrap() == "obtain");
    let obtained = sealed.script.count("lease", "obtain");
    sealed.wait_for(&worker, &format!("obtain {obtained}"));
    sealed.ask_everything(&worker);

    // With another setting, and after a kill of both.
    home.edit("/lease\"\n", "/lease\"\nregion = \"elsewhere\"\n");
    home.run_unchecked(&["reload"]).ends_with(exit::OK);
    sealed.wait_for(&worker, &format!("obtain {}", obtained + 1));
    worker.kill();
    coordinator.kill();
    let coordinator = sealed.coordinator();
    let worker = sealed.worker(&[]);
    home.run_unchecked(&["renew", "lease"]).ends_with(exit::OK);
    sealed.wait_for(&worker, &format!("obtain {}", obtained + 2));
    let held = worker.status().unwrap().instances.remove(0);
    let stated = [NEXT_AT, RENEWABLE_UNTIL].map(|time| Some(time.to_string()));
    assert_eq!((held.kind.as_str(), [held.next_at, held.renewable_until]), ("hostile/1", stated));
    let lease = coordinator.instance_status("lease").lease.unwrap();
    assert!(lease.facts[0].value.starts_with("it is [secret "), "{lease:?}");
    sealed.ask_everything(&worker);
    home.run_unchecked(&["revoke", "lease"]).ends_with(exit::OK);
    coordinator.wait_until("it is revoked", || sealed.script.count("lease", "revoke") >= 1);
    assert_eq!((worker.stop(), coordinator.stop()), (Some(exit::OK), Some(exit::OK)));

    // The component got its state back, after the restart as well.
    assert_eq!(*sealed.service.wrong.lock().unwrap(), [""; 0]);
    for file in ["state/state.lease.sealed", "state/lease.lease.sealed"] {
        assert!(home.path(file).exists(), "{file}");
    }
    // It told of both wherever it could.
    let log = fs::read_to_string(home.path("run.log")).unwrap();
    for text in ["it is [secret state]", "it is [secret handle]", "no lease has the handle [secret handle]"] {
        assert!(log.contains(text), "{text}");
    }
    assert!(log.contains("fact of the provider"), "a fine log");
    let frames = fs::read(home.path(FRAMES)).unwrap();
    assert!(holds(&frames, PAYLOAD) && !holds(&frames, "it is "), "its facts stay here, too");
    assert_eq!(home.leak(b"", b""), None);
    finds_what_is_planted(home);
}

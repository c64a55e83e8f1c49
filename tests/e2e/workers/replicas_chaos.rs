//! Three members of etcd and three coordinators. One at a time is killed, paused, or partitioned from the others or from the
//! workers, while workloads read. `cargo xtask bench chaos` does it with more instances and workers, and for longer.
#![expect(clippy::print_stderr, reason = "a test says what it did, and how much it saw")]

mod calls;
mod cluster;
mod faults;
mod history;
mod links;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::exit;
use deputy_test_servers::{Etcd, guest};

use self::calls::Obtains;
use self::cluster::{Cluster, revisions_of, start_etcd};
use self::faults::{Fault, Member, Suffered, Way, millis};
use self::history::{Credential, History, Track};
use self::links::LinkWorkers;
use self::report::Report;
use super::replicas::{store_lines, with_shared_key};
use super::site::{GROUP, RunningWorker, TestSite};
use super::unit::{Payload, Unit, now};
use crate::faults::kills::Chance;
use crate::faults::log;
use crate::faults::network::{Network, in_own_network};
use crate::script::ScriptedServer;

/// An instance whose payloads are in a file that changes.
const FILE: &str = "file";

/// Instances of one receiver.
const OF_RECEIVER: usize = 7;

const LIFE: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_secs(2);

/// What stands in the configuration of each coordinator, until the addresses are known.
const ADDRESSES: &str = "advertise = [\"deputy.example:8271\"]";

/// How much there is of everything.
struct Size {
    /// Instances that a service gives credentials.
    scripted: usize,
    processes: usize,
    links: usize,
    /// Until each instance has had this number of leases; without one, eight faults are enough.
    rotations: Option<u64>,
    /// Between two looks at all workers.
    look: Duration,
}

impl Size {
    fn from_environment() -> Self {
        let rotations = std::env::var("DEPUTY_CHAOS_ROTATIONS").ok().map(|rotations| rotations.parse().unwrap());
        match rotations {
            None => Self { scripted: 3, processes: 4, links: 8, rotations, look: Duration::from_millis(5) },
            Some(_) => Self { scripted: 20, processes: 6, links: 44, rotations, look: Duration::from_millis(50) },
        }
    }

    /// The names of the instances that a service gives credentials.
    fn scripted(&self) -> Vec<String> {
        (1..=self.scripted).map(|number| format!("service-{number}")).collect()
    }

    fn instances(&self) -> Vec<String> {
        [self.scripted(), vec![FILE.to_owned()]].concat()
    }

    /// The receivers, each with its instances.
    fn receivers(&self) -> Vec<(String, Vec<String>)> {
        let instances = self.instances();
        let chunks = instances.chunks(OF_RECEIVER).enumerate();
        chunks.map(|(number, instances)| (format!("app-{number}"), instances.to_vec())).collect()
    }

    fn process_names(&self) -> Vec<String> {
        (1..=self.processes).map(|number| format!("process-{number}")).collect()
    }

    fn workers(&self) -> Vec<String> {
        let links = (1..=self.links).map(|number| format!("link-{number}"));
        self.process_names().into_iter().chain(links).collect()
    }

    /// The faults of one round, in their order.
    fn round(&self, chance: &mut Chance) -> Vec<Fault> {
        if self.rotations.is_some() {
            return chance.shuffled(Fault::all());
        }
        // Two of the leader, so that there are takeovers, and a part of the others.
        let of_leader = [Way::Kill, Way::Partition].map(|way| Fault::Coordinator(Member::Leader, way));
        let others = Fault::all().into_iter().filter(|fault| !of_leader.contains(fault)).collect();
        let mut faults = chance.shuffled(others);
        faults.truncate(6);
        faults.extend(of_leader);
        chance.shuffled(faults)
    }
}

/// Ends the threads of a test that fails, too.
struct Ended<'f>([&'f AtomicBool; 2]);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

fn site(size: &Size, etcd: &Etcd, script: &ScriptedServer) -> TestSite {
    let lines = format!(
        "{ADDRESSES}\n{}\n[upstreams.default]\ncalls-per-minute = 6000\nburst = 100",
        store_lines(&etcd.endpoints(), "chaos")
    );
    let mut site = TestSite::new(&lines).instance(FILE, "any", &[GROUP]);
    site.home.replace("lifetime = \"1h\"", "lifetime = \"60s\"");
    for name in size.scripted() {
        let policy = format!("deliver-to = [\"{GROUP}\"]\nrenew = {{ interval = \"50ms\", per-hour = 100000 }}\n");
        let component = guest("benign-obtain").unwrap();
        site.home.append(&format!("[instances.{name}]\ncomponent = {component:?}\n{}", script.lines(&name, &policy)));
    }
    for (name, instances) in size.receivers() {
        let instances: Vec<&str> = instances.iter().map(String::as_str).collect();
        site = site.receiver(&name, &instances);
    }
    with_shared_key(site)
}

/// Reads at all workers again and again, until all is over, and then once more.
fn read(size: &Size, addresses: &Addresses, links: &LinkWorkers, over: &AtomicBool) -> Vec<Track> {
    let (receivers, instances) = (size.receivers(), size.instances());
    let workers = size.workers();
    let tracks = workers.iter().map(|worker| instances.iter().map(|instance| Track::new(worker, instance)).collect());
    let mut tracks: Vec<Vec<Track>> = tracks.collect();
    loop {
        let is_last = over.load(Ordering::Relaxed);
        let (processes, of_links) = tracks.split_at_mut(size.processes);
        for (name, tracks) in size.process_names().iter().zip(processes) {
            for (receiver, instances) in &receivers {
                let at = millis();
                let unit = Unit::read(&addresses.outputs.join(name).join(receiver)).unwrap();
                let mut payloads = unit.map(|unit| unit.payloads().unwrap()).unwrap_or_default();
                for track in tracks.iter_mut().filter(|track| instances.contains(&track.instance)) {
                    track.add(at, None, payloads.remove(&track.instance).map(published));
                }
            }
        }
        for (worker, tracks) in links.all().iter().zip(of_links) {
            let (at, coordinator) = (millis(), addresses.coordinator(worker.host()));
            let mut credentials = worker.credentials();
            for track in tracks {
                track.add(at, coordinator, credentials.remove(&track.instance));
            }
        }
        if is_last {
            return tracks.into_iter().flatten().collect();
        }
        thread::sleep(size.look);
    }
}

fn published(payload: Payload) -> Credential {
    Credential { number: payload.number, until: u64::try_from(payload.until).unwrap(), revision: None }
}

/// What a reader knows of the cluster.
struct Addresses {
    /// The folder with a folder for each worker.
    outputs: PathBuf,
    /// The machine of each coordinator.
    coordinators: Vec<Ipv4Addr>,
}

impl Addresses {
    fn coordinator(&self, host: Option<Ipv4Addr>) -> Option<usize> {
        self.coordinators.iter().position(|known| Some(*known) == host)
    }
}

/// Writes the file's next payload again and again, and returns the number of the last one.
fn write(site: &TestSite, over: &AtomicBool) -> u64 {
    let mut number = 1;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        site.publish_text(FILE, &Payload::new(FILE, number, LIFE).text());
        thread::sleep(PACE);
    }
    number
}

fn is_newest(worker: &RunningWorker<'_>, size: &Size, newest: &BTreeMap<String, u64>) -> bool {
    size.receivers().iter().all(|(receiver, instances)| {
        instances.iter().all(|instance| worker.published_number(receiver, instance) == newest[instance])
    })
}

fn has_newest(links: &LinkWorkers, newest: &BTreeMap<String, u64>) -> bool {
    links.all().iter().all(|worker| {
        let credentials = worker.credentials();
        newest.iter().all(|(instance, number)| credentials.get(instance).is_some_and(|held| held.number == *number))
    })
}

/// Until there were faults and rotations enough.
fn suffer(size: &Size, cluster: &mut Cluster<'_>, links: &LinkWorkers) -> Vec<Suffered> {
    let mut chance = Chance::from_environment();
    let mut all = Vec::new();
    loop {
        for fault in size.round(&mut chance) {
            thread::sleep(Duration::from_millis(chance.below(1000)));
            let suffered = cluster.suffer(fault, links, &mut chance);
            let over = Duration::from_millis(suffered.until - suffered.from);
            eprintln!("{} for {over:?}: well after {:?}", fault.name(), suffered.well);
            all.push(suffered);
            let Some(rotations) = size.rotations else { continue };
            let revisions = cluster.statuses().into_iter().flatten().map(revisions_of).next().unwrap_or_default();
            if size.scripted().iter().all(|name| revisions.get(name) >= Some(&rotations)) {
                return all;
            }
        }
        if size.rotations.is_none() {
            return all;
        }
    }
}

/// When another term began, from the log of all coordinators. The first leader of a state does not say this.
fn takeovers(cluster: &Cluster<'_>) -> Vec<u64> {
    let lines = log::lines(&cluster.machines[0].running);
    let lead = lines.iter().filter(|line| line.message == "this coordinator leads now");
    let mut times: Vec<u64> =
        lead.map(|line| u64::try_from(log::millis_between("1970-01-01T00:00:00.000Z", &line.at)).unwrap()).collect();
    times.sort_unstable();
    times
}

fn obtains(script: &ScriptedServer, instance: String, revisions: &BTreeMap<String, u64>) -> Obtains {
    let began = script.calls(&instance, "obtain").iter().map(|call| since_1970(call.at)).collect();
    Obtains { began, revision: revisions[&instance], instance }
}

fn since_1970(at: Instant) -> u64 {
    let ago = u64::try_from(at.elapsed().as_millis()).unwrap();
    millis() - ago
}

#[test]
fn replicas_chaos_keeps_every_credential_good() {
    let test = "workers::replicas_chaos::replicas_chaos_keeps_every_credential_good";
    in_own_network(test, keeps_every_credential_good);
}

fn keeps_every_credential_good(mut network: Network) {
    let size = Size::from_environment();
    let calm = Arc::new(AtomicBool::new(false));
    let at_rest = Arc::clone(&calm);
    let script = ScriptedServer::at(Network::services(), move |call| {
        let payload = Payload::new(&call.instance, u64::try_from(call.number).unwrap(), LIFE);
        let next = now() + if at_rest.load(Ordering::Relaxed) { LIFE } else { PACE };
        format!("payload {}\nvalid-until {}\nnext-at {}\n", payload.text(), payload.until, next.as_millis())
    });
    let etcd = start_etcd(&mut network);
    let site = site(&size, &etcd, &script);
    let mut cluster = Cluster::start(&site, etcd, network, ADDRESSES);
    cluster.wait_until_well();
    let begun = Instant::now();
    let mut machines = cluster.machines.iter().map(|machine| &machine.replica).cycle();
    let workers: Vec<RunningWorker<'_>> =
        size.process_names().iter().zip(machines.by_ref()).map(|(name, replica)| replica.worker(&site, name)).collect();
    let mut links = LinkWorkers::new();
    for (name, replica) in size.workers().iter().skip(size.processes).zip(machines) {
        links.join(name, &fs::read_to_string(replica.token(&site, name)).unwrap());
    }
    for worker in &workers {
        worker.wait_until("all are there", || {
            size.receivers().iter().all(|(receiver, instances)| {
                instances.iter().all(|instance| worker.published_number(receiver, instance) > 0)
            })
        });
    }

    let addresses = Addresses {
        outputs: site.home.path("secrets"),
        coordinators: cluster.machines.iter().map(|machine| machine.address).collect(),
    };
    let read_over = AtomicBool::new(false);
    let (tracks, newest, revisions, suffered) = thread::scope(|scope| {
        let _ended = Ended([&calm, &read_over]);
        let reading = scope.spawn(|| read(&size, &addresses, &links, &read_over));
        let writing = scope.spawn(|| write(&site, &calm));
        let suffered = suffer(&size, &mut cluster, &links);
        calm.store(true, Ordering::Relaxed);
        let file = writing.join().unwrap();
        let mut newest = BTreeMap::new();
        cluster.wait_until("every worker has the newest", || {
            let scripted = size.scripted().into_iter().map(|name| (script.count(&name, "obtain") as u64, name));
            newest = scripted.chain([(file, FILE.to_owned())]).map(|(number, name)| (name, number)).collect();
            has_newest(&links, &newest) && workers.iter().all(|worker| is_newest(worker, &size, &newest))
        });
        cluster.wait_until("all coordinators agree", || cluster.revisions().is_some());
        let revisions = cluster.revisions().unwrap();
        read_over.store(true, Ordering::Relaxed);
        (reading.join().unwrap(), newest, revisions, suffered)
    });

    let history = History {
        tracks,
        obtains: size.scripted().into_iter().map(|instance| obtains(&script, instance, &revisions)).collect(),
        pace: u64::try_from(PACE.as_millis()).unwrap(),
        takeovers: takeovers(&cluster),
        cuts: suffered.iter().filter_map(|suffered| suffered.cut.clone()).collect(),
        newest,
        workers: size.workers(),
        least: 8,
    };
    let report = Report::new(&history, &suffered, size.processes, begun.elapsed());
    eprintln!("{}", report.text());
    if let Some(folder) = std::env::var_os("DEPUTY_CHAOS_REPORT") {
        report.write(&history, &cluster.machines[0].running.log(), &PathBuf::from(folder));
    }
    // A fault that ends no term shows nothing.
    let ended = suffered.iter().filter(|suffered| suffered.fault.ends_the_leader()).count();
    assert!(history.takeovers.len() >= ended, "{ended} faults of leaders");
    assert_eq!(history.violations(), [""; 0]);
    for worker in workers {
        assert_eq!(worker.stop(), Some(exit::OK));
    }
    for machine in cluster.machines {
        assert_eq!(machine.running.stop(), Some(exit::OK));
    }
}

//! Three members of etcd and three coordinators. One at a time is killed or paused, while workloads read.
#![expect(clippy::print_stderr, reason = "a test says what it did, and how much it saw")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{PATIENCE, RunningCoordinator, exit};
use deputy_test_servers::{Etcd, guest};

use super::history::{History, Obtains, Read};
use super::replicas::{Replica, store_lines, with_shared_key};
use super::site::{GROUP, RunningWorker, TestSite};
use super::unit::{Payload, Unit, now};
use crate::faults::kills::Chance;
use crate::script::ScriptedServer;

const SCRIPTED: [&str; 3] = ["a", "b", "c"];
/// Its payloads are in a file that changes.
const FILE: &str = "file";
const INSTANCES: [&str; 4] = ["a", "b", "c", FILE];
const WORKERS: [&str; 6] = ["w1", "w2", "w3", "w4", "w5", "w6"];

const LIFE: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_secs(2);
/// Longer than the lease of the lock.
const PAUSE: Duration = Duration::from_millis(5500);

#[derive(Debug, Clone, Copy)]
enum Target {
    Leader,
    Follower,
    EtcdLeader,
    EtcdFollower,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Pause,
}

const FAULTS: [(Target, Fault); 8] = [
    (Target::Leader, Fault::Kill),
    (Target::Leader, Fault::Pause),
    (Target::Follower, Fault::Kill),
    (Target::Follower, Fault::Pause),
    (Target::EtcdLeader, Fault::Kill),
    (Target::EtcdLeader, Fault::Pause),
    (Target::EtcdFollower, Fault::Kill),
    (Target::EtcdFollower, Fault::Pause),
];

/// Ends the threads of a test that fails, too.
struct Ended<'f>([&'f AtomicBool; 2]);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

/// All processes but the workers.
struct Cluster<'s> {
    site: &'s TestSite,
    etcd: Etcd,
    replicas: Vec<Replica>,
    running: Vec<RunningCoordinator<'s>>,
}

impl<'s> Cluster<'s> {
    fn start(site: &'s TestSite, etcd: Etcd) -> Self {
        let replicas: Vec<Replica> = ["first", "second", "third"].map(|name| Replica::new(site, name)).into();
        let running = replicas.iter().map(|replica| replica.start_unseen(site)).collect();
        Self { site, etcd, replicas, running }
    }

    /// What all of them say, if all answer.
    fn statuses(&self) -> Option<Vec<CoordinatorStatus>> {
        self.replicas.iter().map(Replica::status).collect()
    }

    /// One leads, two follow, all serve.
    fn is_well(&self) -> bool {
        self.statuses()
            .is_some_and(|all| all.iter().all(serves) && all.iter().filter(|status| leads(status)).count() == 1)
    }

    /// Waits until something is so.
    #[track_caller]
    fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < PATIENCE, "{what}: not in time: {:#?}", self.statuses());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait_until_well(&self) {
        self.wait_until("all are well", || self.is_well());
    }

    fn coordinator(&self, is_leader: bool, chance: &mut Chance) -> usize {
        let statuses = self.statuses().unwrap();
        let of_role: Vec<usize> = (0..3).filter(|index| leads(&statuses[*index]) == is_leader).collect();
        of_role[usize::try_from(chance.below(of_role.len() as u64)).unwrap()]
    }

    fn member(&self, is_leader: bool, chance: &mut Chance) -> usize {
        let mut leader = None;
        self.wait_until("etcd has a leader", || {
            leader = self.etcd.leader();
            leader.is_some()
        });
        let other = 1 + usize::try_from(chance.below(2)).unwrap();
        if is_leader { leader.unwrap() } else { (leader.unwrap() + other) % 3 }
    }

    /// Does it, and ends it after a while.
    fn suffer(&mut self, target: Target, fault: Fault, chance: &mut Chance) {
        let away = match fault {
            Fault::Kill => Duration::from_millis(chance.below(4000)),
            Fault::Pause => PAUSE + Duration::from_millis(chance.below(1500)),
        };
        match target {
            Target::Leader | Target::Follower => {
                let index = self.coordinator(matches!(target, Target::Leader), chance);
                match fault {
                    Fault::Kill => {
                        // Its socket stays, as after a real kill.
                        self.running[index].signal("KILL");
                        self.running[index].end();
                        thread::sleep(away);
                        self.running[index] = self.replicas[index].start_unseen(self.site);
                    }
                    Fault::Pause => {
                        self.running[index].signal("STOP");
                        thread::sleep(away);
                        self.running[index].signal("CONT");
                    }
                }
            }
            Target::EtcdLeader | Target::EtcdFollower => {
                let index = self.member(matches!(target, Target::EtcdLeader), chance);
                match fault {
                    Fault::Kill => {
                        self.etcd.kill(index);
                        thread::sleep(away);
                        self.etcd.start_all().unwrap();
                    }
                    Fault::Pause => {
                        self.etcd.signal(index, "STOP").unwrap();
                        thread::sleep(away);
                        self.etcd.signal(index, "CONT").unwrap();
                    }
                }
            }
        }
    }

    /// The revisions of all instances, if all coordinators agree on them.
    fn revisions(&self) -> Option<BTreeMap<String, u64>> {
        let mut all: Vec<_> = self.statuses()?.into_iter().map(revisions_of).collect();
        all.dedup();
        if let [agreed] = &all[..] { Some(agreed.clone()) } else { None }
    }
}

fn revisions_of(status: CoordinatorStatus) -> BTreeMap<String, u64> {
    let leases = status.instances.into_iter().map(|instance| (instance.name, instance.lease));
    leases.map(|(name, lease)| (name, lease.map_or(0, |lease| lease.revision))).collect()
}

fn leads(status: &CoordinatorStatus) -> bool {
    status.role == "leading"
}

fn serves(status: &CoordinatorStatus) -> bool {
    status.ready && status.state_trouble.is_none()
}

fn site(etcd: &Etcd, script: &ScriptedServer) -> TestSite {
    let lines = store_lines(&etcd.endpoints(), "chaos") + "\n[upstreams.default]\ncalls-per-minute = 6000\nburst = 100";
    let mut site = TestSite::new(&lines).receiver("app", &INSTANCES).instance(FILE, "any", &[GROUP]);
    site.home.replace("lifetime = \"1h\"", "lifetime = \"60s\"");
    for name in SCRIPTED {
        let policy = format!("deliver-to = [\"{GROUP}\"]\nrenew = {{ interval = \"50ms\", per-hour = 100000 }}\n");
        let component = guest("benign-obtain").unwrap();
        site.home.append(&format!("[instances.{name}]\ncomponent = {component:?}\n{}", script.lines(name, &policy)));
    }
    with_shared_key(site)
}

/// Reads all workers again and again, until all is over, and then once more.
fn read(site: &TestSite, over: &AtomicBool) -> Vec<Read> {
    let mut reads = Vec::new();
    loop {
        let is_last = over.load(Ordering::Relaxed);
        for worker in WORKERS {
            let at = now().as_millis();
            let unit = Unit::read(&site.link(worker, "app")).unwrap().unwrap();
            for payload in unit.payloads().unwrap().into_values() {
                let instance = INSTANCES.into_iter().find(|name| *name == payload.instance).unwrap();
                reads.push(Read { at, worker, instance, number: payload.number, until: payload.until });
            }
        }
        if is_last {
            return reads;
        }
        thread::sleep(Duration::from_millis(5));
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

fn is_newest(worker: &RunningWorker<'_>, newest: &BTreeMap<&str, u64>) -> bool {
    newest.iter().all(|(instance, number)| worker.published_number("app", instance) == *number)
}

#[test]
fn replicas_chaos_keeps_every_credential_good() {
    let calm = Arc::new(AtomicBool::new(false));
    let at_rest = Arc::clone(&calm);
    let script = ScriptedServer::new(move |call| {
        let payload = Payload::new(&call.instance, u64::try_from(call.number).unwrap(), LIFE);
        let next = now() + if at_rest.load(Ordering::Relaxed) { LIFE } else { PACE };
        format!("payload {}\nvalid-until {}\nnext-at {}\n", payload.text(), payload.until, next.as_millis())
    });
    let etcd = Etcd::start_three(&[]).unwrap();
    let site = site(&etcd, &script);
    let mut cluster = Cluster::start(&site, etcd);
    cluster.wait_until_well();
    let workers: Vec<RunningWorker<'_>> = WORKERS
        .iter()
        .zip(cluster.replicas.iter().cycle())
        .map(|(name, replica)| replica.worker(&site, name))
        .collect();
    for worker in &workers {
        worker.wait_until("all are there", || INSTANCES.iter().all(|name| worker.published_number("app", name) > 0));
    }

    let mut chance = Chance::from_environment();
    let rounds = std::env::var("DEPUTY_CHAOS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let read_over = AtomicBool::new(false);
    let (reads, newest, revisions) = thread::scope(|scope| {
        let _ended = Ended([&calm, &read_over]);
        let reading = scope.spawn(|| read(&site, &read_over));
        let writing = scope.spawn(|| write(&site, &calm));
        for _ in 0..rounds {
            let mut faults = FAULTS.to_vec();
            while !faults.is_empty() {
                let (target, fault) = faults.swap_remove(usize::try_from(chance.below(faults.len() as u64)).unwrap());
                thread::sleep(Duration::from_millis(chance.below(1000)));
                let begun = Instant::now();
                cluster.suffer(target, fault, &mut chance);
                let over = begun.elapsed();
                cluster.wait_until_well();
                eprintln!("{fault:?} {target:?} for {over:?}: well after {:?}", begun.elapsed());
            }
        }
        calm.store(true, Ordering::Relaxed);
        let file = writing.join().unwrap();
        let mut newest = BTreeMap::new();
        cluster.wait_until("every worker has the newest", || {
            let scripted = SCRIPTED.iter().map(|name| (*name, script.count(name, "obtain") as u64));
            newest = scripted.chain([(FILE, file)]).collect();
            workers.iter().all(|worker| is_newest(worker, &newest))
        });
        cluster.wait_until("all coordinators agree", || cluster.revisions().is_some());
        let revisions = cluster.revisions().unwrap();
        read_over.store(true, Ordering::Relaxed);
        (reading.join().unwrap(), newest, revisions)
    });

    let takeovers = cluster.running[0].log().matches("this coordinator leads now").count();
    let obtains = SCRIPTED.map(|instance| {
        let calls = script.calls(instance, "obtain");
        let began = calls.iter().map(|call| call.at - calls[0].at).collect();
        Obtains { instance, began, revision: revisions[instance] }
    });
    let called = obtains.iter().map(|obtains| obtains.began.len()).sum::<usize>();
    let saved = SCRIPTED.iter().map(|name| revisions[*name]).sum::<u64>();
    let gap = obtains
        .iter()
        .flat_map(|obtains| obtains.began.windows(2))
        .map(|two| two[1].saturating_sub(two[0]))
        .max()
        .unwrap();
    let read = reads.len();
    eprintln!("{read} reads, {called} obtains at most {gap:?} apart, {saved} leases, {takeovers} takeovers");
    // One when the leader was killed, one when it was paused. The first leader of a state does not say this.
    assert!(takeovers >= 2, "{takeovers}");
    let history =
        History { reads, obtains: obtains.into(), pace: PACE, takeovers, newest, workers: WORKERS.to_vec(), least: 8 };
    assert_eq!(history.violations(), [""; 0]);
    for worker in workers {
        assert_eq!(worker.stop(), Some(exit::OK));
    }
    for running in cluster.running {
        assert_eq!(running.stop(), Some(exit::OK));
    }
}

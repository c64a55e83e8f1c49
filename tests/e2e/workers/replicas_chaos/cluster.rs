//! Three machines with a coordinator each, three members of etcd, and the networks between all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{PATIENCE, RunningCoordinator};
use deputy_test_servers::{DroppingProxy, Etcd};

use super::faults::Member;
use super::links::LinkWorker;
use crate::faults::kills::Chance;
use crate::workers::replicas::Replica;
use crate::workers::site::TestSite;

/// A coordinator, and what leads to and from it.
pub(super) struct Machine<'s> {
    pub(super) replica: Replica,
    pub(super) running: RunningCoordinator<'s>,
    /// To each member of etcd.
    pub(super) to_etcd: Vec<DroppingProxy>,
    pub(super) from_workers: DroppingProxy,
}

/// All processes but the workers.
pub(super) struct Cluster<'s> {
    pub(super) site: &'s TestSite,
    pub(super) machines: Vec<Machine<'s>>,
    pub(super) etcd: Etcd,
}

impl<'s> Cluster<'s> {
    /// Starts all coordinators. The site's configuration names etcd as it is, and has this line, which names no addresses.
    pub(super) fn start(site: &'s TestSite, etcd: Etcd, addresses: &str) -> Self {
        let members = etcd.endpoints();
        let machines: Vec<(Replica, Vec<DroppingProxy>, DroppingProxy)> = ["first", "second", "third"]
            .into_iter()
            .map(|name| {
                let replica = Replica::new(site, name);
                let to_etcd = members.iter().map(|member| before(member.trim_start_matches("http://"))).collect();
                let from_workers = before(replica.address());
                (replica, to_etcd, from_workers)
            })
            .collect();
        let advertised: Vec<String> =
            machines.iter().map(|(_, _, from_workers)| from_workers.address().to_string()).collect();
        let machines = machines.into_iter().map(|(replica, to_etcd, from_workers)| {
            let reached: Vec<String> = to_etcd.iter().map(|proxy| format!("http://{}", proxy.address())).collect();
            replica.edit(&format!("{members:?}"), &format!("{reached:?}"));
            replica.edit(addresses, &format!("advertise = {advertised:?}"));
            let running = replica.start_unseen(site);
            Machine { replica, running, to_etcd, from_workers }
        });
        Self { site, machines: machines.collect(), etcd }
    }

    /// What all of them say, if all answer.
    pub(super) fn statuses(&self) -> Option<Vec<CoordinatorStatus>> {
        self.machines.iter().map(|machine| machine.replica.status()).collect()
    }

    /// One leads, two follow, all serve.
    fn is_well(&self) -> bool {
        self.statuses()
            .is_some_and(|all| all.iter().all(serves) && all.iter().filter(|status| leads(status)).count() == 1)
    }

    /// Waits until something is so.
    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < PATIENCE, "{what}: not in time: {:#?}", self.statuses());
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn wait_until_well(&self) {
        self.wait_until("all are well", || self.is_well());
    }

    /// One of the coordinators.
    pub(super) fn coordinator(&self, which: Member, chance: &mut Chance) -> usize {
        let statuses = self.statuses().unwrap();
        let of_role = (0..3).filter(|index| leads(&statuses[*index]) == (which == Member::Leader));
        chance.one_of(&of_role.collect::<Vec<usize>>())
    }

    /// One of the members of etcd.
    pub(super) fn member(&self, which: Member, chance: &mut Chance) -> usize {
        let mut leader = None;
        self.wait_until("etcd has a leader", || {
            leader = self.etcd.leader();
            leader.is_some()
        });
        let leader = leader.unwrap();
        match which {
            Member::Leader => leader,
            Member::Follower => chance.one_of(&[(leader + 1) % 3, (leader + 2) % 3]),
        }
    }

    /// Which coordinator a worker is connected to.
    pub(super) fn coordinator_of(&self, worker: &LinkWorker) -> Option<usize> {
        let port = worker.port()?;
        self.machines.iter().position(|machine| machine.from_workers.address().port() == port)
    }

    /// Lets everything through again.
    pub(super) fn heal(&self) {
        self.etcd.heal();
        for machine in &self.machines {
            machine.to_etcd.iter().chain([&machine.from_workers]).for_each(DroppingProxy::heal);
        }
    }

    /// The revisions of all instances, if all coordinators agree on them.
    pub(super) fn revisions(&self) -> Option<BTreeMap<String, u64>> {
        let mut all: Vec<_> = self.statuses()?.into_iter().map(revisions_of).collect();
        all.dedup();
        if let [agreed] = &all[..] { Some(agreed.clone()) } else { None }
    }
}

impl Machine<'_> {
    pub(super) fn part_from_etcd(&self) {
        self.to_etcd.iter().for_each(DroppingProxy::part);
    }
}

/// A proxy before a server.
fn before(server: &str) -> DroppingProxy {
    DroppingProxy::start(server.parse::<SocketAddr>().unwrap()).unwrap()
}

pub(super) fn revisions_of(status: CoordinatorStatus) -> BTreeMap<String, u64> {
    let leases = status.instances.into_iter().map(|instance| (instance.name, instance.lease));
    leases.map(|(name, lease)| (name, lease.map_or(0, |lease| lease.revision))).collect()
}

fn leads(status: &CoordinatorStatus) -> bool {
    status.role == "leading"
}

fn serves(status: &CoordinatorStatus) -> bool {
    status.ready && status.state_trouble.is_none()
}

//! Three machines with a coordinator each, three with a member of etcd, and the network between all of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::{PATIENCE, RunningCoordinator};
use deputy_test_servers::Etcd;

use super::faults::Member;
use super::links::LinkWorker;
use crate::faults::kills::Chance;
use crate::faults::network::Network;
use crate::workers::replicas::Replica;
use crate::workers::site::TestSite;

/// The machines with members of etcd.
const ETCD: [u8; 3] = [11, 12, 13];

/// Those with coordinators.
const COORDINATORS: [(&str, u8); 3] = [("first", 21), ("second", 22), ("third", 23)];

/// A machine with a coordinator.
pub(super) struct Machine<'s> {
    pub(super) replica: Replica,
    pub(super) running: RunningCoordinator<'s>,
    pub(super) address: Ipv4Addr,
}

/// All processes but the workers.
pub(super) struct Cluster<'s> {
    pub(super) site: &'s TestSite,
    pub(super) machines: Vec<Machine<'s>>,
    pub(super) etcd: Etcd,
    network: Network,
}

/// Starts etcd on three machines.
pub(super) fn start_etcd(network: &mut Network) -> Etcd {
    let hosts = ETCD.map(|number| {
        let machine = network.add(number);
        network.etcd_host(machine)
    });
    Etcd::start_three_on(hosts).unwrap()
}

impl<'s> Cluster<'s> {
    /// Starts all coordinators. The site's configuration has this line, which names no addresses.
    pub(super) fn start(site: &'s TestSite, etcd: Etcd, mut network: Network, addresses: &str) -> Self {
        let machines = COORDINATORS.map(|(name, number)| {
            let address = network.add(number);
            (Replica::at(format!("{address}:8271"), site, name), address)
        });
        let advertised: Vec<&str> = machines.iter().map(|(replica, _)| replica.address()).collect();
        for (replica, _) in &machines {
            replica.edit(addresses, &format!("advertise = {advertised:?}"));
        }
        let machines = machines.into_iter().map(|(replica, address)| {
            let running = start(site, &network, &replica, address);
            Machine { replica, running, address }
        });
        Self { site, machines: machines.collect(), etcd, network }
    }

    /// Starts a coordinator again that has ended.
    pub(super) fn restart(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.running = start(self.site, &self.network, &machine.replica, machine.address);
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
        let host = worker.host()?;
        self.machines.iter().position(|machine| machine.address == host)
    }

    pub(super) fn partition_from_etcd(&mut self, coordinator: usize) {
        for member in self.etcd.hosts() {
            self.network.partition(self.machines[coordinator].address, member);
        }
    }

    pub(super) fn partition_from_workers(&mut self, coordinator: usize) {
        self.network.partition(self.machines[coordinator].address, Network::here());
    }

    /// Partitions a member of etcd from the others.
    pub(super) fn partition_from_peers(&mut self, member: usize) {
        let hosts = self.etcd.hosts();
        for other in hosts.iter().filter(|other| **other != hosts[member]) {
            self.network.partition(hosts[member], *other);
        }
    }

    /// Partitions a member of etcd from all coordinators.
    pub(super) fn partition_from_coordinators(&mut self, member: usize) {
        for machine in &self.machines {
            self.network.partition(self.etcd.hosts()[member], machine.address);
        }
    }

    /// Lets everything through again.
    pub(super) fn heal(&mut self) {
        self.network.heal();
    }

    /// The revisions of all instances, if all coordinators agree on them.
    pub(super) fn revisions(&self) -> Option<BTreeMap<String, u64>> {
        let mut all: Vec<_> = self.statuses()?.into_iter().map(revisions_of).collect();
        all.dedup();
        if let [agreed] = &all[..] { Some(agreed.clone()) } else { None }
    }
}

fn start<'s>(site: &'s TestSite, network: &Network, replica: &Replica, machine: Ipv4Addr) -> RunningCoordinator<'s> {
    RunningCoordinator::start_as(&site.home, network.enter(machine, &replica.program(site)))
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

//! What is done to the processes and networks of a cluster, one after the other.

use std::thread;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::history::Cut;
use super::links::LinkWorkers;
use crate::faults::kills::Chance;
use crate::workers::unit::now;

/// Longer than the lease of the lock.
const LONG: Duration = Duration::from_millis(5500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Leader,
    Follower,
}

/// What is at fault, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Coordinator(Member, Way),
    Etcd(Member, Way),
    /// The coordinator with the most workers is partitioned from all of them.
    Workers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Kill,
    Pause,
    /// A coordinator is partitioned from etcd, a member of etcd from the others.
    Partition,
    /// It is partitioned from its clients as well.
    Isolate,
}

/// A fault that is over.
pub(super) struct Suffered {
    pub(super) fault: Fault,
    /// When it began, in milliseconds since 1970, and when it ended.
    pub(super) from: u64,
    pub(super) until: u64,
    /// From its beginning until one led, two followed, and all served.
    pub(super) well: Duration,
    pub(super) cut: Option<Cut>,
}

impl Fault {
    pub(super) fn all() -> Vec<Self> {
        let ways = [Way::Kill, Way::Pause, Way::Partition, Way::Isolate];
        let members = [Member::Leader, Member::Follower];
        let each = members.into_iter().flat_map(|member| ways.into_iter().map(move |way| (member, way)));
        let faults = each.flat_map(|(member, way)| [Self::Coordinator(member, way), Self::Etcd(member, way)]);
        faults.chain([Self::Workers]).collect()
    }

    /// Whether the coordinator that leads cannot go on.
    pub(super) fn ends_the_leader(self) -> bool {
        matches!(self, Self::Coordinator(Member::Leader, _))
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Coordinator(Member::Leader, Way::Kill) => "the leader is killed",
            Self::Coordinator(Member::Leader, Way::Pause) => "the leader is paused",
            Self::Coordinator(Member::Leader, Way::Partition) => "the leader is partitioned from etcd",
            Self::Coordinator(Member::Leader, Way::Isolate) => "the leader is partitioned from etcd and workers",
            Self::Coordinator(Member::Follower, Way::Kill) => "a follower is killed",
            Self::Coordinator(Member::Follower, Way::Pause) => "a follower is paused",
            Self::Coordinator(Member::Follower, Way::Partition) => "a follower is partitioned from etcd",
            Self::Coordinator(Member::Follower, Way::Isolate) => "a follower is partitioned from etcd and workers",
            Self::Etcd(Member::Leader, Way::Kill) => "etcd's leader is killed",
            Self::Etcd(Member::Leader, Way::Pause) => "etcd's leader is paused",
            Self::Etcd(Member::Leader, Way::Partition) => "etcd's leader is partitioned from its peers",
            Self::Etcd(Member::Leader, Way::Isolate) => "etcd's leader is partitioned from peers and coordinators",
            Self::Etcd(Member::Follower, Way::Kill) => "a follower in etcd is killed",
            Self::Etcd(Member::Follower, Way::Pause) => "a follower in etcd is paused",
            Self::Etcd(Member::Follower, Way::Partition) => "a follower in etcd is partitioned from its peers",
            Self::Etcd(Member::Follower, Way::Isolate) => {
                "a follower in etcd is partitioned from peers and coordinators"
            }
            Self::Workers => "the coordinator with the most workers is partitioned from them",
        }
    }
}

impl Way {
    fn duration(self, chance: &mut Chance) -> Duration {
        match self {
            Self::Kill => Duration::from_millis(chance.below(4000)),
            Self::Pause | Self::Partition | Self::Isolate => LONG + Duration::from_millis(chance.below(1500)),
        }
    }
}

impl Cluster<'_> {
    /// Does it, ends it after a while, and waits until all is well.
    pub(super) fn suffer(&mut self, fault: Fault, links: &LinkWorkers, chance: &mut Chance) -> Suffered {
        let mut connected = [0; 3];
        for coordinator in links.all().iter().filter_map(|worker| self.coordinator_of(worker)) {
            connected[coordinator] += 1;
        }
        let (from, begun) = (millis(), Instant::now());
        let cut = match fault {
            Fault::Coordinator(which, way) => {
                let index = self.coordinator(which, chance);
                self.suffer_coordinator(index, way, way.duration(chance));
                (way == Way::Isolate).then_some(index)
            }
            Fault::Etcd(which, way) => {
                let index = self.member(which, chance);
                self.suffer_member(index, way, way.duration(chance));
                None
            }
            Fault::Workers => {
                let index = (0..3).max_by_key(|index| connected[*index]).unwrap();
                self.partition_from_workers(index);
                thread::sleep(Way::Partition.duration(chance));
                self.heal();
                Some(index)
            }
        };
        let until = millis();
        self.wait_until_well();
        let cut = cut.map(|coordinator| Cut { coordinator, workers: connected[coordinator], from, until });
        Suffered { fault, from, until, well: begun.elapsed(), cut }
    }

    fn suffer_coordinator(&mut self, index: usize, way: Way, time: Duration) {
        let running = &mut self.machines[index].running;
        match way {
            Way::Kill => {
                // Its socket stays, as after a real kill.
                running.signal("KILL");
                running.end();
                thread::sleep(time);
                self.restart(index);
            }
            Way::Pause => {
                running.signal("STOP");
                thread::sleep(time);
                running.signal("CONT");
            }
            Way::Partition | Way::Isolate => {
                self.partition_from_etcd(index);
                if way == Way::Isolate {
                    self.partition_from_workers(index);
                }
                thread::sleep(time);
                self.heal();
            }
        }
    }

    fn suffer_member(&mut self, index: usize, way: Way, time: Duration) {
        match way {
            Way::Kill => {
                self.etcd.kill(index);
                thread::sleep(time);
                self.etcd.start_all().unwrap();
            }
            Way::Pause => {
                self.etcd.signal(index, "STOP").unwrap();
                thread::sleep(time);
                self.etcd.signal(index, "CONT").unwrap();
            }
            Way::Partition | Way::Isolate => {
                self.partition_from_peers(index);
                if way == Way::Isolate {
                    self.partition_from_coordinators(index);
                }
                thread::sleep(time);
                self.heal();
            }
        }
    }
}

/// The time, as payloads have it.
pub(super) fn millis() -> u64 {
    u64::try_from(now().as_millis()).unwrap()
}

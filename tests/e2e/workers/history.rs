//! What workloads read at all workers during a test with several coordinators, and a check of it.

use std::collections::BTreeMap;
use std::time::Duration;

/// One look at one credential at one worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    /// From before the look, in milliseconds since 1970.
    pub(crate) at: u128,
    pub(crate) worker: &'static str,
    pub(crate) instance: &'static str,
    pub(crate) number: u64,
    /// In milliseconds since 1970.
    pub(crate) until: u128,
}

/// What a service saw of one instance, and what was kept of it.
#[derive(Debug, Clone)]
pub(crate) struct Obtains {
    pub(crate) instance: &'static str,
    /// When each call began, from the first one.
    pub(crate) began: Vec<Duration>,
    /// The revision of the last lease, which is the number of those that were saved.
    pub(crate) revision: u64,
}

/// A whole test.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) reads: Vec<Read>,
    pub(crate) obtains: Vec<Obtains>,
    /// Between two calls of an instance that succeed.
    pub(crate) pace: Duration,
    /// How often another term of a leader began.
    pub(crate) takeovers: usize,
    /// The number of the newest credential of each instance, which every worker has at the end.
    pub(crate) newest: BTreeMap<&'static str, u64>,
    pub(crate) workers: Vec<&'static str>,
    /// The least number of different credentials that each worker has read of each instance: with fewer, the test saw too little.
    pub(crate) least: usize,
}

impl History {
    /// Everything that should not have been, in words.
    pub(crate) fn violations(&self) -> Vec<String> {
        [self.expired(), self.gone_back(), self.needless(), self.at_the_end()].concat()
    }

    fn expired(&self) -> Vec<String> {
        let expired = self.reads.iter().filter(|read| read.until < read.at);
        expired.map(|read| format!("expired {} ms ago: {read:?}", read.at - read.until)).collect()
    }

    fn gone_back(&self) -> Vec<String> {
        let mut last: BTreeMap<_, u64> = BTreeMap::new();
        let mut found = Vec::new();
        for read in &self.reads {
            let before = last.insert((read.worker, read.instance), read.number);
            if let Some(before) = before.filter(|before| *before > read.number) {
                found.push(format!("went back from {before}: {read:?}"));
            }
        }
        found
    }

    /// A takeover may repeat one call: that of the leader that ended meanwhile.
    fn needless(&self) -> Vec<String> {
        let mut found = Vec::new();
        for Obtains { instance, began, revision } in &self.obtains {
            let saved = usize::try_from(*revision).unwrap();
            if began.len() > saved + self.takeovers {
                found.push(format!(
                    "{instance}: {} calls for {saved} leases and {} takeovers",
                    began.len(),
                    self.takeovers
                ));
            }
            let early = began.windows(2).filter(|two| two[1].saturating_sub(two[0]) < self.pace * 9 / 10).count();
            if early > self.takeovers {
                found.push(format!("{instance}: {early} early calls in {} takeovers", self.takeovers));
            }
        }
        found
    }

    fn at_the_end(&self) -> Vec<String> {
        let mut seen: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for read in &self.reads {
            let numbers = seen.entry((read.worker, read.instance)).or_default();
            if numbers.last() != Some(&read.number) {
                numbers.push(read.number);
            }
        }
        let mut found = Vec::new();
        for worker in &self.workers {
            for (instance, newest) in &self.newest {
                let numbers = seen.get(&(*worker, *instance)).map(Vec::as_slice).unwrap_or_default();
                if numbers.last() != Some(newest) {
                    found.push(format!("{worker} ends with {:?} of {instance}, not {newest}", numbers.last()));
                }
                if numbers.len() < self.least {
                    found.push(format!("{worker} has read only {} credentials of {instance}", numbers.len()));
                }
            }
        }
        found
    }
}

fn good() -> History {
    let read = |at, worker, number| Read { at, worker, instance: "a", number, until: at + 10 };
    History {
        reads: vec![read(1, "one", 1), read(2, "two", 2), read(3, "one", 3), read(4, "two", 3)],
        // The third call was the last of a leader that was killed.
        obtains: vec![Obtains { instance: "a", began: [0, 2, 3, 5].map(Duration::from_secs).to_vec(), revision: 3 }],
        pace: Duration::from_secs(2),
        takeovers: 1,
        newest: BTreeMap::from([("a", 3)]),
        workers: vec!["one", "two"],
        least: 2,
    }
}

/// A violation that a history is given.
type Plant = fn(&mut History);

#[test]
fn history_check_detects_planted_violations() {
    assert_eq!(good().violations(), [""; 0]);
    let plants: [(&str, Plant); 8] = [
        ("expired 1 ms ago", |history| history.reads[1].until = 1),
        ("went back from 2", |history| history.reads[3].number = 1),
        ("4 calls for 2 leases", |history| history.obtains[0].revision = 2),
        ("4 calls for 3 leases and 0 takeovers", |history| history.takeovers = 0),
        ("2 early calls in 1 takeovers", |history| history.obtains[0].began[3] = Duration::from_secs(4)),
        ("two ends with Some(3) of a, not 4", |history| *history.newest.get_mut("a").unwrap() = 4),
        ("three ends with None of a", |history| history.workers.push("three")),
        ("one has read only 2 credentials", |history| history.least = 3),
    ];
    for (what, plant) in plants {
        let mut history = good();
        plant(&mut history);
        let found = history.violations();
        assert!(found.iter().any(|found| found.contains(what)), "{what}: {found:?}");
    }
}

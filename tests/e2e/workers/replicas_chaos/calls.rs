//! Which calls of a service were needless: a takeover may repeat one call of each instance, that of the leader that ended. All
//! times are in milliseconds since 1970.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// For how long after a takeover a call of the former leader may begin: one that was paused may send what it was about to when
/// it wakes up.
const LATE: u64 = 4000;

/// What a service saw of one instance, and what was kept of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Obtains {
    pub(super) instance: String,
    /// When each call began. The first one brought the credential with the number 1.
    pub(super) began: Vec<u64>,
    /// The revision of the last lease, which is the number of those that were saved.
    pub(super) revision: u64,
}

/// The calls whose leases were saved, as far as it is known.
#[derive(Default)]
struct Saved {
    calls: BTreeSet<usize>,
    /// Between which two calls with saved leases others were not saved, and how many.
    unsaved: Vec<(usize, usize, usize)>,
}

impl Saved {
    /// Of leases that were read: the number of the credential by the revision.
    fn new(leases: &BTreeMap<u64, u64>) -> Self {
        let (mut saved, mut last) = (Self::default(), (0, 0));
        for (revision, number) in leases {
            let [revision, number] = [*revision, *number].map(|number| usize::try_from(number).unwrap());
            let (calls, leases) = (number.saturating_sub(last.1), revision - last.0);
            match calls.saturating_sub(leases) {
                0 => saved.calls.extend(last.1 + 1..number),
                unsaved => saved.unsaved.push((last.1, number, unsaved)),
            }
            saved.calls.insert(number);
            last = (revision, number);
        }
        saved
    }
}

impl Obtains {
    /// What should not have been, in words.
    pub(super) fn needless(&self, leases: &BTreeMap<u64, u64>, takeovers: &[u64], pace: u64) -> Vec<String> {
        let Self { instance, began, revision } = self;
        let (calls, repeatable) = (began.len() as u64, takeovers.len() as u64);
        let mut found = Vec::new();
        if calls > revision + repeatable {
            found.push(format!("{instance}: {calls} calls for {revision} leases and {repeatable} takeovers"));
        }
        if let Some(number) = leases.values().find(|number| **number > calls) {
            found.push(format!("{instance}: credential {number} is of no call"));
            return found;
        }
        let saved = Saved::new(leases);
        let mut charged = BTreeSet::new();
        for (before, after, unsaved) in saved.unsaved {
            let from = self.at(before.max(1)).saturating_sub(LATE);
            let of_these = takeovers.iter().filter(|takeover| (from..=self.at(after)).contains(*takeover));
            let free: Vec<u64> = of_these.filter(|takeover| !charged.contains(*takeover)).copied().collect();
            if free.len() < unsaved {
                let free = free.len();
                found.push(format!(
                    "{instance}: {unsaved} calls between {before} and {after} were not saved, with {free} takeovers"
                ));
            }
            charged.extend(free.into_iter().take(unsaved));
        }
        for call in 2..=began.len() {
            let after = self.at(call).saturating_sub(self.at(call - 1));
            // The test's service lets some milliseconds pass.
            if after < pace * 9 / 10 && [call - 1, call].iter().all(|call| saved.calls.contains(call)) {
                found.push(format!("{instance}: call {call} began {after} ms after one whose lease was saved"));
            }
        }
        found
    }

    fn at(&self, call: usize) -> u64 {
        self.began[call - 1]
    }
}

//! What could not be saved: it is saved again after the delay that was given, and a lease of it is published in the last tenth
//! of the life of the lease before it, no sooner and no later.

use std::collections::BTreeMap;

use deputy_core::schedule::{InstanceActivity, InstanceSnapshot, Lease, LeaseRecord};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{Digest, InstanceName, Revision, Span, Timestamp};

/// The last part of a lease's life, in which it is about to expire: one tenth.
const LAST_PART: u64 = 10;

#[derive(Default)]
pub(crate) struct Saves {
    /// What was to be written last, and may not be.
    failed: BTreeMap<InstanceName, Failed>,
    written: BTreeMap<InstanceName, Option<Written>>,
    /// Leases that are given out and not saved.
    unsaved: BTreeMap<InstanceName, Revision>,
}

struct Failed {
    record: Option<Written>,
    /// When it is written again at the earliest.
    again: MonotonicTime,
}

/// What tells a record from another one of its instance.
#[derive(PartialEq, Eq, Clone)]
struct Written {
    revision: Revision,
    lease: Option<Revision>,
    retired: Vec<(Revision, Timestamp)>,
    removed: Option<Timestamp>,
    passed: Option<Digest>,
    revoked: Option<Digest>,
}

fn written(record: &LeaseRecord) -> Written {
    Written {
        revision: record.revision,
        lease: record.lease.as_ref().map(|lease| lease.revision),
        retired: record.retired.iter().map(|retired| (retired.lease.revision, retired.revoke_at)).collect(),
        removed: record.removed,
        passed: record.passed,
        revoked: record.revoked,
    }
}

/// When the last part of a lease's life begins.
fn last_part(lease: &Lease) -> Timestamp {
    let life = lease.valid_until.since(lease.obtained_at);
    lease.valid_until.minus(Span::millis(life.as_millis() / LAST_PART))
}

impl Saves {
    /// A record is written, or deleted.
    pub(crate) fn begins(&mut self, name: &InstanceName, record: Option<&LeaseRecord>, is_up: bool, now: Now) {
        let record = record.map(written);
        if let Some(failed) = self.failed.get_mut(name) {
            let is_same = is_up && failed.record == record;
            assert!(!is_same || now.mono >= failed.again, "{name} is saved again before {:?}", failed.again);
            failed.again = MonotonicTime::default(); // what is written now is another thing, or failed again
        }
        self.written.insert(name.clone(), record);
    }

    pub(crate) fn failed(&mut self, name: &InstanceName, wait: Span, now: Now) {
        let in_bounds = wait >= Span::millis(500) && wait <= Span::secs(15);
        assert!(in_bounds, "{name} is saved again after {wait}");
        let record = self.written.get(name).cloned().flatten();
        self.failed.insert(name.clone(), Failed { record, again: now.mono.plus(wait) });
    }

    pub(crate) fn succeeded(&mut self, name: &InstanceName) {
        self.failed.remove(name);
        self.unsaved.remove(name);
    }

    /// A lease is about to be published that could not be saved.
    pub(crate) fn published(&mut self, name: &InstanceName, revision: Revision, last: Option<&Lease>, now: Now) {
        if let Some(last) = last.filter(|last| last.is_valid(now.wall)) {
            assert!(now.wall >= last_part(last), "{name}'s lease is published unsaved, and the last one is good");
        }
        self.unsaved.insert(name.clone(), revision);
    }

    /// An instance that is configured; `held` is what it saved last, or tried to save, and `is_written` says whether it does
    /// now.
    pub(crate) fn look(
        &self,
        view: &InstanceSnapshot<'_>,
        held: Option<&Lease>,
        given: Option<&Lease>,
        is_written: impl Fn(&InstanceName) -> bool,
        now: Now,
    ) {
        let name = view.name;
        assert!(view.unsaved.is_none() || self.failed.contains_key(name), "{name} is said to be unsaved, and is not");
        let is_unsaved = given.is_some_and(|lease| self.unsaved.get(name) == Some(&lease.revision));
        assert_eq!(view.published_unsaved, is_unsaved, "{name}'s lease is published unsaved, or said to be");
        let waits = matches!(view.activity, InstanceActivity::Saving(1..)) && !is_written(name);
        let Some(held) = held.filter(|lease| waits && lease.is_valid(now.wall)) else { return };
        match given.filter(|lease| lease.is_valid(now.wall)) {
            Some(lease) if lease.revision == held.revision => {}
            Some(lease) => {
                assert!(now.wall < last_part(lease), "{name}'s lease ends, and the next one waits for a disk")
            }
            None => panic!("{name} has a lease, which waits for a disk"),
        }
    }
}

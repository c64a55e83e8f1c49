//! Whether a clock that was set is noticed: it is reported at the next event, and no lease that was obtained under the
//! old reading is relied on.

use std::collections::BTreeMap;

use deputy_core::schedule::{Lease, LeaseOrigin};
use deputy_core::time::Now;
use deputy_core::{InstanceName, Revision, Span};

/// Smaller differences between the clocks are drift.
const TOLERANCE: u64 = 2000;

#[derive(Default)]
pub(crate) struct Jumps {
    last: Option<Now>,
    expected: Option<i64>,
    reported: Option<i64>,
    /// Leases that were held when the clock was set back.
    distrusted: BTreeMap<InstanceName, Revision>,
}

impl Jumps {
    /// An event is handled now.
    pub(crate) fn look(&mut self, now: Now, published: &BTreeMap<InstanceName, Lease>) {
        self.expected = None;
        self.reported = None;
        if let Some(last) = self.last {
            let expected = last.wall.plus(now.mono.since(last.mono)).as_millis();
            let by = i64::try_from(now.wall.as_millis()).unwrap() - i64::try_from(expected).unwrap();
            self.expected = (by.unsigned_abs() >= TOLERANCE).then_some(by);
            if self.expected.is_some_and(|by| by < 0) {
                let held = published.iter().filter(|(_, lease)| lease.origin == LeaseOrigin::Component);
                self.distrusted.extend(held.map(|(name, lease)| (name.clone(), lease.revision)));
            }
        }
        self.last = Some(now);
    }

    pub(crate) fn reported(&mut self, by: i64) {
        self.reported = Some(by);
    }

    /// Whether a jump shows with this event.
    pub(crate) fn is_seen(&self) -> bool {
        self.expected.is_some()
    }

    /// Nothing is left that would know the numbers of an instance.
    pub(crate) fn lost(&mut self, name: &InstanceName) {
        self.distrusted.remove(name);
    }

    /// All that followed from the event was done.
    pub(crate) fn handled(&self) {
        assert_eq!(self.reported, self.expected, "a jump of the clock was reported, and another one happened");
    }

    /// An instance rests with this lease.
    pub(crate) fn rests(&self, name: &InstanceName, lease: &Lease, now: Now) {
        let distrusted = self.distrusted.get(name) == Some(&lease.revision);
        assert!(!distrusted, "{name} rests with a lease that it held when the clock was set back");
        let latest = now.wall.plus(Span::millis(TOLERANCE));
        let future = lease.origin == LeaseOrigin::Component && lease.obtained_at > latest;
        assert!(!future, "{name} rests with a lease that it obtained in the future");
    }
}

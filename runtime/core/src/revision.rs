//! What identifies a lease of an instance.

#![deny(missing_docs)]

use std::collections::BTreeMap;
use std::fmt;

use crate::InstanceName;
use crate::time::Timestamp;

/// The number of a lease of one instance. Each new lease has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// Identifies a lease of an instance. The revision alone does not: if the coordinator's record was damaged, revisions
/// start again at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseVersion {
    /// The number of the lease.
    pub revision: Revision,
    /// When it was obtained.
    pub obtained_at: Timestamp,
}

impl LeaseVersion {
    /// Whether it comes before another lease of its instance. Its number alone does not say so: a coordinator that lost its
    /// state starts again at 1, with leases that it obtained later.
    pub fn is_older_than(self, other: Self) -> bool {
        self.revision < other.revision && self.obtained_at <= other.obtained_at
    }
}

/// The newest lease that a worker was given of each instance, also of one that was withdrawn. A coordinator that was replaced
/// and does not know it yet offers older ones.
#[derive(Debug, Default)]
pub struct NewestLeases(BTreeMap<InstanceName, LeaseVersion>);

impl NewestLeases {
    /// Whether to take a lease, which is then the newest: unless it is older.
    pub fn take(&mut self, instance: &InstanceName, version: LeaseVersion) -> bool {
        if self.0.get(instance).is_some_and(|newest| version.is_older_than(*newest)) {
            return false;
        }
        self.0.insert(instance.clone(), version);
        true
    }

    /// Forgets instances.
    pub fn retain(&mut self, is_kept: impl Fn(&InstanceName) -> bool) {
        self.0.retain(|instance, _| is_kept(instance));
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(revision: u64, obtained: u64) -> LeaseVersion {
        LeaseVersion { revision: Revision(revision), obtained_at: Timestamp::from_millis(obtained) }
    }

    #[test]
    fn newest_lease_is_not_replaced_by_an_older_one() {
        let name: InstanceName = "a".parse().unwrap();
        let mut newest = NewestLeases::default();
        let offered = [(7, 700), (8, 800), (7, 700), (8, 800), (9, 750), (8, 750), (1, 900), (9, 750), (2, 901)];
        let taken = offered.map(|(revision, obtained)| newest.take(&name, version(revision, obtained)));
        assert_eq!(taken, [true, true, false, true, true, false, true, true, true]);
        newest.retain(|_| false);
        assert!(newest.take(&name, version(1, 1)), "it has no memory of an instance that is gone");
    }
}

//! How many users each instance has: workers of this coordinator, and those of the others on the same state.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::InstanceName;

#[derive(Default)]
pub(crate) struct InstanceUsers {
    own: BTreeMap<InstanceName, u32>,
    /// Instances that workers of other coordinators use.
    others: BTreeSet<InstanceName>,
}

impl InstanceUsers {
    /// Takes the number of this coordinator's workers. Returns the number of all.
    pub(crate) fn count_own(&mut self, instance: &InstanceName, count: u32) -> u32 {
        match count {
            0 => self.own.remove(instance),
            count => self.own.insert(instance.clone(), count),
        };
        self.count(instance)
    }

    /// Takes whether workers of other coordinators use an instance. Returns the number of all: those of others count as one.
    pub(crate) fn note_others(&mut self, instance: &InstanceName, is_used: bool) -> u32 {
        match is_used {
            true => self.others.insert(instance.clone()),
            false => self.others.remove(instance),
        };
        self.count(instance)
    }

    fn count(&self, instance: &InstanceName) -> u32 {
        let others = u32::from(self.others.contains(instance));
        self.own.get(instance).copied().unwrap_or_default().saturating_add(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_other_coordinators_count_as_one() {
        let name = "s3".parse().unwrap();
        let mut users = InstanceUsers::default();
        assert_eq!(users.note_others(&name, true), 1);
        assert_eq!(users.count_own(&name, 3), 4);
        assert_eq!(users.note_others(&name, false), 3);
        assert_eq!(users.count_own(&name, 0), 0);
    }
}

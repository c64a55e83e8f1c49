//! Whether the places for calls are shared fairly: an upstream leaves as many to others as it has, an eighth is reserved for
//! leases that are at risk and divided by the same rule, and no place that may be taken is left free.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::InstanceName;
use deputy_core::schedule::{
    InstanceActivity, InstanceSnapshot, Lease, LeaseOrigin, LeaseRecord, ScheduleConfig, ScheduledCallId, UpstreamName,
};

/// With fewer places, none are reserved.
const FEWEST: usize = 16;

#[derive(Default)]
pub(crate) struct Places {
    taken: BTreeMap<ScheduledCallId, Taken>,
    /// Instances that were there before the configuration that comes now.
    pub(crate) known: BTreeSet<InstanceName>,
    /// There was a lease in this process, or perhaps.
    leases: bool,
    perhaps: bool,
    /// There are several upstreams, or perhaps: what was removed may still be there.
    several: bool,
    perhaps_several: bool,
}

struct Taken {
    upstream: UpstreamName,
    is_reserved: bool,
}

/// Free places of one kind, and how many of the others its upstream has.
struct Free {
    free: usize,
    own: usize,
}

impl Places {
    /// Another configuration; the upstreams of all instances that are there now.
    pub(crate) fn configured<'a>(
        &mut self,
        configuration: &ScheduleConfig,
        upstreams: impl Iterator<Item = &'a UpstreamName>,
    ) {
        let own: BTreeSet<_> = configuration.plans.values().map(|plan| &plan.upstream).collect();
        let all: BTreeSet<_> = upstreams.collect();
        self.several = own.len() > 1;
        self.perhaps_several = all.len() > 1 || !self.known.iter().all(|name| configuration.plans.contains_key(name));
    }

    pub(crate) fn published(&mut self, name: &InstanceName, lease: &Lease, reconfigured: bool) {
        let is_restored = reconfigured && !self.known.contains(name);
        self.leases |= lease.origin == LeaseOrigin::Component || is_restored;
    }

    pub(crate) fn saved(&mut self, record: &LeaseRecord) {
        self.perhaps |= record.lease.is_some();
    }

    /// A call begins.
    pub(crate) fn call(
        &mut self,
        call: ScheduledCallId,
        name: &InstanceName,
        upstream: &UpstreamName,
        at_risk: bool,
        configuration: &ScheduleConfig,
    ) {
        let general = self.free(false, self.leases, upstream, configuration);
        let is_general = if self.several { general.own < general.free } else { general.free > 0 };
        if !is_general {
            let reserved = self.free(true, self.leases || self.perhaps, upstream, configuration);
            let is_left = if self.several { reserved.own < reserved.free } else { reserved.free > 0 };
            assert!(
                at_risk && is_left,
                "{name} is called, and {upstream} has {} calls and leaves {} places, and {} of {} for leases at risk",
                general.own,
                general.free,
                reserved.own,
                reserved.free,
            );
        }
        self.taken.insert(call, Taken { upstream: upstream.clone(), is_reserved: !is_general });
    }

    pub(crate) fn ended(&mut self, call: ScheduledCallId) {
        self.taken.remove(&call);
    }

    /// What waits for a place alone finds none.
    pub(crate) fn look(&self, view: &InstanceSnapshot<'_>, at_risk: bool, configuration: &ScheduleConfig) {
        if view.activity != InstanceActivity::Waiting(None) {
            return;
        }
        let upstream = &view.plan.upstream;
        let free = self.free(false, self.leases || self.perhaps, upstream, configuration);
        let several = self.several || self.perhaps_several;
        let is_left = |free: &Free| if several { free.own < free.free } else { free.free > 0 };
        assert!(!is_left(&free), "{} waits, and {} places are free", view.name, free.free);
        let reserved = self.free(true, self.leases, upstream, configuration);
        let is_kept = at_risk && is_left(&reserved);
        assert!(!is_kept, "{}'s lease is at risk, and {} places are free for it", view.name, reserved.free);
    }

    fn free(&self, reserved: bool, leases: bool, upstream: &UpstreamName, configuration: &ScheduleConfig) -> Free {
        let limit = configuration.calls.max(1);
        let reserve = if leases && limit >= FEWEST { limit / 8 } else { 0 };
        let of_kind = if reserved { reserve } else { limit - reserve };
        let all = self.taken.values().filter(|taken| taken.is_reserved == reserved);
        let own = all.clone().filter(|taken| taken.upstream == *upstream).count();
        let left = limit.saturating_sub(self.taken.len());
        Free { free: of_kind.saturating_sub(all.count()).min(left), own }
    }
}

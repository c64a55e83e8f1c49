//! Whether the places for calls are shared fairly: an upstream leaves as many to others as it has, and an eighth is
//! reserved for leases that are at risk.

use std::collections::BTreeMap;

use deputy_core::InstanceName;
use deputy_core::schedule::{Lease, LeaseOrigin, ScheduleConfig, ScheduledCallId, UpstreamName};

/// With fewer places, none are reserved.
const FEWEST: usize = 16;

#[derive(Default)]
pub(crate) struct Places {
    taken: BTreeMap<ScheduledCallId, Taken>,
    /// There was a lease in this process.
    leases: bool,
}

struct Taken {
    upstream: UpstreamName,
    at_risk: bool,
}

impl Places {
    pub(crate) fn published(&mut self, lease: &Lease) {
        self.leases |= lease.origin == LeaseOrigin::Component;
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
        let limit = configuration.calls.max(1);
        let reserved = if limit >= FEWEST { limit / 8 } else { 0 };
        let reserved = if self.leases { reserved } else { 0 };
        // Calls for leases at risk may have taken reserved places, which are divided by themselves.
        let counted = |taken: &&Taken| reserved == 0 || !taken.at_risk;
        let all = self.taken.values().filter(counted).count();
        let own = self.taken.values().filter(counted).filter(|taken| taken.upstream == *upstream).count();
        let free = (limit - reserved).saturating_sub(all);
        let plans = configuration.plans.values();
        let several = plans.map(|plan| &plan.upstream).any(|other| other != upstream);
        assert!(
            !several || at_risk && reserved > 0 || own < free,
            "{name} is called, and {upstream} has {own} calls and leaves {free} places"
        );
        let kept = at_risk || free > 0;
        assert!(kept, "{name} takes a place that is reserved for leases at risk");
        self.taken.insert(call, Taken { upstream: upstream.clone(), at_risk });
    }

    pub(crate) fn ended(&mut self, call: ScheduledCallId) {
        self.taken.remove(&call);
    }
}

//! The places for concurrent calls, and how upstreams share them.
//!
//! A service that hangs holds the places of its calls until the limits end them. So an upstream has at most as many
//! running calls as there are free places: one that hangs takes half of them, the next one half of the rest, and a further
//! upstream still finds a free place. A single upstream has all places.
//!
//! An eighth of the places is reserved for instances whose lease is at risk, if there are [`FEWEST`] places and a lease. The
//! same rule divides the reserved places.

use std::collections::BTreeMap;

use crate::schedule::budget::UpstreamName;

/// With fewer places, none is reserved: other calls need each of them.
const FEWEST: usize = 16;

/// One place in this number is reserved.
const PART: usize = 8;

/// The kind of place that a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schedule) enum Admission {
    General,
    /// Reserved for leases at risk.
    Reserved,
}

#[derive(Debug)]
pub(in crate::schedule) struct Shares {
    limit: usize,
    /// Whether there are several upstreams.
    divided: bool,
    /// Whether there is a lease to renew in time.
    leases: bool,
    general: usize,
    reserved: usize,
    taken: BTreeMap<UpstreamName, Taken>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    general: usize,
    reserved: usize,
}

impl Shares {
    pub(in crate::schedule) fn new() -> Self {
        Self { limit: 1, divided: false, leases: false, general: 0, reserved: 0, taken: BTreeMap::new() }
    }

    /// `limit` is the number of concurrent calls, at least 1; `divided` says that several upstreams share them.
    pub(in crate::schedule) fn configure(&mut self, limit: usize, divided: bool) {
        self.limit = limit.max(1);
        self.divided = divided;
    }

    /// There is a lease to renew in time from now on.
    pub(in crate::schedule) fn reserve_for_leases(&mut self) {
        self.leases = true;
    }

    pub(in crate::schedule) fn take(&mut self, upstream: &UpstreamName, admission: Admission) {
        let taken = self.taken.entry(upstream.clone()).or_default();
        match admission {
            Admission::General => {
                self.general += 1;
                taken.general += 1;
            }
            Admission::Reserved => {
                self.reserved += 1;
                taken.reserved += 1;
            }
        }
    }

    pub(in crate::schedule) fn release(&mut self, upstream: &UpstreamName, admission: Admission) {
        let Some(taken) = self.taken.get_mut(upstream) else { return };
        match admission {
            Admission::General => {
                self.general = self.general.saturating_sub(1);
                taken.general = taken.general.saturating_sub(1);
            }
            Admission::Reserved => {
                self.reserved = self.reserved.saturating_sub(1);
                taken.reserved = taken.reserved.saturating_sub(1);
            }
        }
        if taken.general == 0 && taken.reserved == 0 {
            self.taken.remove(upstream);
        }
    }

    pub(super) fn has_place(&self, admission: Admission) -> bool {
        self.free(admission) > 0
    }

    /// Whether an upstream may take another place of this kind.
    pub(super) fn admits(&self, upstream: &UpstreamName, admission: Admission) -> bool {
        let taken = self.taken.get(upstream).copied().unwrap_or_default();
        let taken = match admission {
            Admission::General => taken.general,
            Admission::Reserved => taken.reserved,
        };
        let free = self.free(admission);
        if self.divided { taken < free } else { free > 0 }
    }

    fn free(&self, admission: Admission) -> usize {
        let all = self.limit.saturating_sub(self.general + self.reserved);
        match admission {
            Admission::General => (self.limit - self.reserve()).saturating_sub(self.general).min(all),
            Admission::Reserved => self.reserve().saturating_sub(self.reserved).min(all),
        }
    }

    fn reserve(&self) -> usize {
        if self.leases && self.limit >= FEWEST { self.limit / PART } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(text: &str) -> UpstreamName {
        text.parse().unwrap()
    }

    fn shares(limit: usize, divided: bool) -> Shares {
        let mut shares = Shares::new();
        shares.configure(limit, divided);
        shares
    }

    /// Takes all places that the upstream may have.
    fn fill(shares: &mut Shares, text: &str, admission: Admission) -> usize {
        let mut taken = 0;
        while shares.admits(&upstream(text), admission) {
            shares.take(&upstream(text), admission);
            taken += 1;
        }
        taken
    }

    #[test]
    fn shares_leave_places_to_others_while_one_upstream_hangs() {
        let mut shares = shares(32, true);
        let taken = ["a", "b", "c", "d", "e"].map(|text| fill(&mut shares, text, Admission::General));
        assert_eq!(taken, [16, 8, 4, 2, 1]);
        assert_eq!(fill(&mut shares, "f", Admission::General), 1);
        assert!(!shares.has_place(Admission::General));
    }

    #[test]
    fn shares_give_a_freed_place_to_the_upstream_with_fewest() {
        let mut shares = shares(4, true);
        assert_eq!(["a", "b", "c"].map(|text| fill(&mut shares, text, Admission::General)), [2, 1, 1]);
        shares.release(&upstream("a"), Admission::General);
        assert!(!shares.admits(&upstream("a"), Admission::General));
        assert!(shares.admits(&upstream("d"), Admission::General));
    }

    #[test]
    fn shares_give_a_single_upstream_all_places() {
        assert_eq!(fill(&mut shares(32, false), "a", Admission::General), 32);
        assert_eq!(fill(&mut shares(1, true), "a", Admission::General), 1);
    }

    #[test]
    fn shares_keep_an_eighth_for_leases_at_risk_and_divide_it() {
        let mut shares = shares(32, true);
        assert_eq!(fill(&mut shares, "a", Admission::Reserved), 0, "there is no lease yet");
        shares.reserve_for_leases();
        while shares.has_place(Admission::General) {
            shares.take(&upstream("a"), Admission::General);
        }
        assert_eq!(["a", "b", "c"].map(|text| fill(&mut shares, text, Admission::Reserved)), [2, 1, 1]);
        assert_eq!(fill(&mut shares, "d", Admission::Reserved), 0);
        shares.configure(8, true);
        assert!(!shares.has_place(Admission::General) && !shares.has_place(Admission::Reserved));
    }
}

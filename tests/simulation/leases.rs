//! What is kept for each instance: leases live as long as the service and the configuration say, and whatever is to be
//! revoked is, or ends first, or is reported.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{
    ASSUMED_LIFETIME, CallOutcome, ConfigFingerprint, InstancePlan, Lease, LeaseOrigin, LeaseRecord, MOST_RETIRED,
    NotRevoked, ProviderCall, RetiredLease, Switch,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Revision, Span, Timestamp, TokenExpiry, Tokens};

use crate::service::{number, payload};

#[derive(Default)]
pub(crate) struct Leases {
    /// What this process restored, or saved last.
    known: BTreeMap<InstanceName, LeaseRecord>,
    /// The last answer of each instance with tokens.
    brought: BTreeMap<InstanceName, Brought>,
    /// Tokens that are neither held nor retired yet: the number of the payload, and until when they are valid.
    late: BTreeMap<InstanceName, BTreeMap<u64, Timestamp>>,
    /// Leases that were revoked, or reported as given up.
    settled: BTreeSet<(InstanceName, Revision)>,
    /// Tokens of calls that were given up, and that the configuration leaves to expire.
    unwanted: BTreeMap<InstanceName, BTreeSet<u64>>,
    /// The last revocation that failed, when there is another, and what was to be revoked beside it.
    failed: BTreeMap<InstanceName, (Revision, MonotonicTime, BTreeSet<Revision>)>,
    /// The clock was set, so what is due by it is another matter.
    has_jumped: bool,
}

/// Tokens as they have to be saved.
struct Brought {
    payload: u64,
    /// The lease that the call renewed.
    renewed: Option<Lease>,
    obtained_at: Timestamp,
    /// `None` if the expiry that the service reported is past.
    valid_until: Option<Timestamp>,
}

/// Why a lease is no longer held.
pub(crate) struct Reasons {
    /// Payloads up to this number were revoked by an operator.
    pub(crate) revoked: u64,
    pub(crate) removed: bool,
    pub(crate) stopping: bool,
    /// There is another configuration just now.
    pub(crate) reconfigured: bool,
    /// What the instance held when it came back as another one.
    pub(crate) foreign: Option<Revision>,
    /// The configurations whose components revoke.
    pub(crate) able: BTreeSet<ConfigFingerprint>,
}

impl Reasons {
    /// Whether a lease that ended without a replacement is to be revoked.
    fn revokes(&self, plan: &InstancePlan, lease: &Lease) -> bool {
        let revoke = &plan.policy.revoke;
        if self.revoked >= payload(lease) {
            true
        } else if self.removed {
            revoke.removed.is_some()
        } else {
            (self.stopping && revoke.shutdown == Switch::Revoke) || revoke.replaced.is_some()
        }
    }
}

fn expected_end(
    plan: &InstancePlan,
    stated: Option<Timestamp>,
    obtained_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let most = plan.policy.lifetime.map(|life| obtained_at.plus(life));
    match (stated, most) {
        (Some(stated), most) if stated > now => Some(most.map_or(stated, |most| most.min(stated))),
        (_, Some(most)) => Some(most),
        (Some(_), None) => None,
        (None, None) => Some(obtained_at.plus(ASSUMED_LIFETIME)),
    }
}

impl Leases {
    pub(crate) fn record(&self, name: &InstanceName) -> Option<&LeaseRecord> {
        self.known.get(name)
    }

    /// The lease that an instance holds.
    pub(crate) fn held(&self, name: &InstanceName) -> Option<&Lease> {
        self.known.get(name)?.lease.as_ref()
    }

    pub(crate) fn restored(&mut self, name: &InstanceName, record: &LeaseRecord) {
        self.known.entry(name.clone()).or_insert_with(|| record.clone());
    }

    pub(crate) fn orphaned(&mut self, name: &InstanceName) {
        self.known.remove(name);
    }

    /// Retired leases that should have been revoked by now.
    pub(crate) fn overdue(&self, name: &InstanceName, now: Timestamp) -> Vec<Revision> {
        let retired = self.known.get(name).into_iter().flat_map(|record| &record.retired);
        let overdue = retired.filter(|retired| retired.revoke_at <= now && retired.lease.is_valid(now));
        overdue.map(|retired| retired.lease.revision).collect()
    }

    /// A call ended.
    pub(crate) fn finished(
        &mut self,
        name: &InstanceName,
        work: &ProviderCall,
        outcome: &CallOutcome,
        plan: &InstancePlan,
        began: MonotonicTime,
        now: Now,
    ) {
        let renewed = match work {
            ProviderCall::Revoke(lease) => {
                if !matches!(outcome, CallOutcome::Failed(..)) {
                    self.settled.insert((name.clone(), lease.revision));
                }
                return;
            }
            ProviderCall::Renew(lease) => Some(lease.clone()),
            ProviderCall::Obtain => None,
        };
        let CallOutcome::Obtained(tokens) = outcome else { return };
        let obtained_at = now.wall.minus(now.mono.since(began));
        let valid_until = expected_end(plan, stated(tokens), obtained_at, now.wall);
        let brought = Brought { payload: number(&tokens.payload), renewed, obtained_at, valid_until };
        self.brought.insert(name.clone(), brought);
    }

    /// A call brought tokens, which are held or revoked.
    pub(crate) fn came(
        &mut self,
        name: &InstanceName,
        outcome: &CallOutcome,
        plan: &InstancePlan,
        (wanted, unwanted): (bool, bool),
        now: Now,
    ) {
        let CallOutcome::Obtained(tokens) = outcome else { return };
        if unwanted {
            self.unwanted.entry(name.clone()).or_default().insert(number(&tokens.payload));
        }
        // The expiry is at most as early as this, whatever the call took and the service says.
        let most = plan.policy.lifetime.map(|life| now.wall.minus(Span::secs(120)).plus(life));
        let end = [stated(tokens), most].into_iter().flatten().min().unwrap_or(now.wall.plus(Span::secs(1800)));
        if wanted {
            self.late.entry(name.clone()).or_default().insert(number(&tokens.payload), end);
        }
    }

    pub(crate) fn jumped(&mut self) {
        self.has_jumped = true;
    }

    /// Nothing newer is to be had before the time that the service gave.
    pub(crate) fn is_no_rotation_before_its_time(&self, name: &InstanceName, plan: &InstancePlan, now: Now) {
        let held = self.held(name).filter(|lease| lease.origin == LeaseOrigin::Component && lease.is_valid(now.wall));
        let held = held
            .filter(|lease| !self.has_jumped && lease.obtained_at <= now.wall && lease.fingerprint == plan.fingerprint);
        let Some((lease, at)) =
            held.and_then(|lease| Some((lease, lease.next_at?.min(lease.valid_until).min(capped(plan, lease)))))
        else {
            return;
        };
        // The clock on the wall may go slower than the one for delays.
        let early = at.since(now.wall).as_millis();
        let allowed = at.since(lease.obtained_at).as_millis() / 20 + 2000;
        assert!(
            early <= allowed,
            "{name} is called {early} ms before {at}, when revision {} is outdated",
            lease.revision
        );
    }

    /// A revocation failed, and is repeated after `wait`.
    pub(crate) fn revocation_failed(&mut self, name: &InstanceName, revision: Revision, wait: Span, now: Now) {
        let retired = self.known.get(name).into_iter().flat_map(|record| &record.retired);
        let others = retired.filter(|retired| retired.revoke_at <= now.wall && retired.lease.revision != revision);
        let others = others.map(|retired| retired.lease.revision).collect();
        self.failed.insert(name.clone(), (revision, now.mono.plus(wait), others));
    }

    /// How long it is until the last revocation that failed is repeated.
    pub(crate) fn revokes_again_in(&self, name: &InstanceName, now: MonotonicTime) -> Span {
        self.failed.get(name).map_or(Span::millis(0), |(_, again, _)| again.since(now))
    }

    pub(crate) fn given_up(&mut self, name: &InstanceName, revision: Revision, why: NotRevoked) {
        let retired = self.known.get(name).into_iter().flat_map(|record| &record.retired);
        let this = retired.clone().find(|retired| retired.lease.revision == revision);
        if let (NotRevoked::TooMany, Some(this)) = (why, this) {
            let first = retired.map(|retired| retired.lease.valid_until).min();
            assert_eq!(Some(this.lease.valid_until), first, "{name} leaves a lease that others end before");
        }
        self.settled.insert((name.clone(), revision));
    }

    pub(crate) fn revoking(&mut self, name: &InstanceName, lease: &Lease, now: Now) {
        let retired = self.known.get(name).into_iter().flat_map(|record| &record.retired);
        if let Some((failed, again, others)) = self.failed.remove(name) {
            assert!(now.mono >= again, "{name}'s lease is revoked again before {again:?}");
            let due = retired.clone().filter(|retired| retired.revoke_at <= now.wall);
            let other = due.map(|retired| retired.lease.revision).find(|revision| others.contains(revision));
            assert!(failed != lease.revision || other.is_none(), "{name} revokes {failed} again, and not {other:?}");
        }
        let mut due = retired.filter(|retired| retired.revoke_at <= now.wall);
        let is_due = due.any(|retired| retired.lease.revision == lease.revision);
        assert!(is_due, "{name}'s lease is revoked before its time");
    }

    pub(crate) fn save(
        &mut self,
        name: &InstanceName,
        record: &LeaseRecord,
        plan: &InstancePlan,
        why: &Reasons,
        now: Timestamp,
    ) {
        let old = self.known.insert(name.clone(), record.clone()).unwrap_or_default();
        assert!(record.retired.len() <= MOST_RETIRED, "{name} keeps {} leases to revoke", record.retired.len());
        if let Some(unwanted) = self.unwanted.get(name) {
            let revoked = record.retired.iter().find(|retired| unwanted.contains(&payload(&retired.lease)));
            assert!(revoked.is_none(), "{name} revokes {revoked:?}, which it was to leave");
        }
        let held = old.lease.as_ref().map(|lease| lease.revision);
        if let Some(lease) = record.lease.as_ref().filter(|lease| Some(lease.revision) != held) {
            self.is_as_brought(name, lease, plan, &old);
        }
        if let Some(lease) = old.lease.as_ref()
            && record.lease.as_ref().map(|lease| lease.revision) != held
            && !is_of_other(lease, record, plan, &old)
        {
            self.is_retired(name, lease, record, plan, why, now);
        }
        for retired in &old.retired {
            self.is_kept(name, retired, record, plan, why, now);
        }
        if let Some(late) = self.late.get_mut(name) {
            let saved = record.retired.iter().map(|retired| &retired.lease).chain(&record.lease);
            saved.for_each(|lease| {
                late.remove(&payload(lease));
            });
        }
    }

    pub(crate) fn forget(&mut self, name: &InstanceName, plan: &InstancePlan, why: &Reasons, now: Timestamp) {
        if self.known.contains_key(name) {
            self.save(name, &LeaseRecord::default(), plan, why, now);
            self.at_rest(name, now);
        }
        self.known.remove(name);
    }

    /// What came late and has ended need not be revoked, also if the clock is set back later.
    pub(crate) fn late_ended(&mut self, name: &InstanceName, now: Timestamp) {
        if let Some(late) = self.late.get_mut(name) {
            late.retain(|_, end| *end > now);
        }
    }

    /// An instance is removed, and the configuration leaves to expire what it obtained.
    pub(crate) fn left(&mut self, name: &InstanceName) {
        self.late.remove(name);
    }

    /// Nothing is under way for an instance: what came late is on the way to be revoked.
    pub(crate) fn at_rest(&mut self, name: &InstanceName, now: Timestamp) {
        self.late_ended(name, now);
        let Some(late) = self.late.get_mut(name) else { return };
        let forgotten = late.keys().next();
        assert!(forgotten.is_none(), "{name} forgot that {forgotten:?} is to be revoked");
        late.clear();
    }

    fn is_as_brought(&self, name: &InstanceName, lease: &Lease, plan: &InstancePlan, old: &LeaseRecord) {
        if lease.origin == LeaseOrigin::File {
            return;
        }
        let brought = self.brought.get(name).filter(|brought| brought.payload == payload(lease));
        let Some(brought) = brought else { panic!("{name} holds a lease that no call brought") };
        let renewed = brought.renewed.as_ref();
        let issued_at = renewed.map_or(brought.obtained_at, |renewed| renewed.issued_at);
        assert_eq!(Some(lease.valid_until), brought.valid_until, "{name}'s lease ends at another time");
        assert_eq!(lease.obtained_at, brought.obtained_at, "{name}'s lease was obtained at another time");
        assert_eq!(lease.issued_at, issued_at, "{name}'s lease was issued at another time");
        let held = old.lease.as_ref().map(|held| held.fingerprint);
        let known = lease.fingerprint == plan.fingerprint || Some(lease.fingerprint) == held;
        assert!(known, "{name} holds what was obtained under another configuration");
    }

    /// A lease that is no longer held is to be revoked, if the configuration says so.
    fn is_retired(
        &self,
        name: &InstanceName,
        lease: &Lease,
        record: &LeaseRecord,
        plan: &InstancePlan,
        why: &Reasons,
        now: Timestamp,
    ) {
        let retired = record.retired.iter().find(|retired| retired.lease.revision == lease.revision);
        let brought = self.brought.get(name);
        let renewed = brought.and_then(|brought| brought.renewed.as_ref()).map(|renewed| renewed.revision);
        let new = record.lease.as_ref();
        if new.is_some_and(|new| brought.is_some_and(|brought| brought.payload == payload(new)))
            && renewed == Some(lease.revision)
        {
            assert!(retired.is_none(), "{name}'s lease was renewed, and is to be revoked");
            return;
        }
        let given_up = self.settled.contains(&(name.clone(), lease.revision));
        let is_foreign = why.foreign == Some(lease.revision);
        if lease.origin == LeaseOrigin::File || is_foreign || given_up || !why.able.contains(&lease.fingerprint) {
            return;
        }
        let revoked = why.revoked >= payload(lease);
        let grace = plan.policy.revoke.replaced.filter(|_| new.is_some() && !revoked);
        if let Some(grace) = grace.filter(|grace| lease.is_valid(now.plus(*grace))) {
            let at = retired.map(|retired| retired.revoke_at);
            let in_time = at == Some(now.plus(grace)) || (why.stopping && at == Some(now));
            assert!(in_time, "{name}'s lease was replaced, and is to be revoked at {at:?}");
        } else if lease.is_valid(now) && new.is_none() && !why.reconfigured && why.revokes(plan, lease) {
            let at = retired.map(|retired| retired.revoke_at);
            assert_eq!(at, Some(now), "{name}'s lease is taken back, and is to be revoked then");
        }
    }

    /// What was to be revoked still is, at the same time or sooner, or is done with.
    fn is_kept(
        &self,
        name: &InstanceName,
        old: &RetiredLease,
        record: &LeaseRecord,
        plan: &InstancePlan,
        why: &Reasons,
        now: Timestamp,
    ) {
        let revision = old.lease.revision;
        if let Some(new) = record.retired.iter().find(|retired| retired.lease.revision == revision) {
            assert!(new.revoke_at <= old.revoke_at, "{name}'s {revision} is revoked later than it was to be");
            let same = new.revoke_at == old.revoke_at;
            let sooner = new.revoke_at <= now && (record.lease.is_none() || why.revoked > 0);
            assert!(same || sooner, "{name}'s {revision} is revoked sooner than it was to be");
            return;
        }
        let left = (why.removed || why.reconfigured || why.foreign.is_some()) && plan.policy.revoke.removed.is_none();
        let done = left || !old.lease.is_valid(now) || self.settled.contains(&(name.clone(), revision));
        assert!(done, "{name}'s {revision} was to be revoked, and is forgotten");
    }
}

/// When tokens end by their service's own words.
fn stated(tokens: &Tokens) -> Option<Timestamp> {
    match tokens.expiry {
        TokenExpiry::At(at) => Some(at),
        TokenExpiry::Never => Some(Timestamp::FOREVER),
        TokenExpiry::Unknown => None,
    }
}

/// What a removed instance held ends as its configuration said then, if it comes back as another one.
fn is_of_other(lease: &Lease, record: &LeaseRecord, plan: &InstancePlan, old: &LeaseRecord) -> bool {
    old.removed.is_some() && record.lease.is_some() && lease.fingerprint != plan.fingerprint
}

/// When a lease is to be replaced at the latest, by the configured lifetime.
fn capped(plan: &InstancePlan, lease: &Lease) -> Timestamp {
    plan.policy.lifetime.map_or(Timestamp::FOREVER, |life| lease.obtained_at.plus(life))
}

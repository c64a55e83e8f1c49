//! The schedule: a pure state machine that keeps every lease alive.
//!
//! [`Schedule::handle`] takes one [`Event`] and a reading of the clocks, [`Schedule::next_action`] hands out what is to
//! be done, [`Schedule::wake_at`] says when to come back. It owns no timer, task, file or socket, and all chance comes
//! from one seed: so every rule has a test that needs no runtime, and whole histories are simulated and replayed.
//!
//! Each instance does one thing at a time: it rests, waits for its upstream's budget, is called, or is being saved. What
//! a call brought is saved first and published then. Instances know nothing of each other; they meet only in the queue,
//! where who was due first is called first.
//!
//! Expiry is told by the clock on the wall, delays by the one that only goes forward. A renewal is due by either, so that
//! a jump forward is noticed and a jump back delays nothing.
//!
//! # Rules
//!
//! Retries ([`delay`], `slot`):
//! - R1. The delay after a failure doubles from the floor up to `most`. While a lease is valid, it is at most a third of
//!   what is left of it.
//! - R2. When the lease ends, backoff begins anew: failures before the end don't count. From then on, no delay is longer
//!   than the last lease lived.
//! - R3. A service that asks for a delay gets it, at most an hour, and at most two thirds of what is left of a valid lease:
//!   there is a try before the end. Throttling without a delay, or with a short one, is backed off from like any failure.
//! - R4. A renewal that was throttled or not answered is tried as a renewal again; one that ran out of time is so once. Any
//!   other failure, and the second one of these, is followed by an obtain.
//!
//! Places and budgets (`queue`):
//! - Q1. Whoever is due first is called first, tokens before revocations.
//! - Q2. Where there are several upstreams, none has more calls under way than it leaves places to others.
//! - Q3. A lease is at risk when its instance has waited for a third of what was left of it. From 16 places on, an eighth
//!   is reserved for such instances, divided by the rule before.
//! - Q4. An account that is throttled goes at half its pace, and at half of that if calls that began a second later are
//!   throttled too, down to a 32nd of the budget. Answers to calls that began three seconds later make it faster again, and
//!   it doubles after each minute without another throttled call.
//! - Q5. A delay that the service asks for, up to `most`, pauses its account, and no other. Instances whose lease is at
//!   risk pass the pause.
//!
//! Leases (`ends`, `machine`):
//! - L1. An expiry that is not in the future is a failure, unless a lifetime is configured, which holds then.
//! - L2. After the clock was set back by two seconds or more, every lease that a component brought is due. So is one that
//!   was obtained in the future. After a jump forward, leases are as old as they look or younger.
//! - L3. A component is called for tokens no sooner than `interval` after the call began that brought the last ones, and
//!   no more than `per_hour` times in an hour, a fifth of them at once. An operator's wish is carried out in any case.
//!
//! Changes ([`detach`]):
//! - C1. A call for tokens that an operator, a reload or a removal makes useless is detached if the component revokes, and
//!   cancelled if it doesn't. What a detached call brings is revoked. An instance has one such call at most; the next one
//!   runs to its end before another is made.
//!   After two calls in a row that a reload made useless, the third runs to its end in any case.
//! - C2. A change of its configuration has an instance called at once, five times in a row and ten times a minute; else
//!   later. No call is given up for the last two of the five, or for any other change. A lease that was obtained as the
//!   configuration is now is kept, and one that is held is replaced by an answer under the same, former configuration; no
//!   other answer under a former one is used.

mod advance;
mod budget;
mod completion;
mod detach;
mod due;
mod event;
mod instance_state;
mod lease;
mod lease_transitions;
mod machine;
mod persist;
mod policy;
mod queue;
mod ratio;
mod reconfigure;
mod removal;
mod revocation;
mod snapshot;
mod unsaved;

#[cfg(test)]
mod tests;

pub use budget::{Budget, InitialBudget, UpstreamName};
pub use event::{
    CallOutcome, OperatorEvent, ProviderCall, SaveId, ScheduleAction, ScheduleConfig, ScheduleEvent, ScheduledCallId,
};
pub use lease::{FilePayload, Lease, LeaseOrigin, LeaseRecord, RetiredLease};
pub use machine::Schedule;
pub use policy::{
    ASSUMED_LIFETIME, Account, CallRate, ConfigFingerprint, InstancePlan, LONGEST_LIFE, ObtainMode, OptionalExports,
    Policy, PreferredSource, RevocationPolicy, Switch,
};
pub use ratio::{Ratio, RatioError};
pub use removal::{ORPHAN_GRACE, REMOVAL_GRACE};
pub use revocation::{Abandoned, MOST_RETIRED, NotRevoked};
pub use snapshot::{InstanceActivity, InstanceSnapshot, Readiness, UpstreamSnapshot};

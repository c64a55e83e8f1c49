//! What the operator may see of an instance. Never a payload.

use crate::{InstanceName, Span, Timestamp};

use super::budget::UpstreamName;
use super::event::ProviderCall;
use super::instance_state::{InstancePhase, InstanceState, Membership, Required};
use super::lease::{Lease, LeaseOrigin};
use super::policy::InstancePlan;
use super::queue::{Queue, Task};
use super::revocation::Abandoned;
use crate::failure::FailureRecord;
use crate::time::Now;

/// One instance.
#[derive(Debug, Clone)]
pub struct InstanceSnapshot<'s> {
    /// Its name.
    pub name: &'s InstanceName,
    /// How it is kept.
    pub plan: &'s InstancePlan,
    /// What goes on.
    pub doing: InstanceActivity,
    /// Whether those who need it can have it.
    pub readiness: Readiness,
    /// The lease that was given out last, or else the one that will be when it is saved.
    pub lease: Option<&'s Lease>,
    /// For how long what it holds is kept, if it is no longer configured.
    pub leaves_in: Option<Span>,
    /// How many leases wait to be revoked.
    pub retired: usize,
    /// What was not revoked although it should have been.
    pub abandoned: Option<&'s Abandoned>,
    /// How many use it.
    pub users: u32,
    /// How many calls failed since the last that did not.
    pub failures: u32,
    /// How the last one failed.
    pub trouble: Option<&'s FailureRecord>,
    /// Why what it holds could not be saved when that was last tried.
    pub unsaved: Option<&'s str>,
    /// Whether the lease that is given out is unsaved. The one that is held may be another by now.
    pub given_unsaved: bool,
    /// When a call last brought something.
    pub last_success: Option<Timestamp>,
    /// When it is obtained or renewed next, if that is known.
    pub next: Option<Timestamp>,
}

/// What goes on with an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceActivity {
    /// It is called: `obtain`, `renew`, `revoke`.
    Calling(&'static str, Span),
    /// What it holds is good.
    Holding,
    /// It is no longer configured, and its state is being deleted.
    Leaving,
    /// A file is all it has, and the file holds nothing that is good.
    NoFile,
    /// The component says that it needs no tokens.
    NotRequired,
    /// The last call failed; the next is in a while.
    Retrying,
    /// What it holds is being saved; so often that failed.
    Saving(u32),
    /// Nobody uses it.
    Unused,
    /// It waits for its upstream's budget, or for other calls to end; until then at least, if that is known.
    Waiting(Option<Span>),
}

/// Whether those who need a lease can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// There is a good one, and it is given out.
    Ready,
    /// None is needed.
    NotNeeded,
    /// There is none yet, or none that is saved.
    Missing,
    /// The last one ended.
    Expired,
}

/// One upstream.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamSnapshot<'s> {
    /// Its name.
    pub name: &'s UpstreamName,
    /// How many instances wait for it.
    pub waiting: usize,
    /// How many calls had to wait for its budget, since the start.
    pub waits: u64,
    /// How long nobody is called who waits for it.
    pub blocked_for: Option<Span>,
}

impl<'s> InstanceSnapshot<'s> {
    pub(super) fn new(name: &'s InstanceName, slot: &'s InstanceState, queue: &Queue, now: Now) -> Self {
        let next = match slot.phase {
            InstancePhase::Resting if slot.plan.component.is_some() && slot.stay == Membership::Configured => {
                let at = slot.next.due_at(now).max(slot.rests_until);
                slot.in_use(now.mono).then(|| now.wall.plus(at.since(now.mono)))
            }
            _ => None,
        };
        Self {
            name,
            plan: &slot.plan,
            doing: doing(slot, queue, now),
            readiness: readiness(slot, now),
            lease: slot.given(),
            leaves_in: slot.leaves_at.filter(|_| slot.is_kept(now)).map(|at| at.since(now.mono)),
            retired: slot.record.retired.len(),
            abandoned: slot.abandoned.as_ref(),
            users: slot.users,
            failures: slot.failures,
            trouble: slot.trouble.as_ref(),
            unsaved: slot.unsaved.as_deref(),
            given_unsaved: slot.is_published_unsaved(),
            last_success: slot.last_success,
            next,
        }
    }
}

fn doing(slot: &InstanceState, queue: &Queue, now: Now) -> InstanceActivity {
    match &slot.phase {
        InstancePhase::Calling { work, began, .. } => {
            InstanceActivity::Calling(ProviderCall::word(work), now.mono.since(began.mono))
        }
        InstancePhase::Saving { failures, .. } => InstanceActivity::Saving(*failures),
        InstancePhase::Forgetting { .. } => InstanceActivity::Leaving,
        InstancePhase::Waiting { place } if place.task == Task::Tokens => InstanceActivity::Waiting(
            queue.blocked_until(&slot.plan.upstream, slot.plan.account).map(|until| until.since(now.mono)),
        ),
        InstancePhase::Resting | InstancePhase::Waiting { .. } => resting(slot, now),
    }
}

fn resting(slot: &InstanceState, now: Now) -> InstanceActivity {
    if slot.stay == Membership::Leaving {
        InstanceActivity::Leaving
    } else if !slot.in_use(now.mono) {
        InstanceActivity::Unused
    } else if slot.failures > 0 {
        InstanceActivity::Retrying
    } else if slot.valid(now.wall).is_some() {
        InstanceActivity::Holding
    } else if slot.plan.component.is_none() {
        InstanceActivity::NoFile
    } else if slot.required == Required::No {
        InstanceActivity::NotRequired
    } else {
        InstanceActivity::Retrying
    }
}

fn readiness(slot: &InstanceState, now: Now) -> Readiness {
    if slot.stay == Membership::Leaving || !slot.in_use(now.mono) {
        return Readiness::NotNeeded;
    }
    match &slot.published {
        Some(lease) if lease.is_valid(now.wall) => Readiness::Ready,
        _ if slot.required == Required::No => Readiness::NotNeeded,
        Some(_) => Readiness::Expired,
        None => Readiness::Missing,
    }
}

impl LeaseOrigin {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::File => "file",
        }
    }
}

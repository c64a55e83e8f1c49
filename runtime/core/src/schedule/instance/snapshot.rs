//! What the operator may see of an instance.

use crate::InstanceName;
use crate::time::{MonotonicTime, Now};

use super::{InstancePhase, InstanceState, Membership, Required};
use crate::schedule::event::ProviderCall;
use crate::schedule::queue::{CallPurpose, CallQueue};
use crate::schedule::snapshot::{InstanceActivity, InstanceSnapshot, Readiness};

impl<'s> InstanceSnapshot<'s> {
    pub(in crate::schedule) fn new(
        name: &'s InstanceName,
        instance: &'s InstanceState,
        queue: &CallQueue,
        now: Now,
    ) -> Self {
        // A revocation that waits for its turn delays no call for tokens.
        let rests = matches!(instance.phase, InstancePhase::Resting) || instance.is_queued_for(CallPurpose::Revocation);
        let is_called = instance.plan.component.is_some() && instance.membership == Membership::Configured;
        let at = instance.next.due_at(now).max(instance.rests_until);
        let is_known = rests && is_called && at != MonotonicTime::NEVER && instance.in_use(now.mono);
        let next = is_known.then(|| now.wall.plus(at.since(now.mono)));
        Self {
            name,
            plan: &instance.plan,
            activity: activity(instance, queue, now),
            readiness: readiness(instance, now),
            lease: instance.current(),
            leaves_in: instance.leaves_at.filter(|_| instance.is_kept(now)).map(|at| at.since(now.mono)),
            retired: instance.record.retired.len(),
            abandoned: instance.abandoned.as_ref(),
            users: instance.users,
            failures: instance.failures,
            failure: instance.last_failure.as_ref(),
            unsaved: instance.save_error.as_deref(),
            published_unsaved: instance.is_published_unsaved(),
            last_success: instance.last_success,
            next,
        }
    }
}

fn activity(instance: &InstanceState, queue: &CallQueue, now: Now) -> InstanceActivity {
    match &instance.phase {
        InstancePhase::Calling { work, began, .. } => {
            InstanceActivity::Calling(ProviderCall::word(work), now.mono.since(began.mono))
        }
        InstancePhase::Saving { failures, .. } => InstanceActivity::Saving(*failures),
        InstancePhase::Forgetting { .. } => InstanceActivity::Leaving,
        InstancePhase::Waiting { entry, .. } if entry.purpose == CallPurpose::Tokens => InstanceActivity::Waiting(
            queue.blocked_until(&instance.plan.upstream, instance.plan.account).map(|until| until.since(now.mono)),
        ),
        InstancePhase::Resting | InstancePhase::Waiting { .. } => resting(instance, now),
    }
}

fn resting(instance: &InstanceState, now: Now) -> InstanceActivity {
    if instance.membership == Membership::Leaving {
        InstanceActivity::Leaving
    } else if !instance.in_use(now.mono) {
        InstanceActivity::Unused
    } else if instance.needs_attention() {
        InstanceActivity::NeedsAttention
    } else if instance.failures > 0 {
        InstanceActivity::Retrying
    } else if instance.valid(now.wall).is_some() {
        InstanceActivity::Holding
    } else if instance.plan.component.is_none() {
        InstanceActivity::NoFile
    } else if instance.required == Required::No {
        InstanceActivity::NotRequired
    } else {
        InstanceActivity::Retrying
    }
}

fn readiness(instance: &InstanceState, now: Now) -> Readiness {
    if instance.membership == Membership::Leaving || !instance.in_use(now.mono) {
        return Readiness::NotNeeded;
    }
    match &instance.published {
        Some(lease) if lease.is_valid(now.wall) => Readiness::Ready,
        _ if instance.required == Required::No => Readiness::NotNeeded,
        Some(_) => Readiness::Expired,
        None => Readiness::Missing,
    }
}

//! What follows from the end of a call.

use crate::failure::{CallFailure, FailureKind, FailureRecord};
use crate::time::{MonotonicTime, Now};
use crate::{InstanceName, Span, TokenExpiry, Tokens};

use super::event::{CallOutcome, OperatorEvent, ProviderCall, ScheduledCallId};
use super::instance::{EndedCall, expired_on_arrival};
use super::{RunningCall, Schedule};

impl Schedule {
    pub(super) fn complete_call(&mut self, call: ScheduledCallId, outcome: CallOutcome, now: Now) {
        let Some(running) = self.release_call(call) else { return };
        let account_pause = self.pace_upstream(&running, call, &outcome, now.mono);
        let name = running.name;
        let Some(instance) = self.instances.get_mut(&name) else { return };
        if let Some(outcome) = instance.end_detached_call(call, outcome, now) {
            let Some(ended) = instance.end_call() else { return };
            if instance.is_stale(&ended, &outcome, now) {
                let tokens = if let CallOutcome::Obtained(tokens) = outcome { Some(tokens) } else { None };
                instance.end_stale_call(ended, tokens, now);
            } else {
                instance.note_account_pause(account_pause, ended.fingerprint, now.wall);
                self.use_outcome(&name, ended, outcome, now);
            }
        }
        self.save_pause(&name, now);
        self.advance(&name, now);
    }

    fn use_outcome(&mut self, name: &InstanceName, ended: EndedCall, outcome: CallOutcome, now: Now) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        match (&ended.work, outcome) {
            (ProviderCall::Revoke(lease), CallOutcome::Failed(failure)) => {
                let wait = instance.revocation_failed(lease.revision, &failure, now, self.random.u16(..));
                let failure = FailureRecord { failure, at: now.wall };
                self.notify(OperatorEvent::RevokeFailed(name.clone(), lease.revision, failure, wait));
            }
            (ProviderCall::Revoke(lease), _) => {
                instance.revoked(lease.revision);
                self.save(name);
            }
            (_, CallOutcome::Failed(failure)) => self.call_failed(name, &ended, failure, now),
            (_, CallOutcome::Obtained(tokens)) => self.hold(name, &ended, tokens, now),
            (_, CallOutcome::NotRequired | CallOutcome::Revoked) => instance.not_required(now),
        }
    }

    fn hold(&mut self, name: &InstanceName, ended: &EndedCall, tokens: Tokens, now: Now) {
        let random = self.random.u16(..);
        let Some(instance) = self.instances.get_mut(name) else { return };
        let stated = match tokens.expiry {
            TokenExpiry::At(stated) => Some(stated),
            TokenExpiry::Never | TokenExpiry::Unknown => None,
        };
        match instance.obtained(&ended.work, tokens, (ended.began, ended.fingerprint), now, random) {
            Ok(obtained) => {
                if let Some(assumed) = obtained.assumed {
                    self.notify(OperatorEvent::ExpiryAssumed(name.clone(), stated, assumed));
                }
                if let Some((revision, why)) = obtained.not_revoked {
                    self.report_not_revoked(name, revision, why, now.wall);
                }
                self.shares.reserve_for_leases();
                self.save(name);
            }
            Err(expired) => {
                self.call_failed(name, ended, expired_on_arrival(expired), now);
            }
        }
    }

    fn call_failed(&mut self, name: &InstanceName, ended: &EndedCall, failure: CallFailure, now: Now) {
        let random = self.random.u16(..);
        let Some(instance) = self.instances.get_mut(name) else { return };
        let (failure, wait) = instance.call_failed(ended, failure, now, random);
        self.notify(OperatorEvent::Failed(name.clone(), failure, wait));
    }

    /// A call no longer runs.
    pub(super) fn release_call(&mut self, call: ScheduledCallId) -> Option<RunningCall> {
        let running = self.calls.remove(&call)?;
        self.shares.release(&running.upstream, running.admission);
        Some(running)
    }

    /// What the end of a call says about how fast its account may be called. Returns the pause of the account that it began.
    fn pace_upstream(
        &mut self,
        running: &RunningCall,
        call: ScheduledCallId,
        outcome: &CallOutcome,
        now: MonotonicTime,
    ) -> Option<Span> {
        let RunningCall { name, upstream, account, began, .. } = running;
        let instance = self.instances.get(name);
        // What a former configuration's service says is not about the one that is called now.
        if instance.is_some_and(|instance| instance.calls_former(call)) {
            return None;
        }
        match outcome {
            CallOutcome::Failed(failure) if failure.kind == FailureKind::Throttled => {
                // One component's word alone does not stop the others for long.
                let most = instance.map_or(Span::millis(0), |instance| instance.plan().policy.retry.most);
                let pause = failure.retry_after.map(|after| after.min(most)).filter(|pause| *pause > Span::millis(0));
                self.queue.throttled(upstream, *account, *began, pause, now);
                return pause;
            }
            CallOutcome::Failed(failure) if !failure.kind.is_answer() => {}
            CallOutcome::Failed(_) | CallOutcome::Obtained(_) | CallOutcome::NotRequired | CallOutcome::Revoked => {
                self.queue.answered(upstream, *account, *began, now);
            }
        }
        None
    }
}

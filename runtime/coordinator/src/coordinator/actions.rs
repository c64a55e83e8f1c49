//! Carries out what the schedule decides.

use deputy_core::LeaseVersion;
use deputy_core::schedule::{OperatorEvent, ScheduleAction};

use super::Coordinator;
use crate::event_log;
use crate::write_queue::WriteContent;

impl Coordinator {
    /// Runs the actions of the schedule, in its order, for as long as the lock is held.
    pub(super) fn run_actions(&mut self) {
        // A process that was stopped for a while finds its timers and answers before it finds that its lock has ended.
        while !self.lock.is_lost()
            && let Some(action) = self.schedule.next_action()
        {
            match action {
                ScheduleAction::Call(id, instance, call) => self.begin_call(id, instance, call),
                ScheduleAction::Cancel(id) => {
                    if let Some(call) = self.calls.remove(&id) {
                        call.abort.abort();
                        self.traces.cancel_call(id);
                    }
                }
                ScheduleAction::Detach(id) => {
                    if let Some(call) = self.calls.get(&id) {
                        tracing::info!(
                            instance = %call.instance, function = call.function, call = %id,
                            "call abandoned; a lease that it still obtains is revoked"
                        );
                    }
                }
                ScheduleAction::Forget(save, name) => self.write(save, name, WriteContent::Nothing),
                ScheduleAction::Publish(name, lease) => {
                    tracing::info!(
                        instance = %name, revision = %lease.revision, valid_until = %lease.valid_until,
                        "lease published"
                    );
                    event_log::log_facts(&name, &lease.facts);
                    let stamp = LeaseVersion { revision: lease.revision, obtained_at: lease.obtained_at };
                    self.traces.publish(&name, stamp, self.replica.workers.is_some());
                    self.replica.options.board.publish(name, lease);
                }
                ScheduleAction::Save(save, name, record) => {
                    self.write(save, name, WriteContent::Record(Box::new(record)))
                }
                ScheduleAction::SavePause(save, name, pause) => self.write(save, name, WriteContent::Pause(pause)),
                ScheduleAction::Notify(event) => {
                    self.count_event(&event);
                    event_log::log(&event);
                }
                ScheduleAction::Withdraw(name) => {
                    tracing::info!(instance = %name, "lease withdrawn");
                    self.traces.withdraw(&name);
                    self.replica.options.board.withdraw(&name);
                }
            }
        }
    }

    fn count_event(&self, event: &OperatorEvent) {
        match event {
            OperatorEvent::ClockJumped(_) => self.replica.options.metrics.record_clock_jump(),
            OperatorEvent::RevokeGivenUp(instance, _, reason) => {
                self.replica.options.metrics.record_not_revoked(instance.as_str(), reason.word());
            }
            _ => {}
        }
    }
}

//! Hooks: one run at a time, once more for changes meanwhile, and retries while they are of use.

use deputy_core::retry::RetryPolicy;
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{ReceiverName, Span, Timestamp};
use deputy_support::Backoff;

use super::{Reconciler, ReconcilerAction, WorkerEvent};

/// How often a hook is tried while no valid lease is published.
const MAX_TRIES_WITHOUT_LEASE: u32 = 10;

/// The hook of one receiver.
#[derive(Debug, Default)]
pub(super) struct HookTracker {
    phase: HookPhase,
    last: Option<(Timestamp, Result<(), String>)>,
    /// Since the start: then there is a workload to notify.
    has_succeeded: bool,
    /// Present after a failure.
    retry: Option<HookRetry>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum HookPhase {
    #[default]
    Idle,
    Running,
    /// Something changed during the run: the hook runs once more.
    RunningAndRequested,
}

#[derive(Debug)]
struct HookRetry {
    backoff: Backoff,
    at: MonotonicTime,
}

/// The hook of a receiver at one moment.
#[derive(Debug)]
pub(crate) struct HookSnapshot<'a> {
    pub(crate) is_running: bool,
    pub(crate) last: Option<&'a (Timestamp, Result<(), String>)>,
    /// Since the start of the process.
    pub(crate) has_succeeded: bool,
    /// Failures in a row, and the time until the next try.
    pub(crate) retry: Option<(u32, Span)>,
}

impl HookTracker {
    /// Requests a run. Returns whether it starts now: a hook that is running runs once more afterwards instead.
    fn request(&mut self) -> bool {
        let is_idle = self.phase == HookPhase::Idle;
        self.phase = if is_idle { HookPhase::Running } else { HookPhase::RunningAndRequested };
        is_idle
    }

    /// Records the end of a run. Returns whether another one was requested meanwhile.
    fn finish(&mut self, result: Result<(), String>, now: Now, retry: &RetryPolicy, random: u16) -> bool {
        if result.is_ok() {
            self.has_succeeded = true;
            self.retry = None;
        } else {
            let retry = self
                .retry
                .get_or_insert_with(|| HookRetry { backoff: Backoff::new(retry.floor, retry.most), at: now.mono });
            retry.at = now.mono.plus(retry.backoff.fail(random));
        }
        self.last = Some((now.wall, result));
        std::mem::take(&mut self.phase) == HookPhase::RunningAndRequested
    }

    /// The failures in a row of a hook whose retry is due.
    fn due_retry(&self, now: MonotonicTime) -> Option<u32> {
        let retry = self.retry.as_ref().filter(|retry| self.phase == HookPhase::Idle && retry.at <= now)?;
        Some(retry.backoff.failures())
    }

    fn give_up(&mut self) {
        self.retry = None;
    }

    pub(super) fn retry_at(&self) -> Option<MonotonicTime> {
        self.retry.as_ref().filter(|_| self.phase == HookPhase::Idle).map(|retry| retry.at)
    }

    /// Whether it neither runs nor waits for a retry.
    pub(super) fn is_settled(&self) -> bool {
        self.phase == HookPhase::Idle && self.retry.is_none()
    }

    pub(super) fn snapshot(&self, now: MonotonicTime) -> HookSnapshot<'_> {
        HookSnapshot {
            is_running: self.phase != HookPhase::Idle,
            last: self.last.as_ref(),
            has_succeeded: self.has_succeeded,
            retry: self.retry.as_ref().map(|retry| (retry.backoff.failures(), retry.at.since(now))),
        }
    }
}

impl Reconciler {
    pub(super) fn request_hook(&mut self, name: &ReceiverName) {
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        if receiver.hook_mut().request() {
            let instances = receiver.published_instances();
            self.actions.push_back(ReconcilerAction::RunHook(name.clone(), instances));
        }
    }

    pub(super) fn hook_finished(&mut self, name: &ReceiverName, result: Result<(), String>, now: Now) {
        let random = self.rng.u16(..);
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        if receiver.hook_mut().finish(result, now, &self.policies.retry, random) {
            self.request_hook(name);
        }
    }

    /// Runs a failed hook again if it is time, or gives it up if no valid lease is published.
    pub(super) fn retry_hook(&mut self, name: &ReceiverName, now: Now) {
        let Some(receiver) = self.receivers.get_mut(name) else { return };
        let Some(failures) = receiver.hook().due_retry(now.mono) else { return };
        if failures >= MAX_TRIES_WITHOUT_LEASE && !receiver.has_valid_lease(now.wall) {
            receiver.hook_mut().give_up();
            self.log(WorkerEvent::HookAbandoned(name.clone(), failures));
        } else {
            self.request_hook(name);
        }
    }
}

//! The delay that a service asked for, as it outlives the process.
//!
//! A process that takes over counts from no failure, and would call at once a service that asked for an hour. So the delay is
//! kept by the wall clock, which both have.

use crate::Span;
use crate::retry::LONGEST_THROTTLE;
use crate::time::{Now, Timestamp};

use super::{DueTime, InstanceState};
use crate::schedule::lease::ServicePause;
use crate::schedule::policy::ConfigFingerprint;

/// A pause is saved if it is this much longer or shorter than what is saved: another process needs about as long to take over.
const LEAST_CHANGE: Span = Span::secs(5);

impl InstanceState {
    /// The service asked, as it failed a call for tokens, for this delay or none.
    pub(super) fn note_pause(&mut self, after: Option<Span>, fingerprint: ConfigFingerprint, now: Timestamp) {
        let Some(after) = after else { return };
        let account_until = self.account_pause(fingerprint);
        let until = now.plus(after.min(LONGEST_THROTTLE));
        self.record.pause = Some(ServicePause { asked_at: now, until, account_until, fingerprint });
    }

    /// The service throttled the account, and the queue lets it rest for this time.
    pub(in crate::schedule) fn note_account_pause(
        &mut self,
        pause: Option<Span>,
        fingerprint: ConfigFingerprint,
        now: Timestamp,
    ) {
        let Some(pause) = pause else { return };
        let before = self.account_pause(fingerprint).filter(|until| is_plausible(*until, now));
        let account_until = before.max(Some(now.plus(pause)));
        let own = self.record.pause.filter(|pause| pause.fingerprint == fingerprint).map(|pause| pause.until);
        let own = own.filter(|until| is_plausible(*until, now));
        let until = own.into_iter().chain(account_until).max().unwrap_or(now);
        self.record.pause = Some(ServicePause { asked_at: now, until, account_until, fingerprint });
    }

    /// A call for tokens succeeded. What the service said of the account holds on.
    pub(super) fn end_pause(&mut self, now: Timestamp) {
        let account = self.record.pause.and_then(|pause| pause.account_until);
        let account = account.filter(|until| *until > now && is_plausible(*until, now));
        self.record.pause = self.record.pause.zip(account).map(|(pause, until)| ServicePause { until, ..pause });
    }

    /// What is to be saved instead of the pause that is.
    pub(in crate::schedule) fn changed_pause(&mut self, now: Timestamp) -> Option<Option<ServicePause>> {
        let is_other = match (self.record.pause, self.saved_pause) {
            // A write that failed may have taken place.
            (_, None) | (None, Some(Some(_))) => true,
            (Some(pause), Some(Some(saved))) => differ(pause, saved),
            (Some(pause), Some(None)) => pause.end() >= now.plus(LEAST_CHANGE),
            (None, Some(None)) => false,
        };
        if !is_other {
            return None;
        }
        self.saved_pause = Some(self.record.pause);
        Some(self.record.pause)
    }

    /// The next pause is saved in any case, and so is that there is none.
    pub(in crate::schedule) fn pause_save_failed(&mut self) {
        self.saved_pause = None;
    }

    /// Whether the service asked an earlier process not to be called yet, under this configuration.
    pub(in crate::schedule) fn is_paused(&self, now: Timestamp) -> bool {
        self.record.pause.is_some_and(|pause| pause.fingerprint == self.plan.fingerprint && pause.end() > now)
    }

    /// Waits for what is left of the pause. Returns what is left of that of the account.
    pub(in crate::schedule) fn resume_pause(&mut self, now: Now, random: u16) -> Option<Span> {
        let pause = self.record.pause?;
        // If the clock was set back since, it keeps its length.
        let reading = now.wall.max(pause.asked_at);
        if pause.until > reading {
            let rest = self.plan.policy.retry.rest(pause.until.since(reading), self.left(now.wall), random);
            let until = now.mono.plus(rest);
            if self.next.due_at(now) < until {
                self.next = DueTime::at(until);
            }
            // Or the first user would have it called.
            self.failures = self.failures.max(1);
        }
        let rest = pause.account_until?.since(reading).min(self.plan.policy.retry.most);
        Some(rest).filter(|rest| *rest > Span::millis(0))
    }

    fn account_pause(&self, fingerprint: ConfigFingerprint) -> Option<Timestamp> {
        self.record.pause.filter(|pause| pause.fingerprint == fingerprint)?.account_until
    }
}

impl ServicePause {
    /// When nothing is left of it.
    fn end(&self) -> Timestamp {
        self.account_until.map_or(self.until, |until| until.max(self.until))
    }
}

/// Whether a pause may end then. One by a clock that was ahead would otherwise outlast all answers.
fn is_plausible(until: Timestamp, now: Timestamp) -> bool {
    until <= now.plus(LONGEST_THROTTLE)
}

fn differ(one: ServicePause, other: ServicePause) -> bool {
    let accounts_differ = match (one.account_until, other.account_until) {
        (Some(one), Some(other)) => are_apart(one, other),
        (one, other) => one != other,
    };
    accounts_differ || one.fingerprint != other.fingerprint || are_apart(one.until, other.until)
}

fn are_apart(one: Timestamp, other: Timestamp) -> bool {
    one.as_millis().abs_diff(other.as_millis()) >= LEAST_CHANGE.as_millis()
}

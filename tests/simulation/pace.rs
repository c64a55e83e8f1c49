//! How fast an account goes that was throttled: never faster than its pace, and never slower. The pace is halved by a throttled
//! call, recovers with answered calls and with time, and is that of one account alone. Leases at risk borrow from it.

use std::collections::BTreeMap;

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, InstanceActivity, InstancePlan, InstanceSnapshot, ScheduleConfig, UpstreamAccount, UpstreamName,
};
use deputy_core::time::MonotonicTime;
use deputy_core::{InstanceName, Span};

use crate::counts::Counts;

/// Whose calls a service counts together.
pub(crate) type Caller = (UpstreamName, Option<UpstreamAccount>);

/// A minute of calls at a pace of one call a minute, so that a millisecond brings as many parts as the pace has calls.
const CALL: u64 = 60_000;

const MINUTE: u64 = 60_000;

/// The slowest pace is this part of the budget.
const SLOWEST: u64 = 32;

/// Leases at risk borrow what the pace brings in this time, in milliseconds.
pub(crate) const BORROWED: u64 = 10_000;

#[derive(Default)]
pub(crate) struct Paces(BTreeMap<Caller, Pace>);

#[derive(Default)]
struct Pace {
    /// The end of the delay that the service asked for.
    paused: MonotonicTime,
    throttled: Option<Throttled>,
}

/// Rates are in calls per minute.
struct Throttled {
    limit: u64,
    /// Of the budget.
    burst: u64,
    rate: u64,
    /// The rate before it was halved last.
    before: u64,
    halved: MonotonicTime,
    doubled: MonotonicTime,
    /// Until when an account waited for its next call before the pace doubled because of the time that passed.
    slower: MonotonicTime,
    /// What is there for the next call. Less than nothing is borrowed.
    parts: i64,
    filled: MonotonicTime,
    /// Whether one call alone was throttled, so that leases at risk borrow.
    lends: bool,
    /// Whether the schedule may have forgotten the last throttled call, or not.
    is_uncertain: bool,
}

pub(crate) fn caller(plan: &InstancePlan) -> Caller {
    (plan.upstream.clone(), plan.account)
}

/// Calls a minute, and at once.
fn budget(upstream: &UpstreamName, configuration: &ScheduleConfig) -> (u64, u64) {
    let budget = configuration.budgets.get(upstream).copied().unwrap_or(configuration.default_budget);
    (u64::from(budget.per_minute.max(1)), u64::from(budget.burst.max(1)))
}

/// How long one call waits for the one before it.
fn gap(rate: u64) -> Span {
    Span::millis(CALL.div_ceil(rate))
}

impl Paces {
    /// Other budgets: the pace remains the same part of them.
    pub(crate) fn configure(&mut self, configuration: &ScheduleConfig, now: MonotonicTime) {
        for ((upstream, _), pace) in &mut self.0 {
            let Some(throttled) = &mut pace.throttled else { continue };
            throttled.go_on(now);
            let (limit, burst) = budget(upstream, configuration);
            let scaled = |rate: u64| (rate * limit / throttled.limit).clamp(1, limit);
            (throttled.rate, throttled.before) = (scaled(throttled.rate), scaled(throttled.before));
            throttled.slower = MonotonicTime::default();
            (throttled.limit, throttled.burst) = (limit, burst);
            throttled.parts = throttled.parts.max(-throttled.lent());
        }
    }

    /// A call ended that began at `began`; `most` is the longest pause that its policy grants.
    pub(crate) fn ended(
        &mut self,
        caller: &Caller,
        outcome: &CallOutcome,
        (began, now): (MonotonicTime, MonotonicTime),
        most: Span,
        configuration: &ScheduleConfig,
    ) {
        match outcome {
            CallOutcome::Failed(failure) if failure.kind == FailureKind::Throttled => {
                let pace = self.0.entry(caller.clone()).or_default();
                if let Some(after) = failure.retry_after {
                    pace.paused = pace.paused.max(now.plus(after.min(most)));
                }
                match &mut pace.throttled {
                    Some(throttled) => throttled.halve(began, now),
                    none => *none = Some(Throttled::first(budget(&caller.0, configuration), now)),
                }
            }
            CallOutcome::Failed(failure) if !failure.kind.is_answer() => {}
            _ => {
                let throttled = self.0.get_mut(caller).and_then(|pace| pace.throttled.as_mut());
                if let Some(throttled) = throttled {
                    throttled.answered(began, now);
                }
            }
        }
    }

    /// A process begins, and an earlier one saved that the service asked for this delay of the account.
    pub(crate) fn resumes(&mut self, plan: &InstancePlan, rest: Span, now: MonotonicTime) {
        let pace = self.0.entry(caller(plan)).or_default();
        pace.paused = pace.paused.max(now.plus(rest));
    }

    /// A call begins: its account has a call left by its pace, or the lease is at risk and it borrows one. Returns whether it
    /// does.
    pub(crate) fn called(&mut self, name: &InstanceName, caller: &Caller, at_risk: bool, now: MonotonicTime) -> bool {
        let Some(throttled) = self.0.get_mut(caller).and_then(|pace| pace.throttled.as_mut()) else { return false };
        throttled.go_on(now);
        if throttled.is_over(now) || throttled.is_uncertain {
            return false;
        }
        // The schedule counts whole milliseconds.
        let parts = throttled.parts + throttled.rate as i64;
        let lent = if at_risk { throttled.lent() } else { 0 };
        assert!(
            parts >= CALL as i64 - lent,
            "{name} is called at once, and its account was throttled to {} a minute",
            throttled.rate
        );
        throttled.parts = (throttled.parts - CALL as i64).max(-lent);
        parts < CALL as i64
    }

    /// No instance waits longer for its budget than for a pause, for the budget and for the pace of its account.
    pub(crate) fn look<'a>(
        &mut self,
        views: impl Iterator<Item = InstanceSnapshot<'a>>,
        configuration: &ScheduleConfig,
        at_risk: impl Fn(&Caller) -> Option<MonotonicTime>,
        now: MonotonicTime,
        counts: &mut Counts,
    ) {
        for view in views {
            let InstanceActivity::Waiting(Some(wait)) = view.activity else { continue };
            let mut most = gap(budget(&view.plan.upstream, configuration).0);
            if let Some(pace) = self.0.get_mut(&caller(view.plan)) {
                let (mut free, mut borrows) = (pace.paused.since(now), Span::millis(0));
                if let Some(throttled) = &mut pace.throttled {
                    throttled.go_on(now);
                    if throttled.is_uncertain {
                        continue;
                    }
                    counts.paced += 1;
                    free = free.max(throttled.longest(now));
                    borrows = throttled.longest_at_risk(now);
                }
                // An instance whose lease is at risk passes the pause, and borrows.
                let passes = at_risk(&caller(view.plan)).map_or(free, |at| at.since(now).max(borrows).min(free));
                most = most.max(passes);
            }
            assert!(wait <= most, "{} waits for {wait} to be called, and for {most} at most", view.name);
        }
    }
}

impl Throttled {
    fn first((limit, burst): (u64, u64), now: MonotonicTime) -> Self {
        let rate = (limit / 2).max(limit / SLOWEST).max(1);
        Self {
            limit,
            burst,
            rate,
            before: limit,
            halved: now,
            doubled: now,
            slower: MonotonicTime::default(),
            parts: 0,
            filled: now,
            lends: true,
            is_uncertain: false,
        }
    }

    /// A throttled call halves the pace, unless it began within a second after the last one that did.
    fn halve(&mut self, began: MonotonicTime, now: MonotonicTime) {
        self.go_on(now);
        let was_over = self.is_over(now);
        if began < self.halved.plus(Span::secs(1)) {
            self.is_uncertain |= was_over;
            return;
        }
        self.lends = was_over;
        self.before = self.rate;
        self.rate = (self.rate / 2).max(self.limit / SLOWEST).max(1);
        (self.halved, self.doubled) = (now, now);
        self.parts = self.parts.min(0).max(-self.lent());
    }

    /// An answer to a call that began three seconds later than that makes it faster: by a twentieth of the earlier pace up to
    /// nine tenths of it, and by one call a minute from there on.
    fn answered(&mut self, began: MonotonicTime, now: MonotonicTime) {
        self.go_on(now);
        if began < self.halved.plus(Span::secs(3)) {
            return;
        }
        let near = self.before / 10 * 9;
        let rate = if self.rate < near { (self.rate + (self.before / 20).max(1)).min(near) } else { self.rate + 1 };
        self.rate = rate.min(self.limit);
    }

    /// Time passes: the pace doubles after each minute.
    fn go_on(&mut self, now: MonotonicTime) {
        while self.rate < self.limit && now.since(self.doubled).as_millis() >= MINUTE {
            self.doubled = self.doubled.plus(Span::millis(MINUTE));
            let doubled = self.doubled;
            self.fill(doubled);
            self.slower = self.slower.max(doubled.plus(self.gap()));
            self.rate = (2 * self.rate).min(self.limit);
        }
        self.fill(now);
    }

    fn fill(&mut self, now: MonotonicTime) {
        let brought = now.since(self.filled).as_millis() * self.rate;
        self.parts = self.parts.saturating_add_unsigned(brought).min(CALL as i64);
        self.filled = self.filled.max(now);
    }

    /// What leases at risk may borrow altogether.
    fn lent(&self) -> i64 {
        let lent = if self.lends { self.rate * BORROWED / MINUTE } else { 0 };
        (lent.min(self.burst - 1) * CALL) as i64
    }

    /// How long one call waits for the one before it and for what is borrowed.
    fn gap(&self) -> Span {
        Span::millis((CALL + self.parts.min(0).unsigned_abs()).div_ceil(self.rate))
    }

    /// Nothing is left of it.
    fn is_over(&self, now: MonotonicTime) -> bool {
        self.rate == self.limit && now.since(self.halved).as_millis() >= MINUTE
    }

    /// How long an account waits for its next call. What began to wait before the pace doubled, or was over, waits as long as
    /// the pace was then.
    fn longest(&self, now: MonotonicTime) -> Span {
        let before = self.slower.since(now);
        if self.is_over(now) && self.parts >= 0 { before } else { self.gap().max(before) }
    }

    /// The same for an instance whose lease is at risk.
    fn longest_at_risk(&self, now: MonotonicTime) -> Span {
        let is_lent = self.parts - self.rate as i64 >= CALL as i64 - self.lent();
        if is_lent { Span::millis(0) } else { gap(self.rate).max(self.slower.since(now)) }
    }
}

//! The CPU time and wall time of a call, checked wherever control passes between component and host.
//!
//! Computing is counted in processor time of the threads that work for the call: the component's own instructions, the
//! host functions that it calls, and what these hand to other threads. So neither a busy machine nor a stopped process
//! uses up `cpu`. [`Metered`] measures each poll of the call; the epoch's callback and wasmtime's call hook check in
//! between, so that a component that makes host calls in a straight line, where no epoch is looked at, is ended as well.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use deputy_core::{Limit, Limits};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;
use wasmtime::{CallHook, CallHookHandler, StoreContextMut};

use crate::engine::TICK;
use crate::over_limit::OverLimit;
use deputy_support::timer_now;

/// The least time between two reads of the thread's processor time; a read takes a few hundred nanoseconds.
const READ_INTERVAL: Duration = Duration::from_millis(1);

/// The time that one call may take.
pub(crate) struct TimeBudget {
    cpu: u64,
    wall: Duration,
    begun: Instant,
    /// Nanoseconds of processor time, without those of the poll that goes on.
    used: AtomicU64,
    /// The thread's processor time when the current poll, or the current slice of it, began.
    slice_began: AtomicU64,
    /// When the thread's processor time was last read, in nanoseconds since `begun`.
    last_read: AtomicU64,
}

/// What a component within its limits does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BudgetVerdict {
    Continue,
    /// Yield the thread to other calls.
    Yield,
}

impl TimeBudget {
    /// For a call that begins now.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            cpu: nanos(limits.cpu.duration()),
            wall: limits.wall.duration(),
            begun: timer_now(),
            used: AtomicU64::new(0),
            slice_began: AtomicU64::new(0),
            last_read: AtomicU64::new(0),
        }
    }

    /// When the call began.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// When the call must end.
    pub(crate) fn ends(&self) -> Instant {
        self.begun.checked_add(self.wall).unwrap_or(self.begun)
    }

    /// Charges processor time that another thread spent for the call.
    pub(crate) fn charge(&self, spent: Duration) {
        self.used.fetch_add(nanos(spent), Relaxed);
    }

    /// The processor time of the polls that have ended.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }

    /// Checks both limits. Must be called on the thread that polls the call.
    pub(crate) fn check(&self) -> Result<BudgetVerdict, OverLimit> {
        let elapsed = timer_now().saturating_duration_since(self.begun);
        if elapsed >= self.wall {
            return Err(OverLimit(Limit::Wall));
        }
        // Within a poll, processor time grows no faster than wall time.
        let now = nanos(elapsed);
        if now.saturating_sub(self.last_read.load(Relaxed)) < nanos(READ_INTERVAL) {
            return Ok(BudgetVerdict::Continue);
        }
        self.last_read.store(now, Relaxed);
        let slice = nanos(thread_time()).saturating_sub(self.slice_began.load(Relaxed));
        if self.used.load(Relaxed).saturating_add(slice) > self.cpu {
            return Err(OverLimit(Limit::Cpu));
        }
        Ok(if slice >= nanos(TICK) { BudgetVerdict::Yield } else { BudgetVerdict::Continue })
    }

    fn begin_poll(&self) {
        self.slice_began.store(nanos(thread_time()), Relaxed);
    }

    fn end_poll(&self) {
        let spent = nanos(thread_time()).saturating_sub(self.slice_began.load(Relaxed));
        self.used.fetch_add(spent, Relaxed);
    }
}

/// A call's future, whose polls are charged to its budget.
pub(crate) struct Metered<F> {
    budget: Arc<TimeBudget>,
    future: F,
}

impl<F: Future + Unpin> Metered<F> {
    pub(crate) fn new(budget: Arc<TimeBudget>, future: F) -> Self {
        Self { budget, future }
    }
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.budget.begin_poll();
        let polled = Pin::new(&mut self.future).poll(context);
        self.budget.end_poll();
        polled
    }
}

/// Checks the budget whenever control passes between the component and the host, in both directions.
pub(crate) struct CheckEveryCall(pub(crate) Arc<TimeBudget>);

#[async_trait::async_trait]
impl<T: Send + 'static> CallHookHandler<T> for CheckEveryCall {
    async fn handle_call_event(&self, _: StoreContextMut<'_, T>, _: CallHook) -> wasmtime::Result<()> {
        if self.0.check()? == BudgetVerdict::Yield {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// Processor time of the current thread.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::Span;

    fn budget(cpu: Span, wall: Span) -> TimeBudget {
        TimeBudget::new(&Limits { cpu, wall, ..Limits::default() })
    }

    /// Computes until the check says something else than to continue.
    fn compute(budget: &TimeBudget) -> Result<BudgetVerdict, OverLimit> {
        loop {
            match budget.check() {
                Ok(BudgetVerdict::Continue) => std::hint::spin_loop(),
                other => return other,
            }
        }
    }

    #[test]
    fn budget_yields_after_a_slice_and_ends_after_cpu() {
        let budget = budget(Span::millis(25), Span::secs(60));
        let ends = [(); 3].map(|()| {
            budget.begin_poll();
            let verdict = compute(&budget);
            budget.end_poll();
            verdict
        });
        assert_eq!(ends, [Ok(BudgetVerdict::Yield), Ok(BudgetVerdict::Yield), Err(OverLimit(Limit::Cpu))]);
    }

    #[test]
    fn budget_is_charged_what_other_threads_spend() {
        let budget = budget(Span::secs(1), Span::secs(60));
        budget.charge(Duration::from_secs(2));
        budget.begin_poll();
        assert_eq!(compute(&budget), Err(OverLimit(Limit::Cpu)));
    }

    #[test]
    fn budget_is_not_charged_for_waiting() {
        let budget = budget(Span::millis(20), Span::secs(60));
        budget.begin_poll();
        #[expect(clippy::disallowed_methods, reason = "a thread that waits without computing")]
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(budget.check(), Ok(BudgetVerdict::Continue));
    }

    #[test]
    fn budget_ends_with_wall_although_nothing_is_computed() {
        let budget = budget(Span::secs(10), Span::millis(1));
        #[expect(clippy::disallowed_methods, reason = "a thread that waits without computing")]
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(budget.check(), Err(OverLimit(Limit::Wall)));
    }
}

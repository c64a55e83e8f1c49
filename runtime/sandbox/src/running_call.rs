//! A call on the threads for calls: its store, its limits, and the end of everything that it began.

use std::sync::Arc;
use std::time::Duration;

use deputy_core::{Limit, Limits};
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Store, UpdateDeadline};

use crate::answer::GuestAnswer;
use crate::backtrace;
use crate::bindings::delegation::tokens::types as wit;
use crate::call::{CallError, Interruption, classify};
use crate::call_budget::CallBudget;
use crate::call_context::CallState;
use crate::guest_log::GuestLog;
use crate::open_call::OpenCall;
use crate::raw_outcome::convert_failure;
use crate::redact::Redactor;
use crate::shared::SandboxShared;
use crate::threads::AbandonSignal;
use crate::time_budget::{BudgetVerdict, CheckEveryCall, Metered, TimeBudget};

/// How long a call may take to end what it began.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes an instance in a store and calls one function of it.
pub(crate) type GuestCall<T> =
    Box<dyn for<'a> FnOnce(&'a mut Store<CallState>) -> BoxFuture<'a, wasmtime::Result<GuestResult<T>>> + Send>;

type GuestResult<T> = Result<T, wit::Failure>;

/// What a call holds until its end, also when the caller has stopped waiting. Dropped in this order: the call's event is
/// written, as cancelled if no outcome is known, before its slot is free.
pub(crate) struct RunningCall {
    pub(crate) budget: Arc<CallBudget>,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) log: GuestLog,
    pub(crate) record: Arc<OpenCall>,
    pub(crate) _slot: Option<OwnedSemaphorePermit>,
    pub(crate) shared: Arc<SandboxShared>,
}

/// How the run of a call's function ended.
enum RunEnd<T> {
    Returned(wasmtime::Result<GuestResult<T>>),
    TimedOut {
        awaits_network: bool,
    },
    /// The caller stopped waiting.
    Abandoned,
}

/// Runs a call. An abandoned call is ended, and its end is still recorded.
pub(crate) async fn run<T: GuestAnswer + Send + 'static>(
    running: RunningCall,
    state: CallState,
    run: GuestCall<T>,
    mut abandoned: AbandonSignal,
) -> Result<T, CallError> {
    let RunningCall { budget, redactor, log, record, shared, .. } = &running;
    let _watch = record.watch(&shared.watchdog);
    let ticking = shared.ticker.tick();
    let mut store = store(shared, budget, state);
    let end = {
        let mut call = Metered::new(Arc::clone(budget.time()), run(&mut store));
        tokio::select! {
            returned = tokio::time::timeout_at(budget.time().ends(), &mut call) => match returned {
                Ok(returned) => RunEnd::Returned(returned),
                // Asked before what it waits for is dropped.
                Err(_) => RunEnd::TimedOut { awaits_network: budget.awaits_network() },
            },
            () = abandoned.wait() => RunEnd::Abandoned,
        }
    };
    if let RunEnd::Returned(Ok(Ok(answer))) = &end {
        answer.teach(redactor); // before anything of the call is shown, whatever becomes of its caller
    }
    let stopped = ticking.stopped();
    drop(ticking);
    drop(store); // ends what the call has begun, so that its audit events come before the call's own
    // An aborted task ends as soon as its thread gets to it.
    tokio::time::timeout(SETTLE_TIMEOUT, budget.audit.settle()).await.ok();
    log.finish();
    let result = match end {
        RunEnd::Abandoned => Err(CallError::Internal("the caller stopped waiting".to_owned())),
        RunEnd::TimedOut { awaits_network: true } => Err(Interruption::Network(Limit::Wall).into()),
        RunEnd::TimedOut { awaits_network: false } => Err(CallError::Limit(Limit::Wall)),
        RunEnd::Returned(Err(error)) => {
            let classified = classify(&error);
            if matches!(classified, CallError::Trap { .. }) {
                backtrace::log(&error, &budget.audit, redactor);
            }
            Err(classified)
        }
        RunEnd::Returned(Ok(Err(failure))) => Err(CallError::Failure(convert_failure(failure, redactor))),
        RunEnd::Returned(Ok(Ok(value))) => Ok(value),
    };
    match (result, stopped) {
        // The time passed while the process was stopped.
        (Err(CallError::Limit(Limit::Wall) | CallError::Interrupted(Interruption::Network(_))), Some(span)) => {
            Err(Interruption::Stopped(span).into())
        }
        (result, _) => result,
    }
}

fn store(shared: &SandboxShared, budget: &CallBudget, state: CallState) -> Store<CallState> {
    let limits = budget.limits();
    let mut store = Store::new(&shared.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_max_component_handles(limits.handles as usize);
    store.set_hostcall_fuel(fuel(limits));
    check_at_ticks(&mut store, Arc::clone(budget.time()));
    store.call_hook_async(CheckEveryCall(Arc::clone(budget.time())));
    store
}

/// The number of bytes that one host call may copy from the component.
fn fuel(limits: &Limits) -> usize {
    limits.argument.as_usize().max(limits.payload.as_usize()).saturating_add(4096)
}

/// Checks the budget of a computing component at each tick, and yields to other calls after a slice.
fn check_at_ticks(store: &mut Store<CallState>, budget: Arc<TimeBudget>) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| match budget.check()? {
        BudgetVerdict::Continue => Ok(UpdateDeadline::Continue(1)),
        BudgetVerdict::Yield => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
    });
}

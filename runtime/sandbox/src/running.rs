//! A call on the threads for calls, from its store to the end of what it has begun.

use std::sync::Arc;
use std::time::Duration;

use deputy_core::{Limit, Limits};
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{Store, UpdateDeadline};

use crate::bindings::delegation::tokens::types as wit;
use crate::call::{CallError, Interruption, classify};
use crate::call_budget::CallBudget;
use crate::call_context::CallState;
use crate::ended::told;
use crate::open_call::OpenCall;
use crate::redact::Redactor;
use crate::shared::SandboxShared;
use crate::threads::Unwanted;
use crate::time_budget::{CheckEveryCall, Metered, TimeBudget, Verdict};

/// How long the end of what a call has begun is waited for.
const SETTLING: Duration = Duration::from_secs(1);

/// What a call does with its store: it makes an instance and calls one function of it.
pub(crate) type Run<T> =
    Box<dyn for<'a> FnOnce(&'a mut Store<CallState>) -> BoxFuture<'a, wasmtime::Result<Answer<T>>> + Send>;

type Answer<T> = Result<T, wit::Failure>;

/// What a call keeps until it is over, whoever still waits for it. Dropped in this order: the call's event, if nothing
/// better is known of its end, is written before its slot is free.
pub(crate) struct Running {
    pub(crate) budget: Arc<CallBudget>,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) record: Arc<OpenCall>,
    pub(crate) _slot: Option<OwnedSemaphorePermit>,
    pub(crate) shared: Arc<SandboxShared>,
}

/// How a call's function came to its end.
enum End<T> {
    /// It ended.
    Returned(wasmtime::Result<Answer<T>>),
    /// Its time was over, while it waited for the network or not.
    TimeOver { awaits_network: bool },
    /// Nobody waits for the call any more.
    Unwanted,
}

/// Runs a call. When nobody waits for it any more it is ended, and its end is recorded all the same.
pub(crate) async fn run<T: Send + 'static>(
    running: Running,
    state: CallState,
    run: Run<T>,
    mut unwanted: Unwanted,
) -> Result<T, CallError> {
    let Running { budget, redactor, record, shared, .. } = &running;
    let _watch = record.watch(&shared.watchdog);
    let ticking = shared.ticker.tick();
    let mut store = store(shared, budget, state);
    let end = {
        let mut call = Metered::new(Arc::clone(budget.time()), run(&mut store));
        tokio::select! {
            returned = tokio::time::timeout_at(budget.time().ends(), &mut call) => match returned {
                Ok(returned) => End::Returned(returned),
                // Asked before what it waits for is dropped.
                Err(_) => End::TimeOver { awaits_network: budget.awaits_network() },
            },
            () = unwanted.wait() => End::Unwanted,
        }
    };
    let stopped = ticking.stopped();
    drop(ticking);
    drop(store); // ends what the call has begun, so that its audit events come before the call's own
    // Nothing that is aborted takes longer than its thread takes to get to it.
    tokio::time::timeout(SETTLING, budget.audit.settle()).await.ok();
    let result = match end {
        End::Unwanted => Err(CallError::Internal("nobody waited for its end".to_owned())),
        End::TimeOver { awaits_network: true } => Err(Interruption::Network(Limit::Wall).into()),
        End::TimeOver { awaits_network: false } => Err(CallError::Limit(Limit::Wall)),
        End::Returned(Err(error)) => Err(classify(&error)),
        End::Returned(Ok(Err(failure))) => Err(CallError::Failure(told(failure, redactor))),
        End::Returned(Ok(Ok(value))) => Ok(value),
    };
    match (result, stopped) {
        // The time went by while nothing could run.
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

/// Bytes that one host call may copy from the component.
fn fuel(limits: &Limits) -> usize {
    limits.argument.as_usize().max(limits.payload.as_usize()).saturating_add(4096)
}

/// At each tick that finds the component computing, its budget is checked and other calls get their turn.
fn check_at_ticks(store: &mut Store<CallState>, budget: Arc<TimeBudget>) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| match budget.check()? {
        Verdict::Continue => Ok(UpdateDeadline::Continue(1)),
        Verdict::Yield => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
    });
}

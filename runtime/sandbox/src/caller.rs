//! How every call is made, whatever the component is for.
//!
//! Each call gets a store, an instance and an account of its own, and all three are gone when it ends: what a call
//! starts (requests, timers, tasks) belongs to its store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deputy_core::{Failure, Limit, Limits, Refusal, Span};
use deputy_observe::{Accepted, Actor, CallId, Outcome, What};
use wasmtime::{Store, UpdateDeadline};

use crate::account::{Account, Usage};
use crate::bindings::delegation::tokens::types as wit;
use crate::call::{Call, CallError, classify};
use crate::clock;
use crate::engine::TICK;
use crate::guest_log::GuestLog;
use crate::limiter::OverLimit;
use crate::redact::Redactor;
use crate::sandbox::Shared;
use crate::state::{Bindings, State};

/// How long the end of what a call has begun is waited for.
const SETTLING: Duration = Duration::from_secs(1);

/// The longest text of a failure that is kept.
const FAILURE_TEXT: usize = 2000;

/// Makes the calls of one configured component.
pub(crate) struct Caller {
    shared: Arc<Shared>,
    actor: Actor,
    settings: wit::Settings,
    limits: Limits,
}

/// What is called, for the records.
pub(crate) enum Function {
    /// A receiver's `accept`, with what it is given.
    Accept(Vec<Accepted>),
    /// Any other, by its name.
    Named(&'static str),
}

impl Caller {
    pub(crate) fn new(shared: Arc<Shared>, actor: Actor, settings: &BTreeMap<String, String>, limits: Limits) -> Self {
        let setting = |(name, value): (&String, &String)| wit::Setting { name: name.clone(), value: value.clone() };
        Self { shared, actor, settings: settings.iter().map(setting).collect(), limits }
    }

    /// What the component is told.
    pub(crate) fn settings(&self) -> &wit::Settings {
        &self.settings
    }

    /// What one call may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One call: a free slot, a fresh store, the limits around it, and its end told apart.
    pub(crate) async fn call<T>(
        &self,
        function: Function,
        bindings: &Bindings,
        redactor: Redactor,
        run: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, wit::Failure>>,
    ) -> Ended<T> {
        // The semaphore is never closed, and a call without a slot would only be one too many for the pool.
        let slot = self.shared.slots.acquire().await;
        let begun = clock::monotonic();
        let limits = &self.limits;
        let id = CallId(self.shared.calls.fetch_add(1, Ordering::Relaxed));
        let account = Arc::new(Account::new(self.actor.clone(), id, limits.clone(), Arc::clone(&self.shared.audit)));
        let redactor = Arc::new(redactor);
        account.blank_with(Arc::clone(&redactor));
        let log = GuestLog::new(Arc::clone(&account), id, Arc::clone(&redactor));
        let mut store = self.store(State::new(bindings, &account, &log, &redactor));
        let ticking = self.shared.ticker.tick();
        let answer = tokio::time::timeout(limits.wall.duration(), run(&mut store)).await;
        drop(ticking);
        drop(store); // ends what the call has begun, so that its audit events come before the call's own
        // Nothing that is aborted takes longer than its thread takes to get to it.
        drop(tokio::time::timeout(SETTLING, account.settle()).await);
        drop(slot);

        let result = match answer {
            Err(_) => Err(CallError::Limit(Limit::Wall)),
            Ok(Err(error)) => Err(classify(&error)),
            Ok(Ok(Err(failure))) => Err(CallError::Failure(told(failure, &redactor))),
            Ok(Ok(Ok(value))) => Ok(value),
        };
        if let Err(CallError::Limit(limit)) = &result {
            account.refuse(Refusal::Limit(*limit));
        }
        log.finish();
        Ended { id, account, begun, function, log, redactor, result }
    }

    fn store(&self, state: State) -> Store<State> {
        let limits = &self.limits;
        let mut store = Store::new(self.shared.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_max_component_handles(limits.handles as usize);
        store.set_hostcall_fuel(limits.argument.as_usize().max(limits.payload.as_usize()).saturating_add(4096));
        // Each tick that finds the component computing takes one grain of its time, and gives way to other calls.
        let mut left = limits.cpu.duration().as_millis() / TICK.as_millis();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| match left.checked_sub(1) {
            Some(rest) => {
                left = rest;
                Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
            }
            None => Err(OverLimit(Limit::Cpu).into()),
        });
        store
    }
}

impl Function {
    fn what(self, usage: Usage, millis: u64) -> What {
        match self {
            Self::Accept(deliveries) => {
                What::Accept { deliveries, files: usage.output_files, bytes: usage.output_bytes, millis }
            }
            Self::Named(function) => What::Call { function, millis },
        }
    }
}

/// A call that the component has ended and the host has not yet judged.
pub(crate) struct Ended<T> {
    id: CallId,
    account: Arc<Account>,
    begun: tokio::time::Instant,
    function: Function,
    log: GuestLog,
    redactor: Arc<Redactor>,
    result: Result<T, CallError>,
}

impl<T> Ended<T> {
    /// Judges the answer, and writes the call's audit event.
    pub(crate) fn and_then<U>(self, judge: impl FnOnce(T, &Redactor) -> Result<U, CallError>) -> Call<U> {
        let result = self.result.and_then(|value| judge(value, &self.redactor));
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (outcome, code) = match &result {
            Ok(_) => (Outcome::Done, None),
            Err(CallError::Limit(limit)) => {
                self.account.refuse(Refusal::Limit(*limit));
                (Outcome::Refused, Some(format!("over-limit:{limit}")))
            }
            Err(error) => (Outcome::Failed, Some(word(error).to_owned())),
        };
        let usage = self.account.usage();
        self.account.close(self.function.what(usage, millis), outcome, code.as_deref());
        Call { id: self.id, result, refusals: self.account.refusals(), usage, log_tail: self.log.tail() }
    }
}

fn word(error: &CallError) -> &'static str {
    match error {
        CallError::Failure(Failure::Denied(_)) => "denied",
        CallError::Failure(Failure::Misconfigured(_)) => "misconfigured",
        CallError::Failure(Failure::Throttled { .. }) => "throttled",
        CallError::Failure(Failure::Unavailable(_)) => "unavailable",
        CallError::Internal(_) => "internal",
        CallError::Invalid(_) => "invalid-answer",
        CallError::Limit(_) => "over-limit",
        CallError::Trap { .. } => "trap",
    }
}

/// A component's failure, bounded, in one line, and without the values of secrets.
fn told(failure: wit::Failure, redactor: &Redactor) -> Failure {
    let clean = |text: String| redactor.clean(&text, FAILURE_TEXT);
    match failure {
        wit::Failure::Denied(text) => Failure::Denied(clean(text)),
        wit::Failure::Misconfigured(text) => Failure::Misconfigured(clean(text)),
        wit::Failure::Throttled(throttle) => {
            Failure::Throttled { message: clean(throttle.message), retry_after: Span::millis(throttle.retry_after_ms) }
        }
        wit::Failure::Unavailable(text) => Failure::Unavailable(clean(text)),
    }
}

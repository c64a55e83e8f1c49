//! A login: its process, its ticket, and the contexts that use them.
//!
//! A task of its own gets a ticket, gets the next one at half of its life, and tries again after a failure; the ticket that
//! is held serves until it expires. Logging in never waits for another login, and no caller waits longer than the login's
//! time limit.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use deputy_core::{KerberosPrincipal, Krb5Conf, LoginPlan, Span, TicketSource, Timestamp};
use deputy_support::{LockUnpoisoned as _, timer_now};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::context::{KerberosContext, Place};
use crate::process::{Held, LoginProcess, LoginProgram};
use crate::wire::{LoginRequest, LoginResponse, LoginSetup, Stepped};
use crate::{Fault, FaultCause, FaultKind, keeper, krb5_conf, login_process};

/// Contexts of one login at a time, of all calls together.
const MOST_CONTEXTS: usize = 1024;
/// Messages of one login under way.
const MOST_MESSAGES: usize = 16;
/// Targets whose locks are kept although no context waits for them.
const MOST_TARGETS: usize = 256;

/// What an operator configures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginConfig {
    pub principal: KerberosPrincipal,
    pub source: TicketSource,
    pub krb5_conf: Krb5Conf,
    /// How long a caller waits, whatever the library or a KDC does.
    pub wait: Span,
    /// After how long a call of the library counts as stuck for good, and the process is replaced: longer than the library
    /// tries silent KDCs, which is half a minute for each realm.
    pub give_up: Span,
}

impl LoginConfig {
    /// How long a caller waits by default: longer than a KDC takes that is well.
    const WAIT: Span = Span::secs(10);
    /// When a call of the library is stuck by default.
    const GIVE_UP: Span = Span::secs(180);

    /// What an operator's plan says, with the default times.
    pub fn of(plan: &LoginPlan) -> Self {
        Self {
            principal: plan.principal.clone(),
            source: plan.tickets.clone(),
            krb5_conf: plan.krb5_conf.clone(),
            wait: Self::WAIT,
            give_up: Self::GIVE_UP,
        }
    }
}

/// How a login is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginStatus {
    pub principal: KerberosPrincipal,
    /// When its ticket expires, if it has one.
    pub expiry: Option<Timestamp>,
    /// When it got that ticket.
    pub last_login: Option<Timestamp>,
    /// Why the latest attempt failed.
    pub fault: Option<Fault>,
    /// By how many seconds the KDC's clock is ahead of this machine's.
    pub clock_offset_seconds: i32,
    /// Contexts that are open.
    pub contexts: usize,
    /// Threads of the library that did not return in time.
    pub stuck: usize,
    /// The number of its process, unless that is being started.
    pub process: Option<u32>,
}

/// A login that keeps its ticket fresh until it is dropped.
pub struct Login {
    shared: Arc<Shared>,
    _keeper: JoinSet<()>,
}

/// What the keeper, the callers and the contexts of a login share.
pub(crate) struct Shared {
    pub(crate) config: LoginConfig,
    pub(crate) program: LoginProgram,
    pub(crate) state: watch::Sender<State>,
    /// A caller needs a ticket, and there is none.
    pub(crate) wanted: Notify,
    contexts: Arc<Semaphore>,
    begins: Arc<Semaphore>,
    /// Those of the begins that may ask a KDC: a silent one leaves turns for targets whose tickets are at hand.
    asks: Arc<Semaphore>,
    pub(crate) messages: Arc<Semaphore>,
    targets: Mutex<Targets>,
}

/// What the keeper says.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) process: Option<Arc<LoginProcess>>,
    pub(crate) ticket: Option<HeldTicket>,
    /// Why the latest attempt failed.
    pub(crate) fault: Option<Fault>,
    /// Attempts that have ended.
    pub(crate) attempts: u64,
}

/// A ticket and its times by this machine's clocks.
#[derive(Clone, Copy)]
pub(crate) struct HeldTicket {
    pub(crate) obtained: Timestamp,
    pub(crate) expiry: Timestamp,
    pub(crate) valid_until: Instant,
    pub(crate) clock_offset_seconds: i32,
}

/// Contexts for a target whose ticket is not at hand begin one after the other: the first one asks the KDC, the others
/// find what it got. A target that the KDC is silent about keeps one thread, whatever the number of its callers.
#[derive(Default)]
struct Targets {
    locks: HashMap<String, Arc<AsyncMutex<()>>>,
    /// Targets whose tickets are at hand, if the ticket-granting ticket is still this one.
    known: HashSet<String>,
    ticket: Option<Timestamp>,
}

impl Login {
    /// Starts to log in. `seed` spreads the attempts of many.
    pub fn start(config: LoginConfig, program: LoginProgram, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            config,
            program,
            state: watch::Sender::default(),
            wanted: Notify::new(),
            contexts: Arc::new(Semaphore::new(MOST_CONTEXTS)),
            begins: Arc::new(Semaphore::new(login_process::BEGIN_THREADS)),
            asks: Arc::new(Semaphore::new(login_process::BEGIN_THREADS / 2)),
            messages: Arc::new(Semaphore::new(MOST_MESSAGES)),
            targets: Mutex::default(),
        });
        let mut keeper = JoinSet::new();
        keeper.spawn(keeper::keep(Arc::clone(&shared), seed));
        Self { shared, _keeper: keeper }
    }

    /// The principal that it logs in as.
    pub fn principal(&self) -> &KerberosPrincipal {
        &self.shared.config.principal
    }

    /// How it is doing.
    pub fn status(&self) -> LoginStatus {
        let state = self.shared.state.borrow();
        LoginStatus {
            principal: self.principal().clone(),
            expiry: state.ticket.map(|ticket| ticket.expiry),
            last_login: state.ticket.map(|ticket| ticket.obtained),
            fault: state.fault.clone(),
            clock_offset_seconds: state.ticket.map_or(0, |ticket| ticket.clock_offset_seconds),
            contexts: MOST_CONTEXTS - self.shared.contexts.available_permits(),
            stuck: state.process.as_ref().map_or(0, |process| process.stuck()),
            process: state.process.as_ref().and_then(|process| process.id()),
        }
    }

    /// Waits until it has a valid ticket, or an attempt has failed, for no longer than its time limit.
    ///
    /// # Errors
    /// Why there is no ticket.
    pub async fn ready(&self) -> Result<(), Fault> {
        let ready = timeout(self.shared.config.wait.duration(), self.shared.ready()).await;
        ready.unwrap_or_else(|_| Err(self.shared.silence())).map(drop)
    }

    /// Begins a context for a target and returns its first token.
    ///
    /// # Errors
    /// If there is no ticket, or none for this target, within the time limit.
    pub async fn begin(&self, target: &KerberosPrincipal) -> Result<(KerberosContext, Stepped), Fault> {
        let begun = timeout(self.shared.config.wait.duration(), self.shared.begin(target.as_str())).await;
        begun.unwrap_or_else(|_| Err(self.shared.silence()))
    }
}

impl Shared {
    pub(crate) fn setup(&self) -> LoginSetup {
        let LoginConfig { principal, source, krb5_conf, .. } = &self.config;
        LoginSetup {
            principal: principal.to_string(),
            source: source.clone(),
            configuration: krb5_conf::configuration(krb5_conf, principal.realm()),
            is_local: krb5_conf::is_local(krb5_conf),
        }
    }

    /// What the caller hears when its time is over.
    fn silence(&self) -> Fault {
        Fault::new(FaultCause::KdcTimeout, format!("{} are over", self.config.wait))
    }

    async fn begin(self: &Arc<Self>, target: &str) -> Result<(KerberosContext, Stepped), Fault> {
        let (process, ticket) = self.ready().await?;
        match self.begin_with(&process, ticket, target).await {
            // The clock stood still while the machine slept.
            Err(fault) if fault.cause == FaultCause::TicketExpired => {
                self.forget(ticket);
                let (process, ticket) = self.ready().await?;
                self.begin_with(&process, ticket, target).await
            }
            begun => begun,
        }
    }

    async fn begin_with(
        self: &Arc<Self>,
        process: &Arc<LoginProcess>,
        ticket: HeldTicket,
        target: &str,
    ) -> Result<(KerberosContext, Stepped), Fault> {
        let permit = Arc::clone(&self.contexts).try_acquire_owned().map_err(|_| Fault::plain(FaultCause::TooMany))?;
        // From here on the process is asked to close the context, whatever happens.
        let place = Place::new(Arc::clone(process), permit);
        let lock = self.lock(ticket, target).await;
        let ask = match &lock {
            Some(_) => {
                let asks = Arc::clone(&self.asks);
                Some(asks.acquire_owned().await.map_err(|_| Fault::plain(FaultCause::Process))?)
            }
            None => None,
        };
        let turn = Arc::clone(&self.begins).acquire_owned().await.map_err(|_| Fault::plain(FaultCause::Process))?;
        let request = LoginRequest::Begin { context: place.context(), target: target.to_owned() };
        match process.call(&request, Held { _turn: Some(turn), _ask: ask, _target: lock }).await? {
            LoginResponse::Stepped(stepped) => {
                self.targets.lock_unpoisoned().known.insert(target.to_owned());
                Ok((KerberosContext::new(place, Arc::clone(self), &stepped), stepped))
            }
            _ => Err(Fault::new(FaultCause::Process, "it gave another answer than asked for")),
        }
    }

    /// The turn for a target, unless its ticket is at hand.
    async fn lock(&self, ticket: HeldTicket, target: &str) -> Option<OwnedMutexGuard<()>> {
        let lock = self.targets.lock_unpoisoned().lock(ticket.obtained, target)?;
        Some(lock.lock_owned().await)
    }

    /// Waits for a process with a valid ticket. Fails with the reason of the latest attempt: that of the next one, if
    /// it may well succeed.
    async fn ready(&self) -> Result<(Arc<LoginProcess>, HeldTicket), Fault> {
        let mut states = self.state.subscribe();
        let seen = states.borrow_and_update().attempts;
        loop {
            {
                let state = states.borrow_and_update();
                if let (Some(process), Some(ticket)) = (&state.process, state.ticket)
                    && !process.has_ended()
                    && ticket.valid_until > timer_now()
                {
                    return Ok((Arc::clone(process), ticket));
                }
                if let Some(fault) = &state.fault
                    && (fault.cause.kind() == FaultKind::Refused || state.attempts > seen)
                {
                    return Err(fault.clone());
                }
            }
            self.wanted.notify_one();
            states.changed().await.map_err(|_| Fault::plain(FaultCause::Process))?;
        }
    }

    /// Takes a ticket out of use that the library calls expired.
    fn forget(&self, expired: HeldTicket) {
        self.state.send_modify(|state| {
            if state.ticket.is_some_and(|ticket| ticket.valid_until == expired.valid_until) {
                state.ticket = None;
            }
        });
    }
}

impl Targets {
    fn lock(&mut self, ticket: Timestamp, target: &str) -> Option<Arc<AsyncMutex<()>>> {
        if self.ticket != Some(ticket) {
            self.ticket = Some(ticket);
            self.known.clear();
        }
        if self.known.contains(target) {
            return None;
        }
        if self.locks.len() >= MOST_TARGETS {
            self.locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Some(Arc::clone(self.locks.entry(target.to_owned()).or_default()))
    }
}

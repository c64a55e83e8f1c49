//! The task that keeps a login's process running and its ticket fresh.

use std::sync::Arc;

use deputy_core::{Span, TicketSource};
use deputy_sources::FileFingerprint;
use deputy_support::{Backoff, SystemClock, pause, timer_now};
use tokio::time::{Instant, timeout, timeout_at};

use crate::login::{HeldTicket, Shared};
use crate::process::{Held, LoginProcess};
use crate::wire::{LoginRequest, LoginResponse, Ticket};
use crate::{Fault, FaultCause, FaultKind};

/// The least time between two attempts, however many callers want one.
const LEAST: Span = Span::secs(1);
/// Delays after a failure that passes by itself.
const UNAVAILABLE: (Span, Span) = (Span::secs(1), Span::secs(30));
/// Delays after a refusal. A KDC may lock a principal after a number of failed attempts.
const REFUSED: (Span, Span) = (Span::secs(30), Span::secs(300));
/// How often an existing cache is looked at.
const CACHE: Span = Span::secs(60);
/// How often a keytab is looked at after a failure.
const KEYTAB: Span = Span::secs(2);

/// Keeps a login until its task is dropped.
pub(crate) async fn keep(shared: Arc<Shared>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut starts = Backoff::new(LEAST, Span::secs(60));
    loop {
        match LoginProcess::start(&shared.program, &shared.setup()) {
            Ok(process) => {
                let process = Arc::new(process);
                shared.state.send_modify(|state| state.process = Some(Arc::clone(&process)));
                if (Keeper { shared: &shared, process: &process }).log_in_again_and_again(&mut random).await {
                    starts.reset();
                }
                // Its tickets are gone with it.
                shared.state.send_modify(|state| {
                    state.process = None;
                    state.ticket = None;
                });
                shared.failed(Fault::new(FaultCause::Process, "it ended"));
            }
            Err(fault) => shared.failed(fault),
        }
        pause(starts.fail(random.u16(..)).duration()).await;
    }
}

/// One process's time.
struct Keeper<'a> {
    shared: &'a Shared,
    process: &'a LoginProcess,
}

impl Keeper<'_> {
    /// Returns when the process has ended, or is of no use any more. The value is whether it ever logged in.
    async fn log_in_again_and_again(&self, random: &mut fastrand::Rng) -> bool {
        let mut unavailable = Backoff::new(UNAVAILABLE.0, UNAVAILABLE.1);
        let mut refused = Backoff::new(REFUSED.0, REFUSED.1);
        let mut succeeded = false;
        loop {
            // Before it is read: one that is replaced from now on is another one.
            let keytab = self.keytab().await;
            let outcome = self.log_in().await;
            if self.process.has_ended() || self.process.has_waited(self.shared.config.give_up) {
                return succeeded;
            }
            let delay = match &outcome {
                Ok(ticket) => {
                    succeeded = true;
                    unavailable.reset();
                    refused.reset();
                    self.next(*ticket)
                }
                Err(fault) if fault.cause.kind() == FaultKind::Refused => refused.fail(random.u16(..)),
                Err(_) => unavailable.fail(random.u16(..)),
            };
            let until = timer_now() + delay.duration();
            match outcome {
                Ok(ticket) => self.shared.obtained(ticket),
                Err(fault) => self.shared.failed(fault),
            }
            if self.wait(until, keytab).await {
                return succeeded;
            }
        }
    }

    /// One attempt. Callers hear of a silent KDC when their time is over, while the attempt goes on.
    async fn log_in(&self) -> Result<Ticket, Fault> {
        let attempt = self.process.call(&LoginRequest::LogIn, Held::default());
        tokio::pin!(attempt);
        let wait = self.shared.config.wait;
        let response = match timeout(wait.duration(), &mut attempt).await {
            Ok(response) => response,
            Err(_) => {
                self.shared.failed(Fault::new(FaultCause::KdcTimeout, format!("no answer for {wait}")));
                let slow = |_| Err(Fault::new(FaultCause::Process, "it does not return from the library"));
                timeout(self.shared.config.give_up.duration(), attempt).await.unwrap_or_else(slow)
            }
        };
        match response? {
            LoginResponse::LoggedIn(ticket) if ticket.life > Span::secs(0) => Ok(ticket),
            LoginResponse::LoggedIn(_) => Err(Fault::new(FaultCause::TicketExpired, "the KDC issued an expired one")),
            _ => Err(Fault::new(FaultCause::Process, "it gave another answer than asked for")),
        }
    }

    /// How long a ticket is kept: half of its life, as MIT's library does it.
    fn next(&self, ticket: Ticket) -> Span {
        let half = Span::millis(ticket.life.as_millis() / 2).max(LEAST);
        match self.shared.config.source {
            TicketSource::Keytab(_) => half,
            TicketSource::Cache(_) => half.min(CACHE),
        }
    }

    /// Waits until the next attempt is due: by time, because a caller has no ticket, or because the keytab was replaced.
    /// Returns whether the process has ended, or is stuck.
    async fn wait(&self, until: Instant, keytab: Option<FileFingerprint>) -> bool {
        let wanted = async {
            loop {
                self.shared.wanted.notified().await;
                if self.shared.is_wanted() {
                    return;
                }
            }
        };
        let due = async {
            // Not at once, however many callers want it.
            pause(LEAST.duration()).await;
            tokio::select! {
                () = wanted => {}
                () = self.keytab_replaced(keytab) => {}
            }
        };
        let early = async { timeout_at(until, due).await.ok() };
        tokio::select! {
            () = self.process.wait_for_end() => true,
            () = self.stuck() => true,
            _ = early => false,
        }
    }

    /// Waits until a call does not return from the library.
    async fn stuck(&self) {
        let give_up = self.shared.config.give_up;
        while !self.process.has_waited(give_up) {
            pause(give_up.duration() / 4).await;
        }
    }

    /// The keytab as it is now, if there is one.
    async fn keytab(&self) -> Option<FileFingerprint> {
        match &self.shared.config.source {
            TicketSource::Keytab(path) => FileFingerprint::of_file(path).await.ok(),
            TicketSource::Cache(_) => None,
        }
    }

    /// Waits until the keytab is another file than the one that was used. Only after a failure: a ticket that is held needs
    /// none.
    async fn keytab_replaced(&self, used: Option<FileFingerprint>) {
        if matches!(self.shared.config.source, TicketSource::Cache(_)) || !self.shared.has_failed() {
            return std::future::pending().await;
        }
        while self.keytab().await == used {
            pause(KEYTAB.duration()).await;
        }
    }
}

impl Shared {
    fn obtained(&self, ticket: Ticket) {
        let wall = SystemClock::wall();
        let mono = timer_now();
        self.state.send_modify(|state| {
            state.ticket = Some(HeldTicket {
                obtained: wall,
                expiry: wall.plus(ticket.life),
                valid_until: mono + ticket.life.duration(),
                clock_offset_seconds: ticket.clock_offset_seconds,
            });
            state.fault = None;
            state.attempts += 1;
        });
        tracing::info!(principal = %self.config.principal, expiry = %wall.plus(ticket.life), "logged in to Kerberos");
    }

    fn failed(&self, fault: Fault) {
        let is_new = self.state.borrow().fault.as_ref() != Some(&fault);
        if is_new {
            let principal = &self.config.principal;
            let fix = fault.cause.fix();
            tracing::warn!(%principal, error = %fault, hint = fix, "cannot log in to Kerberos");
        }
        self.state.send_modify(|state| {
            state.fault = Some(fault);
            state.attempts += 1;
        });
    }

    fn has_failed(&self) -> bool {
        self.state.borrow().fault.is_some()
    }

    /// Whether a caller that has asked still has no ticket, and a new attempt may help it.
    fn is_wanted(&self) -> bool {
        let state = self.state.borrow();
        let has_ticket = state.ticket.is_some_and(|ticket| ticket.valid_until > timer_now());
        let is_refused = state.fault.as_ref().is_some_and(|fault| fault.cause.kind() == FaultKind::Refused);
        !has_ticket && !is_refused
    }
}

//! A security context of a login, as the coordinator holds it.

use std::sync::Arc;

use deputy_support::timer_now;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use crate::login::Shared;
use crate::process::{Held, LoginProcess};
use crate::wire::{LONGEST_MESSAGE, LONGEST_STEP, LoginRequest, LoginResponse, Stepped, Unwrapped};
use crate::{Fault, FaultCause};

/// A context's place in the process. The process forgets the context when this is dropped.
pub(crate) struct Place {
    process: Arc<LoginProcess>,
    context: u64,
    /// Only taken when this is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

/// A security context that has begun. It ends when it is dropped.
pub struct KerberosContext {
    place: Place,
    shared: Arc<Shared>,
    phase: Phase,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Another token of the peer.
    Stepping,
    /// Messages.
    Established,
    /// Nothing: the peer's token was wrong.
    Failed,
}

impl Place {
    pub(crate) fn new(process: Arc<LoginProcess>, permit: OwnedSemaphorePermit) -> Self {
        let context = process.number();
        Self { process, context, permit: Some(permit) }
    }

    pub(crate) fn context(&self) -> u64 {
        self.context
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.process.close(self.context, permit);
        }
    }
}

impl KerberosContext {
    pub(crate) fn new(place: Place, shared: Arc<Shared>, first: &Stepped) -> Self {
        let phase = if first.established { Phase::Established } else { Phase::Stepping };
        Self { place, shared, phase }
    }

    /// Whether messages can be protected.
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Takes the peer's token. After a failure the context is of no use any more.
    ///
    /// # Errors
    /// If the token is wrong, or the context is established already.
    pub async fn step(&mut self, token: Vec<u8>) -> Result<Stepped, Fault> {
        self.expect(Phase::Stepping)?;
        check_length("token", token.len(), LONGEST_STEP)?;
        // Also if the caller goes away meanwhile.
        self.phase = Phase::Failed;
        let request = LoginRequest::Step { context: self.place.context, token };
        let LoginResponse::Stepped(stepped) = self.call(&request).await? else { return Err(confused()) };
        self.phase = if stepped.established { Phase::Established } else { Phase::Stepping };
        Ok(stepped)
    }

    /// Protects a message: signs it, or encrypts it as well.
    ///
    /// # Errors
    /// If the context is not established, or the message is too long.
    pub async fn wrap(&mut self, message: Vec<u8>, confidential: bool) -> Result<Vec<u8>, Fault> {
        self.expect(Phase::Established)?;
        check_length("message", message.len(), LONGEST_MESSAGE)?;
        let request = LoginRequest::Wrap { context: self.place.context, confidential, message };
        let LoginResponse::Wrapped(token) = self.call(&request).await? else { return Err(confused()) };
        Ok(token)
    }

    /// Checks and opens the peer's message.
    ///
    /// # Errors
    /// If the context is not established, or the token is altered, replayed, out of order or too long.
    pub async fn unwrap(&mut self, token: Vec<u8>) -> Result<Unwrapped, Fault> {
        self.expect(Phase::Established)?;
        check_length("token", token.len(), LONGEST_MESSAGE)?;
        let request = LoginRequest::Unwrap { context: self.place.context, token };
        let LoginResponse::Unwrapped(opened) = self.call(&request).await? else { return Err(confused()) };
        Ok(opened)
    }

    fn expect(&self, phase: Phase) -> Result<(), Fault> {
        if self.phase == phase { Ok(()) } else { Err(Fault::plain(FaultCause::WrongState)) }
    }

    async fn call(&self, request: &LoginRequest) -> Result<LoginResponse, Fault> {
        let wait = self.shared.config.wait;
        let until = timer_now() + wait.duration();
        let call = async {
            let turn = Arc::clone(&self.shared.messages).acquire_owned().await.map_err(|_| confused())?;
            self.place.process.call(request, Held { _turn: Some(turn), ..Held::default() }).await
        };
        let slow = |_| Err(Fault::new(FaultCause::Process, format!("it did not answer within {wait}")));
        timeout_at(until, call).await.unwrap_or_else(slow)
    }
}

fn check_length(what: &str, length: usize, most: usize) -> Result<(), Fault> {
    if length <= most {
        return Ok(());
    }
    Err(Fault::new(FaultCause::BadToken, format!("the {what} has {length} bytes, more than {most}")))
}

fn confused() -> Fault {
    Fault::new(FaultCause::Process, "it gave another answer than asked for")
}

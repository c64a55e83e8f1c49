//! What a component holds of a SCRAM login.

use deputy_core::SecretName;
use deputy_scram::{ClientFinal, ClientFirst, Mechanism};

/// A login, as a component holds it: the name of the password, not its value.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct LoginHandle {
    pub(super) secret: SecretName,
    pub(super) username: String,
    pub(super) client_first: String,
    pub(super) progress: LoginProgress,
    mechanism: Mechanism,
}

/// How far a login is.
#[derive(Debug)]
pub(super) enum LoginProgress {
    /// The server has not answered.
    Begun(ClientFirst),
    /// It has, and the proof is being made or was refused.
    Answered,
    /// The proof is made.
    Proven(ClientFinal),
}

impl LoginHandle {
    pub(super) fn new(secret: SecretName, username: String, mechanism: Mechanism, first: ClientFirst) -> Self {
        Self { secret, username, client_first: first.message(), progress: LoginProgress::Begun(first), mechanism }
    }

    /// For the audit log.
    pub(super) fn scope(&self) -> String {
        format!("{} as {}", self.mechanism, self.username)
    }

    /// The first message, once: a second proof for the same nonce would be another guess at the password's digest.
    pub(super) fn take_first(&mut self) -> Option<ClientFirst> {
        match std::mem::replace(&mut self.progress, LoginProgress::Answered) {
            LoginProgress::Begun(first) => Some(first),
            proven @ LoginProgress::Proven(_) => {
                self.progress = proven;
                None
            }
            LoginProgress::Answered => None,
        }
    }
}

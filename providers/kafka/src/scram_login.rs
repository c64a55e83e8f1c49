//! A login by SCRAM: the host has the password, makes the proof, and checks the broker's signature.

use crate::bindings::delegation::tokens::scram;
use crate::bindings::delegation::tokens::secrets::{self, SecretError};
use deputy_kit::failure;
use deputy_kit_hadoop::kafka::{KafkaError, SaslLogin, utf8};
use deputy_scram::Mechanism;

/// A login with a secret of the host.
pub(crate) struct ScramLogin {
    mechanism: Mechanism,
    login: scram::Login,
    is_answered: bool,
}

impl ScramLogin {
    /// Begins a login.
    ///
    /// # Errors
    /// If the operator has not granted the secret for it.
    pub(crate) fn begin(mechanism: Mechanism, secret: &str) -> Result<Self, KafkaError> {
        let login = secrets::open(secret).and_then(|secret| scram::Login::begin(&secret, mechanism.name())).map_err(
            |error| match error {
                SecretError::Denied(text) => {
                    let text = format!("secret `{secret}` is not granted for SCRAM: {text}");
                    KafkaError::Host(failure::misconfigured(text).setting("secret"))
                }
                other => refused(other),
            },
        )?;
        Ok(Self { mechanism, login, is_answered: false })
    }
}

impl SaslLogin for ScramLogin {
    fn mechanism(&self) -> &'static str {
        self.mechanism.name()
    }

    fn begin(&mut self) -> Result<Vec<u8>, KafkaError> {
        Ok(self.login.client_first().into_bytes())
    }

    fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, KafkaError> {
        let message = utf8(message)?;
        if self.is_answered {
            self.login.verify(message).map_err(refused)?;
            return Ok(None);
        }
        self.is_answered = true;
        self.login.client_final(message).map(|answer| Some(answer.into_bytes())).map_err(refused)
    }
}

/// What the host found wrong with the broker's messages is the broker's refusal or an attack: nothing to retry soon.
fn refused(error: SecretError) -> KafkaError {
    KafkaError::Host(match error {
        SecretError::Denied(text) => failure::misconfigured(text),
        SecretError::Invalid(text) => failure::denied(text),
        SecretError::Unavailable(text) => failure::unavailable(text),
    })
}

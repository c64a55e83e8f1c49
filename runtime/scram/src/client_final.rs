//! The last message of the client, and what proves that the server knows the password.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{MAX_MESSAGE, ScramError, ScramKey};

/// The answer to a challenge. It has no `Debug` of its contents: the server's signature is to come from the server.
#[derive(Clone)]
pub struct ClientFinal {
    message: String,
    server_signature: ScramKey,
}

impl ClientFinal {
    pub(crate) fn new(message: String, server_signature: ScramKey) -> Self {
        Self { message, server_signature }
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Reads the server's last message.
    ///
    /// # Errors
    /// If it is malformed, reports an error, or has another signature than that of a server that knows the password.
    pub fn verify(&self, server_final: &str) -> Result<(), ScramError> {
        if server_final.len() > MAX_MESSAGE {
            return Err(ScramError::Outcome("it is too long"));
        }
        let first = server_final.split(',').next().unwrap_or_default();
        if first.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let signature = first.strip_prefix("v=").ok_or(ScramError::Outcome("it has no signature"))?;
        let signature = STANDARD.decode(signature).map_err(|_| ScramError::Outcome("its signature is not base64"))?;
        if is_equal(&signature, &self.server_signature) { Ok(()) } else { Err(ScramError::Signature) }
    }
}

/// Takes as long for a difference in the first byte as for one in the last.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |seen, (one, other)| std::hint::black_box(seen | (one ^ other)));
    one.len() == other.len() && differing == 0
}

impl fmt::Debug for ClientFinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFinal").finish_non_exhaustive()
    }
}

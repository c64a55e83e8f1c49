//! What a call returned, for the call's redactor: a component may have written it to the log before.

use std::sync::Arc;

use deputy_core::{Outputs, SecretBytes};

use crate::bindings::delegation::tokens::types as wit;
use crate::bindings::receives::exports::delegation::tokens::receiver::Accepted;
use crate::redact::Redactor;

/// What a function of the contract returns when it succeeds.
pub(crate) trait GuestAnswer {
    /// Makes known what of it no log may show.
    fn teach(&self, _: &Redactor) {}
}

impl GuestAnswer for () {}
impl GuestAnswer for bool {}
impl GuestAnswer for String {}
impl GuestAnswer for Vec<String> {}

/// A receiver returns nothing that it was not given.
impl GuestAnswer for (Accepted, Outputs) {}

impl GuestAnswer for wit::Tokens {
    fn teach(&self, redactor: &Redactor) {
        teach(redactor, "payload", &self.payload);
        teach(redactor, "handle", &self.handle);
    }
}

/// Makes a value known by a name, if there is one.
pub(crate) fn teach(redactor: &Redactor, name: &str, value: &[u8]) {
    if !value.is_empty() {
        redactor.learn(&name, &Arc::new(SecretBytes::new(value.to_vec())));
    }
}

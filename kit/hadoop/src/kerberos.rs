//! The host's Kerberos capability as a [`SecurityContext`].
//!
//! A component that uses it includes `delegation:tokens/uses-kerberos` in its world and maps the interface to [`interface`].

use crate::sasl::{ContextError, ContextStep, OpenedMessage, SecurityContext};
use interface::{Context, KerberosError};

mod bindings {
    #![allow(
        missing_docs,
        unsafe_code,
        unused_qualifications,
        reason = "generated from the contract, documented there"
    )]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package deputy:kit-hadoop;
            world kerberos { import delegation:tokens/kerberos@0.2.0; }
        ",
        world: "deputy:kit-hadoop/kerberos",
        generate_all,
    });
}

/// The contract's interface, generated from `wit/kerberos.wit`.
pub use bindings::delegation::tokens::kerberos as interface;

/// Opens a context with a service's principal.
///
/// # Errors
/// If the operator has not granted it.
pub fn open(target: &str) -> Result<Context, ContextError> {
    Ok(Context::open(target)?)
}

/// The principal that the operator granted, such as `alice@EXAMPLE.COM`.
///
/// # Errors
/// If the operator has granted no login.
pub fn principal() -> Result<String, ContextError> {
    Ok(interface::principal()?)
}

impl From<KerberosError> for ContextError {
    fn from(error: KerberosError) -> Self {
        match error {
            KerberosError::Denied(text) => Self::Denied(text),
            KerberosError::Unavailable(text) => Self::Unavailable(text),
            KerberosError::Refused(text) => Self::Refused(text),
            KerberosError::BadToken(text) => Self::BadToken(text),
            KerberosError::WrongState => Self::WrongState,
        }
    }
}

impl SecurityContext for Context {
    fn step(&mut self, token: &[u8]) -> Result<ContextStep, ContextError> {
        let step = Context::step(self, token)?;
        Ok(ContextStep { token: step.token, established: step.established })
    }

    fn wrap(&mut self, message: &[u8], confidential: bool) -> Result<Vec<u8>, ContextError> {
        Ok(Context::wrap(self, message, confidential)?)
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<OpenedMessage, ContextError> {
        let unwrapped = Context::unwrap(self, token)?;
        Ok(OpenedMessage { message: unwrapped.message, sealed: unwrapped.encrypted })
    }
}

//! Why an operation on a secret did not succeed.

use deputy_core::PolicyDenial;
use wasmtime::component::ResourceTableError;

use crate::secret_fault::SecretFault;

/// Why an operation did not succeed. The bindings turn it into the contract's `secret-error`, or into a trap.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings name it")]
pub enum SecretUseError {
    /// The argument is not one that the operation takes.
    Invalid(String),
    /// Not granted, or over a limit.
    Denied(PolicyDenial),
    /// The operator's part fails; the text is for the operator alone.
    Unavailable(SecretFault),
    /// A handle that does not exist, or no room for another one: ends the call.
    Trap(ResourceTableError),
}

impl From<ResourceTableError> for SecretUseError {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error)
    }
}

//! What a component holds of an open secret.

use deputy_core::SecretName;

/// An open secret, as a component holds it: its name, not its value.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct SecretHandle {
    pub(super) name: SecretName,
}

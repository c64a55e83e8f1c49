//! The capability `secrets`.

/// An open secret, as a component holds it.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Handle;

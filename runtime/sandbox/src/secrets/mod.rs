//! The capability `secrets`.

/// An open secret, as a component holds it.
pub(crate) struct Handle;

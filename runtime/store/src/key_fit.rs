//! Whether a master key is that of a state, as a command that only looks finds it.

/// What a state that a key was tried with is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFit {
    /// A sealed record opens with it.
    Fits,
    /// There is no state yet.
    NoState,
}

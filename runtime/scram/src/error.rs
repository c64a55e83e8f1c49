//! Why a login ends.

/// Why a login ends. Quotes nothing of a message, since a server chose it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A mechanism that is not known here.
    #[error("not a mechanism: SCRAM-SHA-256 or SCRAM-SHA-512 is required")]
    Mechanism,
    /// A user's name that no message can carry.
    #[error("not a user name: use 1 to 255 bytes without control characters")]
    Username,
    /// The first message of the server.
    #[error("the server's first SCRAM message is malformed: {0}")]
    Challenge(&'static str),
    /// The server's nonce does not begin with the client's, or adds nothing to it.
    #[error("the server's SCRAM nonce does not extend the client's")]
    Nonce,
    /// Too few iterations, or too many.
    #[error("the server asks for {0} SCRAM iterations, and {1} to {2} are accepted")]
    Iterations(u32, u32, u32),
    /// The last message of the server.
    #[error("the server's last SCRAM message is malformed: {0}")]
    Outcome(&'static str),
    /// The server reports an error: by RFC 5802 the password is wrong, the user is unknown, or something else.
    #[error("the server refuses the SCRAM login")]
    Refused,
    /// The server's signature is wrong.
    #[error("the server's SCRAM signature is wrong: it does not know the password")]
    Signature,
}

//! Why an operation over HTTP fails.

use crate::active::ServerError;
use crate::lifecycle::TokenCallError;
use crate::rpc::RemoteError;
use crate::token::TokenError;
use deputy_kit::failure;
use deputy_kit::http::SendError;
use deputy_kit::types::Failure;
use std::fmt;

/// Why an operation fails.
#[derive(Debug)]
pub enum RestError {
    /// There is no response.
    Send(SendError),
    /// An exception of Hadoop.
    Remote {
        /// The status code.
        status: u16,
        /// The exception.
        remote: RemoteError,
        /// The delay that the server asks for, in milliseconds.
        delay: Option<u64>,
    },
    /// Another response than 200, from a proxy or the login.
    Status {
        /// The status code.
        status: u16,
        /// Whether the server asks for a ticket.
        wants_ticket: bool,
        /// The delay that the server asks for, in milliseconds.
        delay: Option<u64>,
    },
    /// A server of a set that is not active, and knows none that is.
    Standby,
    /// A response that is not the JSON of this operation.
    Form,
    /// The response holds no token: the service issues none.
    NoToken,
    /// The token of the response can't be read.
    Token(TokenError),
    /// Of a set of servers none is active.
    NoActive {
        /// What each of them says.
        text: String,
        /// Whether one of them fails because of the configuration.
        is_misconfigured: bool,
    },
}

impl fmt::Display for RestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(error) => error.fmt(f),
            Self::Remote { status, remote, .. } => write!(f, "{status} {remote}"),
            Self::Status { status, wants_ticket: true, .. } => {
                write!(f, "{status}: the server wants a Kerberos ticket: give the http rule `negotiate`")
            }
            Self::Status { status, .. } => write!(f, "{status} without a reason"),
            Self::Standby => f.write_str("this server is not active, and knows none that is"),
            Self::Form => f.write_str("the answer is not the JSON of this operation"),
            Self::NoToken => f.write_str("the server returns no token: its security may be off"),
            Self::Token(error) => error.fmt(f),
            Self::NoActive { text, .. } => write!(f, "no server is active: {text}"),
        }
    }
}

impl From<SendError> for RestError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<TokenError> for RestError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl TokenCallError for RestError {
    fn is_refusal(&self) -> bool {
        self.is_token_refused()
    }

    /// KMS says so by a 403 without a reason.
    fn is_token_refused(&self) -> bool {
        match self {
            Self::Remote { remote, .. } => remote.is_invalid_token() || remote.is_access_control(),
            Self::Status { status, .. } => matches!(status, 403 | 404),
            _ => false,
        }
    }

    /// KMS says so by a 404 without a reason.
    fn is_token_unknown(&self) -> bool {
        match self {
            Self::Remote { remote, .. } => remote.is_invalid_token(),
            Self::Status { status, .. } => *status == 404,
            _ => false,
        }
    }
}

impl ServerError for RestError {
    fn may_be_answered_elsewhere(&self) -> bool {
        match self {
            Self::Send(SendError::Unreachable(_) | SendError::NotGranted(_)) => true,
            Self::Remote { remote, .. } => remote.is_standby() || remote.is_temporary(),
            // A standby redirects to the active one, or to where it would be.
            Self::Status { status, .. } => *status >= 500 || *status == 307,
            Self::Standby => true,
            _ => false,
        }
    }

    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Send(SendError::Unreachable(_)) => false,
            Self::Send(_) => true,
            Self::Status { wants_ticket, .. } => *wants_ticket,
            Self::NoActive { is_misconfigured, .. } => *is_misconfigured,
            _ => false,
        }
    }

    fn names_server(&self) -> bool {
        matches!(self, Self::Send(_))
    }

    fn no_active(text: String, is_misconfigured: bool) -> Self {
        Self::NoActive { text, is_misconfigured }
    }
}

impl From<RestError> for Failure {
    fn from(error: RestError) -> Self {
        let text = error.to_string();
        if error.is_misconfigured() {
            return failure::misconfigured(text);
        }
        match error {
            RestError::Send(error) => error.into(),
            RestError::Status { status: 429, delay, .. } | RestError::Remote { status: 429, delay, .. } => {
                failure::throttled(text, delay)
            }
            RestError::Remote { remote, .. } => Self { message: text, ..remote.into() },
            RestError::Status { status: 500.., .. } | RestError::Standby | RestError::NoActive { .. } => {
                failure::unavailable(text)
            }
            RestError::Status { .. } | RestError::Form | RestError::NoToken | RestError::Token(_) => {
                failure::denied(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Next;

    fn status(status: u16, delay: Option<u64>) -> RestError {
        RestError::Status { status, wants_ticket: false, delay }
    }

    #[test]
    fn rest_failure_decides_what_is_done_next() {
        let remote = |class| RestError::Remote { status: 403, remote: RemoteError::new(class, "text"), delay: None };
        for (error, next) in [
            (RestError::Send(SendError::Unreachable("x".to_owned())), Next::Unavailable),
            (RestError::Send(SendError::NotGranted("x".to_owned())), Next::Misconfigured),
            (remote("org.apache.hadoop.ipc.StandbyException"), Next::Unavailable),
            (remote("org.apache.hadoop.security.authorize.AuthorizationException"), Next::Denied),
            (status(429, Some(3)), Next::Throttled),
            (status(503, None), Next::Unavailable),
            (status(302, None), Next::Denied),
            (RestError::Status { status: 401, wants_ticket: true, delay: None }, Next::Misconfigured),
            (RestError::Form, Next::Denied),
            (RestError::no_active("x".to_owned(), false), Next::Unavailable),
            (RestError::no_active("x".to_owned(), true), Next::Misconfigured),
        ] {
            let text = error.to_string();
            assert_eq!(Failure::from(error).next, next, "{text}");
        }
        assert_eq!(Failure::from(status(429, Some(3))).retry_after_ms, Some(3));
    }
}

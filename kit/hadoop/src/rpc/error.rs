//! Why a call of Hadoop RPC fails, or one of HBase or of Hive's metastore, which fail alike.

use crate::active::ServerError;
use crate::frames::FramingError;
use crate::lifecycle::TokenCallError;
use crate::sasl::{ContextError, SaslError};
use deputy_kit::tcp::TcpError;
use deputy_kit::text::one_line;
use std::fmt;

/// Why a connection or a call fails. Texts of a server are on one line and bounded.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] TcpError),
    /// The connection fails, or a length is wrong.
    #[error(transparent)]
    Frame(#[from] FramingError),
    /// The login fails.
    #[error(transparent)]
    Sasl(#[from] SaslError),
    /// The server does not speak this protocol, for the reason given.
    #[error("the server does not speak {0}: {1}")]
    Protocol(&'static str, &'static str),
    /// The server wants no login at all: its security is off, or another server answers.
    #[error("the server has no Kerberos: it accepts every user without a login")]
    NoSecurity,
    /// The server offers other logins only.
    #[error("the server offers no login by Kerberos, but {0}")]
    NoKerberos(String),
    /// The server calls itself by a name that is not expected.
    #[error(
        "the server calls itself `{offered}`, and `{expected}` is expected: set `principal` to accept another name"
    )]
    ServerName {
        /// What the server says.
        offered: String,
        /// What is accepted.
        expected: String,
    },
    /// The server refuses the call.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The answer has no token: the service issues none.
    #[error("the server returns no token: its security may be off")]
    NoToken,
    /// No region server of HBase has `hbase:meta` now.
    #[error("no region server has hbase:meta now: HBase starts, or is recovering")]
    NoMeta,
    /// Of a set of servers none is active.
    #[error("no server is active: {text}")]
    NoActive {
        /// What each of them says.
        text: String,
        /// Whether one of them fails because of the configuration, which retrying does not mend.
        is_misconfigured: bool,
    },
}

impl ServerError for RpcError {
    fn may_be_answered_elsewhere(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Frame(_) | Self::Protocol(..) | Self::NoMeta => true,
            Self::Remote(error) => error.is_standby() || error.is_temporary(),
            _ => false,
        }
    }

    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Connect(TcpError::NotGranted(_)) | Self::NoActive { is_misconfigured: true, .. } => true,
            Self::Frame(error) => error.is_other_protocol(),
            _ => false,
        }
    }

    fn names_server(&self) -> bool {
        matches!(self, Self::Connect(_))
    }

    fn no_active(text: String, is_misconfigured: bool) -> Self {
        Self::NoActive { text, is_misconfigured }
    }
}

impl TokenCallError for RpcError {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Remote(error) if !error.is_standby() && !error.is_temporary())
    }

    fn is_token_refused(&self) -> bool {
        match self {
            // Hive's metastore has one exception for every reason.
            Self::Remote(error) => {
                error.is_invalid_token() || error.is_access_control() || error.name() == "MetaException"
            }
            _ => false,
        }
    }

    fn is_token_unknown(&self) -> bool {
        matches!(self, Self::Remote(error) if error.is_invalid_token())
    }
}

impl From<ContextError> for RpcError {
    fn from(error: ContextError) -> Self {
        Self::Sasl(error.into())
    }
}

/// An exception of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    /// The class of the exception, with its package.
    pub class: String,
    /// The first line of its message. What follows is the server's stack.
    pub text: String,
}

/// Letters of a class that are kept, and of a text.
const MAX_CLASS: usize = 200;
const MAX_TEXT: usize = 300;

impl RemoteError {
    /// Keeps one bounded line of what the server says.
    #[must_use]
    pub fn new(class: &str, text: &str) -> Self {
        let first = text.trim_start().lines().next().unwrap_or_default();
        Self { class: one_line(class, MAX_CLASS), text: one_line(first, MAX_TEXT) }
    }

    /// The class without its package.
    #[must_use]
    pub fn name(&self) -> &str {
        self.class.rsplit(['.', '$']).next().unwrap_or(&self.class)
    }

    /// Whether another server of the set is to be asked: this one is a standby or an observer.
    #[must_use]
    pub fn is_standby(&self) -> bool {
        matches!(self.name(), "StandbyException" | "ObserverRetryOnActiveException")
    }

    /// Whether the same server may answer later: it starts, is in safe mode or has too much to do.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.name(),
            "RetriableException"
                | "SafeModeException"
                | "ServerNotRunningYetException"
                | "MasterNotRunningException"
                | "PleaseHoldException"
                | "NotServingRegionException"
                | "RegionMovedException"
                | "RegionOpeningException"
                | "RegionServerStoppedException"
                | "RegionServerAbortedException"
                | "RegionTooBusyException"
                | "CallQueueTooBigException"
        )
    }

    /// Whether the server does not let this user do it.
    #[must_use]
    pub fn is_access_control(&self) -> bool {
        self.name() == "AccessControlException"
    }

    /// Whether the server does not accept a token: it is expired, cancelled or unknown.
    #[must_use]
    pub fn is_invalid_token(&self) -> bool {
        self.name() == "InvalidToken"
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.text.as_str()) {
            ("", "") => f.write_str("the server refuses without a reason"),
            ("", text) => f.write_str(text),
            (name, "") => f.write_str(name),
            (name, text) => write!(f, "{name}: {text}"),
        }
    }
}

impl std::error::Error for RemoteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpc_error_text_is_one_bounded_line() {
        let stack = format!("{}\n\tat {}", "é".repeat(5000), "java.lang.Thread".repeat(700_000));
        let error = RemoteError::new(&"org.apache.".repeat(100_000), &stack);
        assert!(error.to_string().chars().count() <= MAX_TEXT + MAX_CLASS + 4, "{}", error.to_string().len());
        let error = RemoteError::new("org.apache.X", "\n  first\u{1b}[31m\rsecond\nthird");
        assert_eq!(error.to_string(), "X: first [31m second");
        assert_eq!(RemoteError::new("", "").to_string(), "the server refuses without a reason");
        assert_eq!(RemoteError::new("", "text").to_string(), "text");
        assert_eq!(RemoteError::new("a.B", "").to_string(), "B");
    }

    #[test]
    fn rpc_error_says_who_is_to_be_asked_next() {
        let named = |class| RemoteError::new(class, "");
        assert!(named("org.apache.hadoop.ipc.StandbyException").is_standby());
        assert!(named("org.apache.hadoop.ipc.RetriableException").is_temporary());
        assert!(named("org.apache.hadoop.security.token.SecretManager$InvalidToken").is_invalid_token());
        let denied = named("org.apache.hadoop.security.AccessControlException");
        assert!(!denied.is_standby() && !denied.is_temporary() && !denied.is_invalid_token());
    }
}

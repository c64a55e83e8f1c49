//! What brokers refuse, and what the host does next.

use std::fmt;

use crate::active::ServerError;
use crate::frames::FramingError;
use crate::sasl::SaslError;
use deputy_kit::failure;
use deputy_kit::tcp::TcpError;
use deputy_kit::types::Failure;
use deputy_scram::ScramError;

/// A number of Kafka's table of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaErrorCode(pub i16);

impl KafkaErrorCode {
    /// None.
    pub const NONE: Self = Self(0);
    /// `UNSUPPORTED_SASL_MECHANISM`
    pub const UNSUPPORTED_MECHANISM: Self = Self(33);
    /// `SASL_AUTHENTICATION_FAILED`
    pub const AUTHENTICATION_FAILED: Self = Self(58);
    /// `DELEGATION_TOKEN_NOT_FOUND`
    pub const TOKEN_NOT_FOUND: Self = Self(62);
    /// `DELEGATION_TOKEN_EXPIRED`
    pub const TOKEN_EXPIRED: Self = Self(66);

    /// Kafka's name for it, of those that these calls return.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            -1 => "UNKNOWN_SERVER_ERROR",
            0 => "NONE",
            7 => "REQUEST_TIMED_OUT",
            8 => "BROKER_NOT_AVAILABLE",
            13 => "NETWORK_EXCEPTION",
            14 => "COORDINATOR_LOAD_IN_PROGRESS",
            15 => "COORDINATOR_NOT_AVAILABLE",
            31 => "CLUSTER_AUTHORIZATION_FAILED",
            33 => "UNSUPPORTED_SASL_MECHANISM",
            34 => "ILLEGAL_SASL_STATE",
            35 => "UNSUPPORTED_VERSION",
            41 => "NOT_CONTROLLER",
            42 => "INVALID_REQUEST",
            58 => "SASL_AUTHENTICATION_FAILED",
            61 => "DELEGATION_TOKEN_AUTH_DISABLED",
            62 => "DELEGATION_TOKEN_NOT_FOUND",
            63 => "DELEGATION_TOKEN_OWNER_MISMATCH",
            64 => "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
            65 => "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
            66 => "DELEGATION_TOKEN_EXPIRED",
            67 => "INVALID_PRINCIPAL_TYPE",
            89 => "THROTTLING_QUOTA_EXCEEDED",
            _ => "UNKNOWN",
        }
    }

    /// What an operator can do about it.
    fn hint(self) -> &'static str {
        match self.0 {
            35 => "; a token for another owner needs Kafka 3.3",
            61 => "; the brokers have no delegation.token.secret.key",
            63 => "; this user neither owns the token nor may renew it",
            64 => "; tokens are issued over SASL or mutual TLS, and not to a login by a token",
            65 => "; this user may not create tokens for that owner: it needs CreateTokens on the user",
            _ => "",
        }
    }

    /// Whether the same call may succeed later, or at another broker.
    fn is_temporary(self) -> bool {
        matches!(self.0, -1 | 7 | 8 | 13 | 14 | 15 | 41)
    }

    /// Whether there is no such token any more.
    #[must_use]
    pub fn is_of_ended_token(self) -> bool {
        self == Self::TOKEN_NOT_FOUND || self == Self::TOKEN_EXPIRED
    }
}

impl fmt::Display for KafkaErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// Why a call of a broker fails.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] TcpError),
    /// There is no answer.
    #[error(transparent)]
    Frame(#[from] FramingError),
    /// The server speaks another protocol.
    #[error("the server does not speak Kafka's protocol: {0}")]
    Protocol(&'static str),
    /// The broker refuses.
    #[error("{call}: {code}{}{text}{}", if text.is_empty() { "" } else { ": " }, code.hint())]
    Refused {
        /// The call.
        call: &'static str,
        /// The broker's reason.
        code: KafkaErrorCode,
        /// What it says of it, in one bounded line.
        text: String,
    },
    /// The listener has other mechanisms.
    #[error("the listener does not have {mechanism}; it has {offered}")]
    Mechanism {
        /// The mechanism that is asked for.
        mechanism: &'static str,
        /// What it has.
        offered: String,
    },
    /// A login by Kerberos.
    #[error(transparent)]
    Sasl(#[from] SaslError),
    /// A login by SCRAM with a token.
    #[error(transparent)]
    Scram(#[from] ScramError),
    /// The host's capability refuses.
    #[error("{}", .0.message)]
    Host(Failure),
    /// No broker can serve the call.
    #[error("no broker can serve the call: {text}")]
    NoActive {
        /// What each of them says.
        text: String,
        /// Whether the configuration has to change first.
        is_misconfigured: bool,
    },
}

impl KafkaError {
    /// The broker's reason, if it refused.
    #[must_use]
    pub fn code(&self) -> Option<KafkaErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl ServerError for KafkaError {
    fn may_be_answered_elsewhere(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Frame(_) | Self::Protocol(_) => true,
            Self::Refused { code, .. } => code.is_temporary(),
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

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        let text = error.to_string();
        match error {
            KafkaError::Connect(error) => error.into(),
            KafkaError::Frame(error) => error.into(),
            KafkaError::Sasl(error) => error.into(),
            KafkaError::Host(failure) => failure,
            KafkaError::Scram(_) => failure::denied(text),
            KafkaError::Mechanism { .. } | KafkaError::NoActive { is_misconfigured: true, .. } => {
                failure::misconfigured(text)
            }
            KafkaError::Protocol(_) | KafkaError::NoActive { .. } => failure::unavailable(text),
            KafkaError::Refused { code, .. } => of_code(code, text).code(code.name()),
        }
    }
}

fn of_code(code: KafkaErrorCode, text: String) -> Failure {
    match code.0 {
        89 => failure::throttled(text, None),
        61 => failure::misconfigured(text),
        _ if code.is_temporary() => failure::unavailable(text),
        _ => failure::denied(text),
    }
}

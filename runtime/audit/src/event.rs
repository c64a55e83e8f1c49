//! The audit event.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::AuditSubject;

/// One audit event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Who acted.
    #[serde(flatten)]
    pub actor: AuditSubject,
    /// The call in which it acted; 0 if it was in none.
    #[serde(skip_serializing_if = "CallId::is_none")]
    pub call: CallId,
    /// What it did.
    #[serde(flatten)]
    pub what: AuditAction,
    /// How that ended.
    pub outcome: AuditOutcome,
    /// The refusal's code, or a word for the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A call's number, unique in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CallId(pub u64);

/// What a component did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum AuditAction {
    /// A receiver's `accept` ended.
    Accept {
        /// What it was given.
        deliveries: Vec<AcceptedDelivery>,
        /// How many files it put. Nobody sees them unless the outcome is `done`.
        files: u32,
        /// Their bytes.
        bytes: u64,
        /// How long it took.
        millis: u64,
    },
    /// The call itself ended.
    Call {
        /// `obtain`, `renew`, …
        function: &'static str,
        /// How long it took.
        millis: u64,
    },
    /// The call was refused more than the audit log holds of one call or one hour.
    Dropped {
        /// How many refusals are missing.
        events: u64,
    },
    /// An HTTP request.
    Http {
        /// The method.
        method: String,
        /// `https://host:port`
        target: String,
        /// The path without the query.
        path: String,
        /// The address that it went to, or was refused for.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
        /// The answer's status.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Bytes of the request's body.
        sent: u64,
        /// Bytes of the answer's body that the component took.
        received: u64,
        /// Names of the secrets that the host added.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        injected: Vec<String>,
    },
    /// A name was looked up.
    Name {
        /// The name.
        host: String,
    },
    /// A receiver put a file.
    Output {
        /// Where it asked it to be.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// A secret was opened or used.
    Secret {
        /// The operator's name of it.
        secret: String,
        /// `open`, `sigv4`, …
        operation: String,
        /// What the grant was checked for: service and region, issuer and audiences.
        #[serde(skip_serializing_if = "String::is_empty")]
        scope: String,
    },
    /// A TCP connection.
    Tcp {
        /// Where to.
        address: String,
    },
    /// A worker joined, connected, renewed its certificate, or wanted an instance.
    Worker {
        /// `join`, `connect`, `renew`, `subscribe`.
        operation: &'static str,
        /// Its group.
        #[serde(skip_serializing_if = "String::is_empty")]
        group: String,
        /// The instance that it wanted.
        #[serde(skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
        /// From where.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// Something of WASI that is never allowed.
    Wasi {
        /// What.
        operation: &'static str,
    },
}

impl CallId {
    /// Of what happens outside of a call.
    pub const NONE: Self = Self(0);

    fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

/// A delivery that a receiver was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedDelivery {
    /// Of which instance.
    pub instance: String,
    /// Which lease of it.
    pub revision: u64,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditOutcome {
    /// Allowed, and about to leave this process. Another event says how it ended, unless the process did not live to
    /// write it.
    Begun,
    /// The call ended first.
    Cancelled,
    /// Allowed, and it worked.
    Done,
    /// Allowed, and it failed.
    Failed,
    /// Not allowed.
    Refused,
}

impl AuditOutcome {
    /// The word in audit events and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

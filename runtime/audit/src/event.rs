//! The audit event.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::{AuditSubject, SignedContent};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    #[serde(flatten)]
    pub subject: AuditSubject,
    /// The call in which the subject acted; 0 outside of a call.
    #[serde(skip_serializing_if = "CallId::is_none")]
    pub call: CallId,
    #[serde(flatten)]
    pub action: AuditAction,
    pub outcome: AuditOutcome,
    /// The code of the denial or refusal, or a word for the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A call's number, unique in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CallId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum AuditAction {
    /// A receiver's `accept` ended.
    Accept {
        deliveries: Vec<AcceptedDelivery>,
        /// Files that it put. They are published only if the outcome is `done`.
        files: u32,
        bytes: u64,
        millis: u64,
    },
    Call {
        /// `obtain`, `renew`, …
        function: &'static str,
        millis: u64,
    },
    /// Denials beyond what the audit log holds of one call or one hour.
    Dropped {
        /// The number of missing denials.
        events: u64,
    },
    Http {
        method: String,
        /// `https://host:port`
        target: String,
        /// The path without the query.
        path: String,
        /// The address that was connected to or denied.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Bytes of the request body.
        sent: u64,
        /// Bytes of the response body that the component read.
        received: u64,
        /// Names of the secrets that the host added.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        injected: Vec<String>,
    },
    /// A Kerberos context with a service.
    Kerberos {
        /// The service's principal.
        target: String,
        /// Bytes of messages that it protected.
        wrapped: u64,
        /// Bytes of tokens that it opened.
        unwrapped: u64,
    },
    /// A host name was resolved.
    Name { host: String },
    /// A receiver put a file.
    Output { path: String, bytes: u64 },
    /// A secret was opened or used.
    Secret {
        /// The name in the configuration.
        secret: String,
        /// `open`, `sigv4`, …
        operation: String,
        /// What the grant was checked for: service and region, issuer and audiences.
        #[serde(skip_serializing_if = "String::is_empty")]
        scope: String,
        /// What a signature covers beside that.
        #[serde(flatten)]
        signed: SignedContent,
    },
    /// State of the instance was loaded or saved. Never the value or its size.
    State {
        /// `load` or `save`.
        operation: &'static str,
    },
    Tcp {
        address: String,
        /// The granted name that resolved to the address, unless the address itself is granted.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Bytes, as the component wrote and read them.
        sent: u64,
        received: u64,
        /// Name of the secret that the host used: the key of a client certificate.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        injected: Vec<String>,
    },
    /// A request of a worker.
    Worker {
        /// `join`, `connect`, `renew`, `subscribe`.
        operation: &'static str,
        #[serde(skip_serializing_if = "String::is_empty")]
        group: String,
        /// The instance of `subscribe`.
        #[serde(skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// A WASI capability that is never granted.
    Wasi { operation: &'static str },
}

impl CallId {
    /// Outside of any call.
    pub const NONE: Self = Self(0);

    fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedDelivery {
    pub instance: String,
    pub revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditOutcome {
    /// Permitted, and about to leave this process. Another event has the result, unless the process ends first.
    Begun,
    /// The call ended before the action did.
    Cancelled,
    Done,
    /// Permitted, but the action failed.
    Failed,
    /// Denied or refused.
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

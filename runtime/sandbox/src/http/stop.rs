//! Why a request goes no further: a plain error for the component, a code for the audit log, and the reason for the
//! operator. None of the three is made from another, so that no text of the host reaches the component.

use deputy_core::{Limit, Refusal};
use wasmtime_wasi_http::Error;

use super::ledger::Ledger;
use crate::network::{Cause, ConnectError, HandshakeError, Late};
use crate::secret_fault::SecretFault;

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) struct Stop {
    guest: Error,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Failed {
        code: &'static str,
        reason: Option<String>,
    },
    Late {
        code: &'static str,
        limit: Limit,
    },
    Refused(Refusal),
    /// A secret that the host was to use.
    Secret {
        code: &'static str,
        fault: SecretFault,
    },
}

/// A step that can take too long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    Connect,
    Tls,
    FirstByte,
    Body,
    /// One that only the whole exchange's limit is for.
    Whole,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        let guest = match &refusal {
            Refusal::Limit(Limit::Url) => Error::HttpRequestUriTooLong,
            Refusal::Limit(Limit::Headers) => Error::HttpRequestHeaderSectionSize(None),
            Refusal::Limit(Limit::Requests) => Error::ConnectionLimitReached,
            Refusal::Limit(Limit::Sent) => Error::HttpRequestBodySize(None),
            Refusal::Limit(Limit::Received | Limit::Response) => Error::HttpResponseBodySize(None),
            // A refused address is the same as a refused host, and as any other part that is not granted.
            _ => Error::HttpRequestDenied,
        };
        Self { guest, why: Why::Refused(refusal) }
    }
}

impl Stop {
    /// A refusal that the component is told in other words than the usual.
    pub(crate) fn refused(refusal: Refusal, guest: Error) -> Self {
        Self { guest, why: Why::Refused(refusal) }
    }

    pub(crate) fn failed(code: &'static str, guest: Error) -> Self {
        Self { guest, why: Why::Failed { code, reason: None } }
    }

    /// A secret that the host was to use and could not.
    pub(crate) fn secret(code: &'static str, fault: SecretFault) -> Self {
        Self { guest: Error::ConfigurationError, why: Why::Secret { code, fault } }
    }

    /// What the operator may read of it. Never a secret.
    pub(crate) fn because(mut self, text: impl ToString) -> Self {
        if let Why::Failed { reason, .. } = &mut self.why {
            *reason = Some(text.to_string());
        }
        self
    }

    pub(crate) fn late(late: Late, phase: Phase) -> Self {
        let (code, guest) = match phase {
            Phase::Connect => ("connect-timeout", Error::ConnectionTimeout),
            Phase::Tls => ("tls-timeout", Error::ConnectionTimeout),
            Phase::FirstByte => ("first-byte-timeout", Error::ConnectionReadTimeout),
            Phase::Body => ("body-timeout", Error::ConnectionReadTimeout),
            Phase::Whole => ("timeout", Error::HttpResponseTimeout),
        };
        match late.0 {
            Cause::Component => Self::failed(code, guest),
            // The server is at fault, and neither the component nor the limit.
            Cause::Limit(Limit::Exchange) => {
                Self { guest: Error::HttpResponseTimeout, why: Why::Late { code: "timeout", limit: Limit::Exchange } }
            }
            Cause::Limit(limit) => Self { guest, why: Why::Late { code, limit } },
        }
    }

    /// Writes it down and gives what the component is told.
    pub(crate) fn end(self, ledger: &mut Ledger) -> Error {
        match self.why {
            Why::Refused(refusal) => {
                if let Some(address) = refusal.address() {
                    ledger.note_address(address);
                }
                ledger.record().refused(refusal);
            }
            Why::Late { code, limit } => {
                tracing::warn!(instance = %ledger.actor(), code, %limit, "the server of an HTTP request did not answer");
                ledger.record().timed_out(code, limit);
            }
            Why::Failed { code, reason } => {
                if let Some(reason) = reason {
                    let reason = reason.escape_debug();
                    tracing::warn!(instance = %ledger.actor(), code, %reason, "an HTTP request failed");
                }
                ledger.record().failed(code);
            }
            Why::Secret { code, fault } => {
                tracing::warn!(instance = %ledger.actor(), code, reason = %fault, "an HTTP request failed");
                ledger.record().failed(code);
                ledger.note_fault(fault);
            }
        }
        self.guest
    }
}

impl From<ConnectError> for Stop {
    fn from(error: ConnectError) -> Self {
        use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        match error {
            ConnectError::Late(late) => Self::late(late, Phase::Connect),
            ConnectError::Io(error) => match error.kind() {
                ConnectionRefused => Self::failed("connection-refused", Error::ConnectionRefused),
                HostUnreachable | NetworkUnreachable => Self::failed("unreachable", Error::DestinationUnavailable),
                _ => Self::failed("connect", Error::DestinationUnavailable),
            }
            .because(error),
        }
    }
}

impl From<HandshakeError> for Stop {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Late(late) => Self::late(late, Phase::Tls),
            HandshakeError::Certificate(_) => {
                Self::failed("tls-certificate", Error::TlsCertificateError).because(error)
            }
            HandshakeError::Other(_) => Self::failed("tls", Error::TlsProtocolError).because(error),
        }
    }
}

//! Why a request goes no further: a plain error for the component, a code for the audit log, and the reason for the
//! operator. None of the three is made from another, so that no text of the host reaches the component.

use deputy_core::{Limit, PolicyDenial};
use wasmtime_wasi_http::Error;

use super::exchange_record::ExchangeRecord;
use crate::network::{ConnectError, DeadlineCause, DeadlineExceeded, HandshakeError};
use crate::secret_fault::SecretFault;

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) struct RequestFailure {
    guest: Error,
    why: Cause,
}

#[derive(Debug)]
enum Cause {
    Failed {
        code: &'static str,
        reason: Option<String>,
    },
    Late {
        code: &'static str,
        limit: Limit,
    },
    Refused(PolicyDenial),
    /// A secret that the host was to use.
    Secret {
        code: &'static str,
        fault: SecretFault,
    },
}

/// A step that can take too long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestPhase {
    Connect,
    Tls,
    FirstByte,
    Body,
    /// One that only the whole exchange's limit is for.
    Whole,
}

impl From<PolicyDenial> for RequestFailure {
    fn from(denial: PolicyDenial) -> Self {
        let guest = match &denial {
            PolicyDenial::Limit(Limit::Url) => Error::HttpRequestUriTooLong,
            PolicyDenial::Limit(Limit::Headers) => Error::HttpRequestHeaderSectionSize(None),
            PolicyDenial::Limit(Limit::Requests) => Error::ConnectionLimitReached,
            PolicyDenial::Limit(Limit::Sent) => Error::HttpRequestBodySize(None),
            PolicyDenial::Limit(Limit::Received | Limit::Response) => Error::HttpResponseBodySize(None),
            // A refused address is the same as a refused host, and as any other part that is not granted.
            _ => Error::HttpRequestDenied,
        };
        Self { guest, why: Cause::Refused(denial) }
    }
}

impl RequestFailure {
    /// A denial that the component is told in other words than the usual.
    pub(crate) fn denied(denial: PolicyDenial, guest: Error) -> Self {
        Self { guest, why: Cause::Refused(denial) }
    }

    pub(crate) fn failed(code: &'static str, guest: Error) -> Self {
        Self { guest, why: Cause::Failed { code, reason: None } }
    }

    /// A secret that the host was to use and could not.
    pub(crate) fn secret(code: &'static str, fault: SecretFault) -> Self {
        Self { guest: Error::ConfigurationError, why: Cause::Secret { code, fault } }
    }

    /// What the operator may read of it. Never a secret.
    pub(crate) fn because(mut self, text: impl ToString) -> Self {
        if let Cause::Failed { reason, .. } = &mut self.why {
            *reason = Some(text.to_string());
        }
        self
    }

    pub(crate) fn late(late: DeadlineExceeded, phase: RequestPhase) -> Self {
        let (code, guest) = match phase {
            RequestPhase::Connect => ("connect-timeout", Error::ConnectionTimeout),
            RequestPhase::Tls => ("tls-timeout", Error::ConnectionTimeout),
            RequestPhase::FirstByte => ("first-byte-timeout", Error::ConnectionReadTimeout),
            RequestPhase::Body => ("body-timeout", Error::ConnectionReadTimeout),
            RequestPhase::Whole => ("timeout", Error::HttpResponseTimeout),
        };
        match late.0 {
            DeadlineCause::Component => Self::failed(code, guest),
            // The server is at fault, and neither the component nor the limit.
            DeadlineCause::Limit(Limit::Exchange) => {
                Self { guest: Error::HttpResponseTimeout, why: Cause::Late { code: "timeout", limit: Limit::Exchange } }
            }
            DeadlineCause::Limit(limit) => Self { guest, why: Cause::Late { code, limit } },
        }
    }

    /// Writes it down and gives what the component is told.
    pub(crate) fn end(self, record: &mut ExchangeRecord) -> Error {
        match self.why {
            Cause::Refused(denial) => {
                if let Some(address) = denial.address() {
                    record.note_address(address);
                }
                record.audit().denied(denial);
            }
            Cause::Late { code, limit } => {
                tracing::warn!(instance = %record.actor(), code, %limit, "the server of an HTTP request did not answer");
                record.audit().timed_out(code, limit);
            }
            Cause::Failed { code, reason } => {
                if let Some(reason) = reason {
                    let reason = reason.escape_debug();
                    tracing::warn!(instance = %record.actor(), code, %reason, "HTTP request failed");
                }
                record.audit().failed(code);
            }
            Cause::Secret { code, fault } => {
                tracing::warn!(instance = %record.actor(), code, reason = %fault, "HTTP request failed");
                record.audit().failed(code);
                record.note_fault(fault);
            }
        }
        self.guest
    }
}

impl From<ConnectError> for RequestFailure {
    fn from(error: ConnectError) -> Self {
        use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        match error {
            ConnectError::Late(late) => Self::late(late, RequestPhase::Connect),
            ConnectError::Io(error) => match error.kind() {
                ConnectionRefused => Self::failed("connection-refused", Error::ConnectionRefused),
                HostUnreachable | NetworkUnreachable => Self::failed("unreachable", Error::DestinationUnavailable),
                _ => Self::failed("connect", Error::DestinationUnavailable),
            }
            .because(error),
        }
    }
}

impl From<HandshakeError> for RequestFailure {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Late(late) => Self::late(late, RequestPhase::Tls),
            HandshakeError::Certificate(_) => {
                Self::failed("tls-certificate", Error::TlsCertificateError).because(error)
            }
            HandshakeError::Other(_) => Self::failed("tls", Error::TlsProtocolError).because(error),
        }
    }
}

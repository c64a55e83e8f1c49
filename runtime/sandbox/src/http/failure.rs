//! Why a request failed: an error for the component, a code for the audit log, and the reason for the operator. None of
//! the three is derived from another, so that no text of the host reaches the component.

use deputy_core::{Limit, PolicyDenial};
use wasmtime_wasi_http::Error;

use super::exchange_record::ExchangeRecord;
use crate::call_audit::Unrecorded;
use crate::network::{ConnectError, DeadlineCause, DeadlineExceeded, HandshakeError};
use crate::secret_fault::SecretFault;

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct RequestFailure {
    guest: Error,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Failed {
        code: &'static str,
        reason: Option<String>,
    },
    TimedOut {
        code: &'static str,
        limit: Limit,
    },
    Refused(PolicyDenial),
    /// The host could not use a secret.
    Secret {
        code: &'static str,
        fault: SecretFault,
    },
}

/// The step of a request that timed out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestPhase {
    Connect,
    Tls,
    FirstByte,
    Body,
    /// A step without a limit of its own.
    Total,
}

impl From<PolicyDenial> for RequestFailure {
    fn from(denial: PolicyDenial) -> Self {
        let guest = match &denial {
            PolicyDenial::Limit(Limit::Url) => Error::HttpRequestUriTooLong,
            PolicyDenial::Limit(Limit::Headers) => Error::HttpRequestHeaderSectionSize(None),
            PolicyDenial::Limit(Limit::Requests) => Error::ConnectionLimitReached,
            PolicyDenial::Limit(Limit::Sent) => Error::HttpRequestBodySize(None),
            PolicyDenial::Limit(Limit::Received | Limit::Response) => Error::HttpResponseBodySize(None),
            // All other denials look alike to the component.
            _ => Error::HttpRequestDenied,
        };
        Self { guest, cause: Cause::Refused(denial) }
    }
}

impl RequestFailure {
    /// A denial with another error for the component than the default.
    pub(crate) fn denied(denial: PolicyDenial, guest: Error) -> Self {
        Self { guest, cause: Cause::Refused(denial) }
    }

    pub(crate) fn failed(code: &'static str, guest: Error) -> Self {
        Self { guest, cause: Cause::Failed { code, reason: None } }
    }

    /// The host could not use a secret.
    pub(crate) fn secret(code: &'static str, fault: SecretFault) -> Self {
        Self { guest: Error::ConfigurationError, cause: Cause::Secret { code, fault } }
    }

    /// What can't be recorded is not sent.
    pub(crate) fn unrecorded(error: Unrecorded) -> Self {
        Self::failed("audit-unavailable", Error::InternalError(None)).because(error)
    }

    /// Adds the reason for the operator. Never a secret.
    pub(crate) fn because(mut self, text: impl ToString) -> Self {
        if let Cause::Failed { reason, .. } = &mut self.cause {
            *reason = Some(text.to_string());
        }
        self
    }

    pub(crate) fn timed_out(timed_out: DeadlineExceeded, phase: RequestPhase) -> Self {
        let (code, guest) = match phase {
            RequestPhase::Connect => ("connect-timeout", Error::ConnectionTimeout),
            RequestPhase::Tls => ("tls-timeout", Error::ConnectionTimeout),
            RequestPhase::FirstByte => ("first-byte-timeout", Error::ConnectionReadTimeout),
            RequestPhase::Body => ("body-timeout", Error::ConnectionReadTimeout),
            RequestPhase::Total => ("timeout", Error::HttpResponseTimeout),
        };
        match timed_out.0 {
            DeadlineCause::Component => Self::failed(code, guest),
            // The server is at fault.
            DeadlineCause::Limit(Limit::Exchange) => Self {
                guest: Error::HttpResponseTimeout,
                cause: Cause::TimedOut { code: "timeout", limit: Limit::Exchange },
            },
            DeadlineCause::Limit(limit) => Self { guest, cause: Cause::TimedOut { code, limit } },
        }
    }

    /// Records the failure and returns the error for the component.
    pub(crate) fn end(self, record: &mut ExchangeRecord) -> Error {
        match self.cause {
            Cause::Refused(denial) => {
                if let Some(address) = denial.address() {
                    record.note_address(address);
                }
                record.audit().denied(denial);
            }
            Cause::TimedOut { code, limit } => {
                tracing::warn!(instance = %record.subject(), code, %limit, "HTTP server did not answer in time");
                record.audit().timed_out(code, limit);
            }
            Cause::Failed { code, reason } => {
                if let Some(reason) = reason {
                    let reason = reason.escape_debug();
                    tracing::warn!(instance = %record.subject(), code, %reason, "HTTP request failed");
                }
                record.audit().failed(code);
            }
            Cause::Secret { code, fault } => {
                let reason = record.note_fault(fault);
                tracing::warn!(instance = %record.subject(), code, %reason, "HTTP request failed");
                record.audit().failed(code);
            }
        }
        self.guest
    }
}

impl From<ConnectError> for RequestFailure {
    fn from(error: ConnectError) -> Self {
        use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        match error {
            ConnectError::TimedOut(timed_out) => Self::timed_out(timed_out, RequestPhase::Connect),
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
        let fix = error.fault().map(|fault| format!(" ({fault})")).unwrap_or_default();
        match error {
            HandshakeError::TimedOut(timed_out) => Self::timed_out(timed_out, RequestPhase::Tls),
            HandshakeError::Certificate(_) => {
                Self::failed("tls-certificate", Error::TlsCertificateError).because(format!("{error}{fix}"))
            }
            HandshakeError::Other(_) => Self::failed("tls", Error::TlsProtocolError).because(format!("{error}{fix}")),
        }
    }
}

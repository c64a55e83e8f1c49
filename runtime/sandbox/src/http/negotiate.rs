//! `Authorization: Negotiate` (RFC 4559): the token of a fresh Kerberos context in each request of a rule that has it.
//!
//! The context belongs to one request. No token is sent twice, so that a server's protection from replays never sees one
//! again, and a redirect is another request, which the grant judges again.

use std::sync::Arc;

use ::http::request::Parts;
use ::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deputy_core::grant::KerberosPermit;
use deputy_core::{KerberosPrincipal, SecretBytes};
use deputy_kerberos::{KerberosContext, Login, negotiate_answer, negotiate_token};
use wasmtime_wasi_http::Error;

use super::failure::{RequestFailure, RequestPhase};
use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::kerberos::{context_action, secret_fault};
use crate::network::Deadline;
use crate::secret_fault::SecretFault;

const SCHEME: &[u8] = b"Negotiate ";

/// One request's context, whose answer is not there yet.
pub(super) struct Negotiation {
    context: KerberosContext,
    record: AuditRecord,
    target: KerberosPrincipal,
    /// The token as the request has it, without its scheme.
    token: Arc<SecretBytes>,
}

impl Negotiation {
    /// Begins a context, once that is recorded, and adds its token to the request.
    pub(super) async fn begin(
        budget: &Arc<CallBudget>,
        login: &Login,
        permit: &KerberosPermit,
        head: &mut Parts,
        total: Deadline,
    ) -> Result<Self, RequestFailure> {
        let target = permit.target().clone();
        let mut record = AuditRecord::begin(budget, context_action(target.as_str()));
        record.announce().await.map_err(RequestFailure::unrecorded)?;
        let begun = total
            .run(login.begin(&target))
            .await
            .map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Total))?;
        let (context, first) = begun.map_err(|fault| {
            record.failed(fault.cause.code());
            match secret_fault(&fault) {
                Some(reported) => RequestFailure::secret(fault.cause.code(), reported),
                None => RequestFailure::failed(fault.cause.code(), Error::InternalError(None)).because(&fault),
            }
        })?;
        let token = STANDARD.encode(negotiate_token(&first.token));
        let mut value = HeaderValue::try_from(format!("Negotiate {token}"))
            .map_err(|error| RequestFailure::failed("injection", Error::InternalError(None)).because(error))?;
        value.set_sensitive(true);
        head.headers.insert(header::AUTHORIZATION, value);
        Ok(Self { context, record, target, token: Arc::new(SecretBytes::new(token.into_bytes())) })
    }

    /// What the response must not show.
    pub(super) fn token(&self) -> Arc<SecretBytes> {
        Arc::clone(&self.token)
    }

    /// Checks the token that the server answers with: it proves that the server has the key of the target. A response
    /// without one proves nothing and is let through, as RFC 4559 has it. So is a 401, which accepts nothing.
    pub(super) async fn finish<B>(mut self, response: &Response<B>, total: Deadline) -> Result<(), RequestFailure> {
        if response.status() == StatusCode::UNAUTHORIZED {
            self.record.failed("unauthorized");
            return Ok(());
        }
        let Some(answer) = answer(response.headers()) else {
            self.record.done();
            return Ok(());
        };
        let Some(token) = STANDARD.decode(answer).ok().and_then(|answer| negotiate_answer(&answer)) else {
            return Err(self.unproven("its token is malformed"));
        };
        let stepped = total.run(self.context.step(token)).await;
        match stepped.map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Total))? {
            Ok(stepped) if stepped.established => {
                self.record.done();
                Ok(())
            }
            Ok(_) => Err(self.unproven("its token is incomplete")),
            Err(fault) => Err(self.unproven(fault)),
        }
    }

    fn unproven(&mut self, why: impl std::fmt::Display) -> RequestFailure {
        const CODE: &str = "server-unproven";
        self.record.failed(CODE);
        let reason = format!("Kerberos: the server did not prove that it is {}: {why}", self.target);
        RequestFailure::secret(CODE, SecretFault::Source(reason))
    }
}

/// The token with which a server answers, in Base64.
fn answer(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get_all(header::WWW_AUTHENTICATE).iter().find_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii()).filter(|token| !token.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiate_answer_is_found_among_other_schemes() {
        for (values, expected) in [
            (&["Negotiate oYG2"][..], Some("oYG2")),
            (&["Basic realm=x", "negotiate  oYG2 "], Some("oYG2")),
            (&["Negotiate"], None),
            (&["Negotiate "], None),
            (&["Negotiated oYG2"], None),
            (&["Digest nonce=x"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
            }
            assert_eq!(answer(&headers), expected.map(str::as_bytes), "{values:?}");
        }
    }
}

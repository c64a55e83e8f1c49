//! The record of an operation, for the audit log and the operator: bounded, escaped, and without the values of secrets.

use deputy_audit::AuditAction;
use deputy_core::grant::SignatureAlgorithm;
use deputy_core::{DeniedClaim, PolicyDenial, Timestamp};

use super::CallSecrets;
use super::jwt::JwtRequest;
use crate::audit_record::AuditRecord;

/// Bytes of a text in an audit event.
const MAX_RECORDED_TEXT: usize = 200;
/// Bytes of a text in a denial. The line that would permit it needs the whole text.
const MAX_DENIED_TEXT: usize = 1024;

impl CallSecrets {
    /// Notes in the record what the grant is asked for.
    pub(super) fn scope(&self, record: &mut AuditRecord, text: &str) {
        if let Some(AuditAction::Secret { scope, .. }) = record.action() {
            *scope = self.values.redactor().clean(text, MAX_RECORDED_TEXT);
        }
    }

    /// Notes in the record for what time a signature is.
    pub(super) fn signed_time(record: &mut AuditRecord, time: Timestamp) {
        if let Some(AuditAction::Secret { signed, .. }) = record.action() {
            signed.signed_time = Some(time.to_string());
        }
    }

    /// Notes in the record what a token says, beside what the grant is asked for.
    pub(super) fn signed_token(&self, record: &mut AuditRecord, algorithm: SignatureAlgorithm, token: &JwtRequest) {
        let clean = |text: &str| self.values.redactor().clean(text, MAX_RECORDED_TEXT);
        let Some(AuditAction::Secret { signed, .. }) = record.action() else { return };
        signed.header.push("alg".to_owned(), algorithm.name().to_owned());
        token.header_texts().for_each(|(name, text)| signed.header.push(name.to_owned(), clean(text)));
        token.claim_texts().for_each(|(name, text)| signed.claims.push(clean(name), clean(&text)));
    }

    /// The denial with the component's own texts bounded, escaped and blanked: it goes into the operator's report, and
    /// a component that may read one secret could put its value into the issuer that it asks another to sign for.
    pub(super) fn redact_denial(&self, denial: PolicyDenial) -> PolicyDenial {
        let clean = |text: String| self.values.redactor().clean(&text, MAX_DENIED_TEXT);
        match denial {
            PolicyDenial::Audience { secret, audience } => {
                PolicyDenial::Audience { secret, audience: audience.map(clean) }
            }
            PolicyDenial::Claim { secret, claim, value } => {
                let value = match value {
                    DeniedClaim::Text(text) => DeniedClaim::Text(clean(text)),
                    other => other,
                };
                PolicyDenial::Claim { secret, claim: clean(claim), value }
            }
            PolicyDenial::Issuer { secret, issuer } => PolicyDenial::Issuer { secret, issuer: clean(issuer) },
            PolicyDenial::Region { secret, region } => PolicyDenial::Region { secret, region: clean(region) },
            // As long as the same name in the audit log.
            PolicyDenial::Secret { name } => PolicyDenial::Secret { name: self.values.redactor().clean(&name, 80) },
            PolicyDenial::Service { secret, service } => PolicyDenial::Service { secret, service: clean(service) },
            PolicyDenial::Subject { secret, subject } => PolicyDenial::Subject { secret, subject: subject.map(clean) },
            other => other,
        }
    }
}

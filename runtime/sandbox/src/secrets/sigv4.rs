//! AWS Signature Version 4: the key chain and the signature.
//!
//! ```text
//! "AWS4" + secret ──day──▶ kDate ──region──▶ kRegion ──service──▶ kService ──"aws4_request"──▶ kSigning ──text──▶ signature
//! ```
//!
//! Each arrow is an HMAC-SHA256, so a caller that could choose the text would get a derived key as a signature. Only a
//! [`Sigv4Permit`] is signed, whose text is four lines beginning with the algorithm, and no link of the chain takes such a
//! text: the tests try.
//!
//! Derived keys live in [`DerivedKey`], which is wiped and can't be printed. What this can't wipe: the `hmac::Tag`
//! that is on the stack while one link is computed.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use deputy_core::SecretBytes;
use deputy_core::grant::Sigv4Permit;
use deputy_support::hex;
use serde::Deserialize;
use zeroize::Zeroizing;

/// A signature, with the key's id if the secret holds one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sigv4Signature {
    /// The id that goes with the secret key.
    pub(super) access_key_id: Option<String>,
    /// 64 lower-case hexadecimal digits.
    pub(super) signature: String,
}

/// Why a secret's value is not an AWS key. Never quotes it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyPairError {
    /// Not one line of printable characters.
    #[error(
        "the secret is not an AWS secret access key: provide the key alone, or {FORM}; it has {0} bytes and is not one \
         line of printable characters"
    )]
    Bare(usize),
    /// A JSON text of another form.
    #[error("the secret begins like JSON but is not {FORM}: provide that, or the secret key alone")]
    Form,
    #[error(
        "the secret has a SessionToken, and temporary keys are not supported: the component would have to see the token; \
         provide a long-lived key"
    )]
    Session,
}

const FORM: &str = r#"{"AccessKeyId": "…", "SecretAccessKey": "…"}"#;

/// The AWS key in an operator's secret.
struct KeyPair {
    id: Option<String>,
    secret: Zeroizing<Vec<u8>>,
}

/// The output of a `credential_process`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialProcessOutput<'a> {
    access_key_id: Option<String>,
    #[serde(borrow)]
    secret_access_key: Cow<'a, str>,
    #[serde(default)]
    session_token: Option<serde::de::IgnoredAny>,
}

/// The scope as the audit log shows it: `sts/eu-west-1`.
pub(super) fn scope(text: &str) -> String {
    let mut parts = text.split('\n').nth(2).unwrap_or_default().split('/').skip(1);
    let region = parts.next().unwrap_or_default();
    let service = parts.next().unwrap_or_default();
    format!("{service}/{region}")
}

/// Signs the permitted text.
pub(super) fn sign(permit: Sigv4Permit, value: &SecretBytes) -> Result<Sigv4Signature, KeyPairError> {
    let pair = KeyPair::read(value)?;
    let signature = DerivedKey::first(&pair.secret)
        .next(permit.day())
        .next(permit.region())
        .next(permit.service())
        .next("aws4_request")
        .next(permit.text())
        .into_public(
            "the last link: its text is a permitted string to sign, which is not what any key is derived from",
        );
    Ok(Sigv4Signature { access_key_id: pair.id, signature })
}

/// Checks that a value can sign.
pub(super) fn validate(value: &SecretBytes) -> Result<(), KeyPairError> {
    KeyPair::read(value).map(drop)
}

impl KeyPair {
    fn read(value: &SecretBytes) -> Result<Self, KeyPairError> {
        let value = value.expose();
        if !value.trim_ascii_start().starts_with(b"{") {
            if !is_printable(value) {
                return Err(KeyPairError::Bare(value.len()));
            }
            return Ok(Self { id: None, secret: Zeroizing::new(value.to_vec()) });
        }
        // serde_json's own error would quote the value.
        let output: CredentialProcessOutput<'_> = serde_json::from_slice(value).map_err(|_| KeyPairError::Form)?;
        let secret = Zeroizing::new(output.secret_access_key.into_owned().into_bytes());
        if output.session_token.is_some() {
            return Err(KeyPairError::Session);
        }
        let id = output.access_key_id.filter(|id| is_printable(id.as_bytes()) && id.len() <= 128);
        if id.is_none() || !is_printable(&secret) {
            return Err(KeyPairError::Form);
        }
        Ok(Self { id, secret })
    }
}

fn is_printable(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_graphic)
}

/// A key of the chain.
struct DerivedKey(Zeroizing<Vec<u8>>);

impl DerivedKey {
    fn first(secret: &[u8]) -> Self {
        let mut key = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
        key.extend_from_slice(b"AWS4");
        key.extend_from_slice(secret);
        Self(key)
    }

    fn next(&self, text: &str) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), text.as_bytes());
        Self(Zeroizing::new(tag.as_ref().to_vec()))
    }

    /// Releases the result. The caller states why it is not a key.
    fn into_public(self, _why: &'static str) -> String {
        hex(&self.0)
    }
}

#[cfg(test)]
mod tests;

//! Credentials that the host adds to a request that a rule allows. The component never sees them, and whatever it put
//! in their place itself is replaced.

use std::sync::Arc;

use ::http::request::Parts;
use ::http::{HeaderName, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use deputy_core::grant::{Injection, InjectionEncoding, InjectionPoint};
use deputy_core::{Limit, PolicyDenial, SecretBytes};
use http_body_util::BodyExt;
use wasmtime_wasi_http::Error;
use zeroize::Zeroizing;

use super::echo::Added;
use super::failure::{RequestFailure, RequestPhase};
use super::form::{encode, is_form, with_field};
use super::outgoing::RequestBody;
use crate::network::Deadline;
use crate::secret_fault::SecretFault;
use crate::secret_provider::SecretProvider;

/// Why a secret can't be added. Never quotes it.
#[derive(Debug, thiserror::Error)]
enum InjectError {
    #[error("secret {secret}: a form field can only be added to one plain application/x-www-form-urlencoded body")]
    NoForm { secret: String },
    #[error("secret {secret} cannot be a header: it holds a character that no header may, such as a line end")]
    Value { secret: String },
    #[error("{name:?} is not a header's name")]
    Name { name: String },
}

impl From<InjectError> for RequestFailure {
    fn from(error: InjectError) -> Self {
        match error {
            // The component's own body, or a name that no header has.
            InjectError::NoForm { .. } | InjectError::Name { .. } => {
                Self::failed("injection", Error::ConfigurationError).because(error)
            }
            InjectError::Value { .. } => Self::secret("injection", SecretFault::Value(error.to_string())),
        }
    }
}

/// Checks that a value can be injected at this point.
pub(super) fn validate(injection: &Injection, value: &SecretBytes) -> Result<(), String> {
    match &injection.place {
        InjectionPoint::Field(_) => Ok(()),
        InjectionPoint::Header(_) => header_value(injection, value).map(drop).map_err(|error| error.to_string()),
    }
}

/// The secret as a header value, marked as sensitive.
fn header_value(injection: &Injection, value: &SecretBytes) -> Result<HeaderValue, InjectError> {
    let value = Bytes::from_owner(rendered(&injection.form, value.expose()));
    let mut value = HeaderValue::from_maybe_shared(value)
        .map_err(|_| InjectError::Value { secret: injection.secret.to_string() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Adds one rule's credentials, and returns them.
pub(super) async fn inject(
    injections: &[Injection],
    secrets: &dyn SecretProvider,
    head: &mut Parts,
    body: &mut RequestBody,
    total: Deadline,
    max: u64,
) -> Result<Vec<Added>, RequestFailure> {
    let mut form = None;
    let mut added = Vec::with_capacity(injections.len());
    for injection in injections {
        let value = secret(secrets, injection, total).await?;
        match &injection.place {
            InjectionPoint::Header(name) => {
                let name = name.parse::<HeaderName>().map_err(|_| InjectError::Name { name: name.clone() })?;
                head.headers.insert(name, header_value(injection, &value)?);
            }
            InjectionPoint::Field(name) => {
                let before = match form.take() {
                    Some(form) => form,
                    None if accepts_form(head) => read(body, total, max).await?,
                    None => return Err(InjectError::NoForm { secret: injection.secret.to_string() }.into()),
                };
                form = Some(with_field(&before, name, &rendered(&injection.form, value.expose())));
            }
        }
        added.push((injection.secret.clone(), value));
    }
    if let Some(form) = form {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(form.len()));
        body.put(Bytes::from_owner(form));
    }
    Ok(added)
}

async fn secret(
    secrets: &dyn SecretProvider,
    injection: &Injection,
    total: Deadline,
) -> Result<Arc<SecretBytes>, RequestFailure> {
    let value = total
        .run(secrets.value(&injection.secret))
        .await
        .map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Total))?;
    value.map_err(|error| RequestFailure::secret("secret-unavailable", SecretFault::Source(error.to_string())))
}

/// The encoded secret, in memory that is wiped and was not reallocated.
fn rendered(form: &InjectionEncoding, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    match form {
        InjectionEncoding::Plain { prefix } => {
            let mut out = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.len()));
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(secret);
            out
        }
        InjectionEncoding::Basic { user } => {
            let mut pair = Zeroizing::new(Vec::with_capacity(user.len() + 1 + secret.len()));
            pair.extend_from_slice(user.as_bytes());
            pair.push(b':');
            pair.extend_from_slice(secret);
            basic(&pair)
        }
        InjectionEncoding::OauthBasic { client } => {
            let mut pair = Zeroizing::new(Vec::with_capacity(3 * (client.len() + secret.len()) + 1));
            encode(client.as_bytes(), &mut pair);
            pair.push(b':');
            encode(secret, &mut pair);
            basic(&pair)
        }
    }
}

fn basic(pair: &[u8]) -> Zeroizing<Vec<u8>> {
    let coded = Zeroizing::new(STANDARD.encode(pair));
    let mut out = Zeroizing::new(Vec::with_capacity(6 + coded.len()));
    out.extend_from_slice(b"Basic ");
    out.extend_from_slice(coded.as_bytes());
    out
}

fn accepts_form(head: &Parts) -> bool {
    let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
    let one = types.next().is_some_and(|value| is_form(value.as_bytes())) && types.next().is_none();
    one && !head.headers.contains_key(header::CONTENT_ENCODING)
}

/// All of the component's body, which the limit `sent` bounds.
async fn read(body: &mut RequestBody, total: Deadline, max: u64) -> Result<Zeroizing<Vec<u8>>, RequestFailure> {
    let mut form = Zeroizing::new(Vec::new());
    let read = async {
        let Some(body) = body.body() else { return Ok::<(), RequestFailure>(()) };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| RequestFailure::failed("request-aborted", error))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if (form.len() + data.len()) as u64 > max {
                return Err(PolicyDenial::Limit(Limit::Sent).into());
            }
            form.extend_from_slice(data);
        }
        Ok(())
    };
    total.run(read).await.map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Total))??;
    Ok(form)
}

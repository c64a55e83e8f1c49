//! Answers, of those who are asked.

use std::sync::Arc;

use bytes::Bytes;
use deputy_core::schedule::Revision;
use deputy_core::{SecretBytes, Span, Timestamp};
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::ControlError;

/// The version of what is answered as JSON.
pub const SCHEMA: u32 = 1;

/// The longest that a request waits for a lease.
const LONGEST_WAIT: Span = Span::secs(60);

const JSON: &str = "application/json";

/// A lease that is given out.
#[derive(Debug, Clone)]
pub struct LeaseReply {
    /// Of which service, if that is known.
    pub service: Option<String>,
    /// Its number.
    pub revision: Revision,
    /// When it was obtained.
    pub obtained_at: Timestamp,
    /// When it ends.
    pub valid_until: Timestamp,
    /// What it is.
    pub payload: Arc<SecretBytes>,
}

/// The bytes of a payload, shared and wiped with their owner.
struct Payload(Arc<SecretBytes>);

#[derive(Serialize)]
struct Failed<'e> {
    schema: u32,
    error: &'e ControlError,
}

/// How long a request for a lease waits: `wait=10s`, or not at all. Nobody waits for ever.
///
/// # Errors
/// If what stands there is no time.
pub fn wait(query: Option<&str>) -> Result<Span, ControlError> {
    match query.and_then(|query| query.strip_prefix("wait=")) {
        Some(text) => {
            let span = text.parse::<Span>().map_err(|error| ControlError::new("request", &error.to_string()))?;
            Ok(span.min(LONGEST_WAIT))
        }
        None => Ok(Span::secs(0)),
    }
}

/// Whether a request for a lease waits for one.
pub fn waits(request: &Request<()>) -> bool {
    request.uri().path().ends_with("/lease") && wait(request.uri().query()).is_ok_and(|wait| wait > Span::secs(0))
}

/// The refusal of a request that would wait, where too many do so already.
pub fn busy() -> Response<Bytes> {
    refused(&ControlError::new("busy", "too many requests wait for leases here: try again"))
}

/// An object.
///
/// # Errors
/// If it can't be written as JSON.
pub fn json(object: &impl Serialize) -> Result<Response<Bytes>, ControlError> {
    let text = serde_json::to_vec(object).map_err(|error| ControlError::new("internal", &error.to_string()))?;
    Ok(answer(StatusCode::OK, JSON, text))
}

/// A refusal.
pub fn refused(error: &ControlError) -> Response<Bytes> {
    let text = serde_json::to_vec(&Failed { schema: SCHEMA, error }).unwrap_or_default();
    answer(error.status(), JSON, text)
}

/// The one answer with a payload in it. Its copy lives as long as the answer.
pub fn given(lease: LeaseReply) -> Response<Bytes> {
    let bytes = Bytes::from_owner(Payload(lease.payload));
    let mut response = answer(StatusCode::OK, "application/octet-stream", bytes);
    let head = [
        ("deputy-revision", lease.revision.to_string()),
        ("deputy-obtained-at", lease.obtained_at.to_string()),
        ("deputy-valid-until", lease.valid_until.to_string()),
    ];
    for (name, value) in head.into_iter().chain(lease.service.map(|service| ("deputy-service", service))) {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A secret that is given out once, as text, and what goes with it.
pub struct SecretReply {
    /// Names and values in the answer's head.
    pub head: Vec<(&'static str, String)>,
    /// The secret.
    pub text: Zeroizing<String>,
}

/// The same of another secret. Its copy lives as long as the answer.
pub fn secret(secret: SecretReply) -> Response<Bytes> {
    let payload = Arc::new(SecretBytes::new(secret.text.as_bytes().to_vec()));
    let mut response = answer(StatusCode::OK, "application/octet-stream", Bytes::from_owner(Payload(payload)));
    for (name, value) in secret.head {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An answer of a media type.
pub fn answer(status: StatusCode, media: &'static str, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_ever() {
        for (query, expected) in [
            (None, Span::secs(0)),
            (Some("wait=10s"), Span::secs(10)),
            (Some("wait=366d"), Span::secs(60)),
            (Some("other=10s"), Span::secs(0)),
        ] {
            assert_eq!(wait(query).unwrap(), expected, "{query:?}");
        }
        assert_eq!(wait(Some("wait=forever")).unwrap_err().kind, "request");
    }

    #[test]
    fn a_service_that_is_no_header_is_left_out() {
        let lease = |service: Option<&str>| LeaseReply {
            service: service.map(str::to_owned),
            revision: Revision(7),
            obtained_at: Timestamp::from_millis(0),
            valid_until: Timestamp::from_millis(1),
            payload: Arc::new(SecretBytes::new(b"payload".to_vec())),
        };
        let response = given(lease(Some("s3")));
        assert_eq!(
            (&response.headers()["deputy-service"], &response.headers()["deputy-revision"]),
            (&"s3".parse().unwrap(), &"7".parse().unwrap())
        );
        assert_eq!(response.body().as_ref(), b"payload");
        assert!(!given(lease(Some("a\nb"))).headers().contains_key("deputy-service"));
        assert!(!format!("{:?}", lease(None)).contains("payload\""));
    }
}

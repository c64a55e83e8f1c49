//! Replies of a server.

use std::sync::Arc;

use bytes::Bytes;
use deputy_core::{LeaseVersion, PayloadKind, S3Place, SecretBytes, ServiceName, Timestamp};
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde::Serialize;

use crate::control_error::ErrorReply;
use crate::headers::{ENDPOINT, KIND, OBTAINED_AT, REGION, REVISION, SERVICE, VALID_UNTIL};
use crate::{ControlError, ControlRequest, Parameters, lease_wait};

/// The version of the JSON that is served. It grows when a field is removed or changes its meaning.
pub const SCHEMA: u32 = 1;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// Whether a request for a lease waits for one.
pub fn is_waiting(request: &Request<()>) -> bool {
    matches!(ControlRequest::of(request), Some(ControlRequest::Lease(_)))
        && lease_wait(&Parameters::decode(request.uri().query())).is_ok_and(|wait| wait.as_millis() > 0)
}

/// The reply to a request that would wait while too many others do.
pub fn busy() -> Response<Bytes> {
    error(&ControlError::new("busy", "too many requests are waiting for leases; try again"))
}

pub fn json(object: &impl Serialize) -> Result<Response<Bytes>, ControlError> {
    let text = serde_json::to_vec(object).map_err(|error| ControlError::new("internal", &error.to_string()))?;
    Ok(response(StatusCode::OK, JSON, text))
}

pub fn error(error: &ControlError) -> Response<Bytes> {
    let text = serde_json::to_vec(&ErrorReply { schema: SCHEMA, error: error.clone() }).unwrap_or_default();
    response(error.status(), JSON, text)
}

/// What a reply says of a lease beside its payload.
#[derive(Debug, Clone)]
pub struct LeaseHeaders {
    pub version: LeaseVersion,
    pub service: Option<ServiceName>,
    pub kind: Option<PayloadKind>,
    pub valid_until: Timestamp,
    pub place: S3Place,
}

/// A lease: its payload as the body, which is wiped after it was sent, and its metadata as headers.
pub fn lease(lease: LeaseHeaders, payload: Arc<SecretBytes>) -> Response<Bytes> {
    let LeaseHeaders { version, service, kind, valid_until, place } = lease;
    let headers = [
        (REVISION, Some(version.revision.to_string())),
        (OBTAINED_AT, Some(version.obtained_at.to_string())),
        (VALID_UNTIL, Some(valid_until.to_string())),
        (SERVICE, service.map(|service| service.to_string())),
        (KIND, kind.map(|kind| kind.to_string())),
        (REGION, place.region),
        (ENDPOINT, place.endpoint),
    ];
    secret(headers.into_iter().filter_map(|(name, value)| Some((name, value?))), payload)
}

/// A secret as the body, which is wiped after it was sent. A value that no header can hold is left out.
pub fn secret(headers: impl IntoIterator<Item = (&'static str, String)>, secret: Arc<SecretBytes>) -> Response<Bytes> {
    let mut response = response(StatusCode::OK, BYTES, Bytes::from_owner(SecretBody(secret)));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

struct SecretBody(Arc<SecretBytes>);

impl AsRef<[u8]> for SecretBody {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use deputy_core::Revision;

    #[test]
    fn lease_reply_has_its_metadata_as_headers() {
        let lease = lease(
            LeaseHeaders {
                version: LeaseVersion { revision: Revision(7), obtained_at: Timestamp::from_millis(0) },
                service: Some("s3".parse().unwrap()),
                kind: None,
                valid_until: Timestamp::FOREVER,
                place: S3Place { region: Some("eu-west-1".to_owned()), endpoint: None },
            },
            Arc::new(SecretBytes::new(b"payload".to_vec())),
        );
        let header = |name: &str| lease.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!((header("deputy-service"), header("deputy-revision")), (Some("s3"), Some("7")));
        assert_eq!((header("deputy-kind"), header("deputy-valid-until")), (None, Some("never")));
        assert_eq!((header("deputy-region"), header("deputy-endpoint")), (Some("eu-west-1"), None));
        assert_eq!(lease.body().as_ref(), b"payload");
    }

    #[test]
    fn secret_reply_leaves_out_a_value_that_no_header_can_hold() {
        let response = secret([("deputy-service", "a\nb".to_owned())], Arc::new(SecretBytes::new(Vec::new())));
        assert!(!response.headers().contains_key("deputy-service"));
    }
}

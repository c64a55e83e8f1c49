//! The protocol of AWS's container credentials: what a library requests that finds `AWS_CONTAINER_CREDENTIALS_FULL_URI` and
//! `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` in its environment.
//!
//! A `GET` of `/v1/credentials/INSTANCE` with the token in `Authorization` is answered with `AccessKeyId`, `SecretAccessKey`,
//! `Token` and `Expiration`; everything else with `code` and `message`. The expiry is the lease's, which the operator may
//! have shortened. The library asks again before it, and by then the worker holds the next lease.
//!
//! Every user of the machine can connect to loopback, and so can a web page in a browser, by a name that resolves to it. So
//! the token decides, the `Host` must be of this machine, and a request without the token does not even learn which path is
//! right.

use std::sync::Arc;

use bytes::Bytes;
use deputy_core::{Delivery, InstanceName, Span, Timestamp};
use deputy_http_server::{HttpHandler, is_for_this_machine, only_value};
use deputy_link::DeliveredState;
use deputy_payloads::{AwsCredentials, aws_expiration};
use deputy_support::RateLimiter;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::token_file::TokenFile;
use deputy_core::time::Clock;

/// Serves the credentials of one instance.
pub struct AwsContainerEndpoint {
    instance: InstanceName,
    path: String,
    token: TokenFile,
    held: watch::Receiver<Arc<DeliveredState>>,
    clock: Arc<dyn Clock>,
    /// Limit the lines of the log, since every program of the machine can send requests.
    refusal_lines: RateLimiter,
    reply_lines: RateLimiter,
}

/// Logged refusals and logged replies per minute. The next line has the count of those that were left out.
const LINES_PER_MINUTE: u32 = 10;
const MINUTE: Span = Span::secs(60);

/// Libraries require all four fields: without a session token, `token` is empty.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsReply<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

#[derive(Serialize)]
struct RefusalReply<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum EndpointRefusal {
    #[error("this endpoint serves only requests with a loopback `Host`, such as 127.0.0.1 or localhost")]
    Host,
    #[error("the Authorization header does not hold this endpoint's token")]
    Token,
    #[error("only GET is supported")]
    Method,
    #[error("no such path")]
    Path,
    #[error("this worker holds no lease of {0}; `deputy worker status` shows why")]
    NotHeld(InstanceName),
    #[error("the lease of {0} expired at {1} and was not replaced yet")]
    Expired(InstanceName, Timestamp),
    #[error("the lease of {0} does not hold AWS credentials")]
    NotAws(InstanceName),
}

impl AwsContainerEndpoint {
    pub fn new(
        instance: InstanceName,
        token: TokenFile,
        held: watch::Receiver<Arc<DeliveredState>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            path: Self::path(&instance),
            instance,
            token,
            held,
            clock,
            refusal_lines: RateLimiter::new(LINES_PER_MINUTE, MINUTE),
            reply_lines: RateLimiter::new(LINES_PER_MINUTE, MINUTE),
        }
    }

    /// The path of an instance's credentials.
    pub fn path(instance: &InstanceName) -> String {
        format!("/v1/credentials/{instance}")
    }

    /// The checks are in this order so that a request without the token learns nothing.
    async fn serve(&self, request: &Request<()>) -> Result<Response<Bytes>, EndpointRefusal> {
        if !is_for_this_machine(request) {
            return Err(EndpointRefusal::Host);
        }
        let Some(token) = only_value(request, header::AUTHORIZATION) else { return Err(EndpointRefusal::Token) };
        if !self.token.matches(token.as_bytes()).await {
            return Err(EndpointRefusal::Token);
        }
        if request.uri().path() != self.path {
            return Err(EndpointRefusal::Path);
        }
        if request.method() != Method::GET {
            return Err(EndpointRefusal::Method);
        }
        let held = Arc::clone(&self.held.borrow());
        let delivery =
            held.deliveries.get(&self.instance).ok_or_else(|| EndpointRefusal::NotHeld(self.instance.clone()))?;
        if !delivery.is_valid(self.clock.now().wall) {
            return Err(EndpointRefusal::Expired(self.instance.clone(), delivery.valid_until));
        }
        self.credentials_reply(delivery)
    }

    fn credentials_reply(&self, delivery: &Delivery) -> Result<Response<Bytes>, EndpointRefusal> {
        let payload = delivery.payload.expose();
        let credentials = AwsCredentials::parse(payload).map_err(|_| EndpointRefusal::NotAws(self.instance.clone()))?;
        let reply = CredentialsReply {
            access_key_id: credentials.access_key_id(),
            secret_access_key: credentials.secret_access_key(),
            token: credentials.session_token().unwrap_or_default(),
            expiration: aws_expiration(&delivery.valid_until.to_string()),
        };
        // With room for every character escaped: a buffer that grows leaves copies of the secret behind.
        let mut text = Zeroizing::new(Vec::with_capacity(payload.len().saturating_mul(6).saturating_add(256)));
        serde_json::to_writer(&mut *text, &reply).map_err(|_| EndpointRefusal::NotAws(self.instance.clone()))?;
        if let Some(suppressed) = self.reply_lines.acquire(self.clock.now().wall) {
            tracing::info!(
                instance = %self.instance, revision = %delivery.stamp.revision, suppressed,
                "credentials sent over the AWS endpoint"
            );
        }
        Ok(json_response(StatusCode::OK, Bytes::from_owner(text)))
    }
}

impl HttpHandler for AwsContainerEndpoint {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.serve(&request).await.unwrap_or_else(|refusal| {
            let (status, code) = refusal.code();
            if matches!(refusal, EndpointRefusal::Host | EndpointRefusal::Token)
                && let Some(suppressed) = self.refusal_lines.acquire(self.clock.now().wall)
            {
                tracing::warn!(instance = %self.instance, code, suppressed, "AWS endpoint refused a request");
            }
            let text = serde_json::to_vec(&RefusalReply { code, message: &refusal.to_string() });
            json_response(status, text.unwrap_or_default().into())
        })
    }
}

impl EndpointRefusal {
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Host => (StatusCode::FORBIDDEN, "ForbiddenHost"),
            Self::Token => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::Path => (StatusCode::NOT_FOUND, "NotFound"),
            Self::NotHeld(_) => (StatusCode::SERVICE_UNAVAILABLE, "NotHeld"),
            Self::Expired(..) => (StatusCode::SERVICE_UNAVAILABLE, "Expired"),
            Self::NotAws(_) => (StatusCode::INTERNAL_SERVER_ERROR, "NotCredentials"),
        }
    }
}

fn json_response(status: StatusCode, text: Bytes) -> Response<Bytes> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;

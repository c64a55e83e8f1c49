//! The protocol of AWS's containers: what a library asks that finds `AWS_CONTAINER_CREDENTIALS_FULL_URI` in its
//! environment, and `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` beside it.
//!
//! One `GET` of `/v1/credentials/INSTANCE`, with the token in `Authorization`, is answered with `AccessKeyId`,
//! `SecretAccessKey`, `Token` and `Expiration`; everything else with `code` and `message`. The expiry is the lease's, which
//! the operator may have shortened; the library asks again before it, and by then the worker holds the next one.
//!
//! Every user of the machine can connect to loopback, and so can a web page in a browser, by a name that resolves to it.
//! So the token decides, the `Host` must be of this machine, and who shows no token learns not even which path is right.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use deputy_core::{Delivery, InstanceName, Span, Timestamp};
use deputy_http_server::HttpHandler;
use deputy_link::DeliveredState;
use deputy_payloads::AwsCredentials;
use deputy_support::RateLimiter;
use http::header::{self, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::token_file::TokenFile;
use deputy_core::time::Clock;

/// Gives out the credentials of one instance.
pub struct AwsEndpoint {
    instance: InstanceName,
    path: String,
    token: TokenFile,
    held: watch::Receiver<Arc<DeliveredState>>,
    clock: Arc<dyn Clock>,
    /// Lines of the log: every program of the machine can ask.
    refusals: RateLimiter,
    answers: RateLimiter,
}

/// Lines that are logged in a minute of requests that are refused, and of answers. The next line says how many were not.
const LINES: u32 = 10;
const MINUTE: Span = Span::secs(60);

/// What a library takes. All four are asked for: without a session token, an empty one is sent.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Given<'p> {
    access_key_id: &'p str,
    secret_access_key: &'p str,
    token: &'p str,
    expiration: String,
}

/// How a library is told why there is nothing.
#[derive(Serialize)]
struct Failed<'e> {
    code: &'static str,
    message: &'e str,
}

/// Why there is nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("this endpoint serves only requests with a loopback `Host`, such as 127.0.0.1 or localhost")]
    Host,
    #[error("the Authorization header does not hold this endpoint's token")]
    Token,
    #[error("only GET is supported")]
    Method,
    #[error("no such path")]
    Path,
    #[error("{0} is not held here: `deputy worker status` tells why")]
    NotHeld(InstanceName),
    #[error("{0} expired at {1} and was not replaced yet")]
    Expired(InstanceName, Timestamp),
    #[error("{0} does not hold AWS credentials")]
    NotAws(InstanceName),
}

impl AwsEndpoint {
    /// For one instance, to those who show the token.
    pub fn new(
        instance: InstanceName,
        token: TokenFile,
        held: watch::Receiver<Arc<DeliveredState>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let path = Self::path(&instance);
        let (refusals, answers) = (RateLimiter::new(LINES, MINUTE), RateLimiter::new(LINES, MINUTE));
        Self { path, instance, token, held, clock, refusals, answers }
    }

    /// Where the credentials of an instance are.
    pub fn path(instance: &InstanceName) -> String {
        format!("/v1/credentials/{instance}")
    }

    async fn judge(&self, request: &Request<()>) -> Result<Response<Bytes>, Refused> {
        if !is_for_this_machine(request) {
            return Err(Refused::Host);
        }
        let mut shown = request.headers().get_all(header::AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else { return Err(Refused::Token) };
        if !self.token.is(shown.as_bytes()).await {
            return Err(Refused::Token);
        }
        if request.uri().path() != self.path {
            return Err(Refused::Path);
        }
        if request.method() != Method::GET {
            return Err(Refused::Method);
        }
        let held = Arc::clone(&self.held.borrow());
        let delivery = held.deliveries.get(&self.instance).ok_or_else(|| Refused::NotHeld(self.instance.clone()))?;
        if !delivery.is_valid(self.clock.now().wall) {
            return Err(Refused::Expired(self.instance.clone(), delivery.valid_until));
        }
        self.given(delivery)
    }

    fn given(&self, delivery: &Delivery) -> Result<Response<Bytes>, Refused> {
        let not_aws = || Refused::NotAws(self.instance.clone());
        let payload = delivery.payload.expose();
        let credentials = AwsCredentials::parse(payload).map_err(|_| not_aws())?;
        let given = Given {
            access_key_id: credentials.access_key_id(),
            secret_access_key: credentials.secret_access_key(),
            token: credentials.session_token().unwrap_or_default(),
            expiration: in_seconds(delivery.valid_until),
        };
        // Large enough from the start, with every character escaped: what grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(payload.len().saturating_mul(6).saturating_add(256)));
        serde_json::to_writer(&mut *text, &given).map_err(|_| not_aws())?;
        if let Some(suppressed) = self.answers.acquire(self.clock.now().wall) {
            tracing::info!(
                instance = %self.instance, revision = %delivery.stamp.revision, suppressed,
                "credentials sent over the AWS endpoint"
            );
        }
        Ok(answer(StatusCode::OK, Bytes::from_owner(text)))
    }
}

impl HttpHandler for AwsEndpoint {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        self.judge(&request).await.unwrap_or_else(|refused| {
            let (status, code) = refused.code();
            if matches!(refused, Refused::Host | Refused::Token)
                && let Some(suppressed) = self.refusals.acquire(self.clock.now().wall)
            {
                tracing::warn!(instance = %self.instance, code, suppressed, "AWS endpoint refused a request");
            }
            let text = serde_json::to_vec(&Failed { code, message: &refused.to_string() });
            answer(status, text.unwrap_or_default().into())
        })
    }
}

impl Refused {
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

fn answer(status: StatusCode, text: Bytes) -> Response<Bytes> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the client meant this machine when it connected to it. A browser says the name that it was given, whatever
/// that resolved to in the end.
fn is_for_this_machine(request: &Request<()>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return false };
    is_loopback(&host) && request.uri().authority().is_none_or(is_loopback)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let loopback = bare.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    loopback || host.eq_ignore_ascii_case("localhost")
}

/// A time without fractions of a second, which not every library reads, and never later than it is.
fn in_seconds(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;

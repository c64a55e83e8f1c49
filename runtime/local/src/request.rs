//! The requests that a control socket serves: method, path and parameters, defined once for client and server.

use deputy_core::Span;
use http::{Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{ControlError, Parameters};

/// A request, without its parameters. Names and ids are as the client sent them: the server parses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlRequest {
    /// `POST /v1/workers/ID/ban`
    BanWorker(String),
    /// `POST /v1/tokens?group=G&uses=1&ttl=10m`
    CreateToken,
    /// `GET /v1/instances/NAME`
    Instance(String),
    /// `GET /v1/instances/NAME/lease?wait=10s`
    Lease(String),
    /// `POST /v1/page`: a URL of the live page.
    OpenPage,
    /// `POST /v1/reload?remove=any`
    Reload,
    /// `POST /v1/workers/ID/remove`
    RemoveWorker(String),
    /// `POST /v1/instances/NAME/renew`
    Renew(String),
    /// `POST /v1/instances/NAME/revoke`
    Revoke(String),
    /// `POST /v1/tokens/ID/revoke`
    RevokeToken(String),
    /// `GET /v1/status`
    Status,
    /// `GET /v1/tokens`
    Tokens,
    /// `GET /v1/workers?after=ID&limit=1000&group=G&state=connected&instance=NAME`
    Workers,
}

/// What a path segment holds as it is: the characters of names.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// The longest that a request waits for a lease.
const MAX_WAIT: Span = Span::secs(60);

pub(crate) const WAIT: &str = "wait";

impl ControlRequest {
    /// What a request asks for, or nothing if no such request exists.
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let segments: Vec<&str> = request.uri().path().strip_prefix("/v1/")?.split('/').collect();
        let text = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        match *request.method() {
            Method::GET => Some(match *segments.as_slice() {
                ["instances", name] => Self::Instance(text(name)),
                ["instances", name, "lease"] => Self::Lease(text(name)),
                ["status"] => Self::Status,
                ["tokens"] => Self::Tokens,
                ["workers"] => Self::Workers,
                _ => return None,
            }),
            Method::POST => Some(match *segments.as_slice() {
                ["instances", name, "renew"] => Self::Renew(text(name)),
                ["instances", name, "revoke"] => Self::Revoke(text(name)),
                ["page"] => Self::OpenPage,
                ["reload"] => Self::Reload,
                ["tokens"] => Self::CreateToken,
                ["tokens", id, "revoke"] => Self::RevokeToken(text(id)),
                ["workers", id, "ban"] => Self::BanWorker(text(id)),
                ["workers", id, "remove"] => Self::RemoveWorker(text(id)),
                _ => return None,
            }),
            _ => None,
        }
    }

    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Instance(_) | Self::Lease(_) | Self::Status | Self::Tokens | Self::Workers => Method::GET,
            Self::BanWorker(_)
            | Self::CreateToken
            | Self::OpenPage
            | Self::Reload
            | Self::RemoveWorker(_)
            | Self::Renew(_)
            | Self::Revoke(_)
            | Self::RevokeToken(_) => Method::POST,
        }
    }

    /// Path and query.
    pub(crate) fn target(&self, parameters: &Parameters) -> String {
        let path = match self {
            Self::BanWorker(id) => format!("workers/{}/ban", segment(id)),
            Self::CreateToken | Self::Tokens => "tokens".to_owned(),
            Self::Instance(name) => format!("instances/{}", segment(name)),
            Self::Lease(name) => format!("instances/{}/lease", segment(name)),
            Self::OpenPage => "page".to_owned(),
            Self::Reload => "reload".to_owned(),
            Self::RemoveWorker(id) => format!("workers/{}/remove", segment(id)),
            Self::Renew(name) => format!("instances/{}/renew", segment(name)),
            Self::Revoke(name) => format!("instances/{}/revoke", segment(name)),
            Self::RevokeToken(id) => format!("tokens/{}/revoke", segment(id)),
            Self::Status => "status".to_owned(),
            Self::Workers => "workers".to_owned(),
        };
        if parameters.is_empty() { format!("/v1/{path}") } else { format!("/v1/{path}?{}", parameters.encode()) }
    }
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// How long a request for a lease waits for one: not at all without a parameter, and for a minute at most.
pub fn lease_wait(parameters: &Parameters) -> Result<Span, ControlError> {
    Ok(parameters.get::<Span>(WAIT)?.unwrap_or(Span::secs(0)).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_request_survives_the_round_trip() {
        for name in ["s3-prod", "S3", "../a", "a/b", "", "a b", "a\nb", "%2F", "é"] {
            let name = name.to_owned();
            for request in [
                ControlRequest::BanWorker(name.clone()),
                ControlRequest::CreateToken,
                ControlRequest::Instance(name.clone()),
                ControlRequest::Lease(name.clone()),
                ControlRequest::OpenPage,
                ControlRequest::Reload,
                ControlRequest::RemoveWorker(name.clone()),
                ControlRequest::Renew(name.clone()),
                ControlRequest::Revoke(name.clone()),
                ControlRequest::RevokeToken(name.clone()),
                ControlRequest::Status,
                ControlRequest::Tokens,
                ControlRequest::Workers,
            ] {
                for parameters in [Parameters::default(), Parameters::default().with("a", Some("b c"))] {
                    let target = request.target(&parameters);
                    let sent = Request::builder().method(request.method()).uri(&target).body(()).unwrap();
                    assert_eq!(ControlRequest::of(&sent).as_ref(), Some(&request), "{target}");
                    assert_eq!(Parameters::decode(sent.uri().query()), parameters, "{target}");
                }
            }
        }
    }

    #[test]
    fn control_request_rejects_another_path_or_method() {
        for (method, target) in [
            (Method::GET, "/"),
            (Method::GET, "/v1"),
            (Method::GET, "/v2/status"),
            (Method::GET, "/v1/status/"),
            (Method::POST, "/v1/status"),
            (Method::PUT, "/v1/tokens"),
            (Method::GET, "/v1/page"),
            (Method::GET, "/v1/reload"),
            (Method::POST, "/v1/instances/s3-prod/lease"),
            (Method::GET, "/v1/instances/s3-prod/lease/more"),
            (Method::GET, "/v1/instances/s3/prod/lease"),
        ] {
            let request = Request::builder().method(&method).uri(target).body(()).unwrap();
            assert_eq!(ControlRequest::of(&request), None, "{method} {target}");
        }
    }

    #[test]
    fn lease_wait_is_bounded() {
        for (query, expected) in [
            (None, Span::secs(0)),
            (Some("wait=10s"), Span::secs(10)),
            (Some("wait=366d"), Span::secs(60)),
            (Some("other=10s"), Span::secs(0)),
        ] {
            assert_eq!(lease_wait(&Parameters::decode(query)).unwrap(), expected, "{query:?}");
        }
        assert_eq!(lease_wait(&Parameters::decode(Some("wait=forever"))).unwrap_err().kind, "request");
    }
}

//! One request, from what the component sent to the head of the answer.
//!
//! [`Exchange::steps`] is the list of what a request passes, in order. No step can be left out: each needs what the one
//! before it made, and only the last of them has a socket.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;

use ::http::request::Parts;
use ::http::uri::PathAndQuery;
use ::http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use deputy_core::grant::{HttpTarget, Permit, Scheme, Target};
use deputy_core::{Limit, PolicyDenial};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::exchange_record::{BodyFailure, ExchangeRecord};
use super::failure::{RequestFailure, RequestPhase};
use super::incoming::ResponseBody;
use super::inject::inject;
use super::origin_form;
use super::outgoing::{RequestBody, section};
use super::policy::HttpPolicy;
use crate::call_budget::CallBudget;
use crate::network::{self, Connection, Deadline, Resolver, RuleTls};
use crate::secret_fault::SecretFault;

/// What a request says of who made it, where the component says nothing.
const USER_AGENT: &str = concat!("deputy/", env!("CARGO_PKG_VERSION"));

/// An answer may have one header for each so many bytes of the limit, so that a higher limit means more of them, too.
const BYTES_OF_A_HEADER: usize = 32;
/// So many headers are taken however small the limit is, and no more than these however large: hyper's own map ends there.
const HEADERS: std::ops::RangeInclusive<usize> = 100..=16_384;

/// One request under way.
pub(super) struct Exchange {
    pub(super) policy: Arc<HttpPolicy>,
    pub(super) budget: Arc<CallBudget>,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) record: ExchangeRecord,
    pub(super) options: RequestOptions,
    pub(super) whole: Deadline,
}

type Answer = (Response<hyper::body::Incoming>, AbortOnDropJoinHandle<()>);

impl Exchange {
    pub(super) async fn run(mut self, request: Request<RequestBody>) -> Result<Response<WasiBody>, Error> {
        let waiting = self.budget.wait_for_network();
        let ended = self.steps(request).await;
        drop(waiting);
        match ended {
            Ok((response, connection)) => {
                let (budget, whole, asked) = (self.budget, self.whole, self.options.between_bytes_timeout);
                let record = self.record;
                let body =
                    |body| ResponseBody::new(body, budget, record, whole, asked, Some(connection)).boxed_unsync();
                Ok(response.map(body))
            }
            Err(failure) => Err(failure.end(&mut self.record)),
        }
    }

    async fn steps(&mut self, request: Request<RequestBody>) -> Result<Answer, RequestFailure> {
        let (mut head, mut body) = request.into_parts();
        // One that is refused counts as well: to be refused costs a component nothing else.
        self.budget.usage.take_request()?;
        let target = self.target(&head)?;
        self.record.note_target(&target);
        let permit = self.policy.grant().permit_http(&target)?;
        normalise(&mut head, target.target())?;
        self.inject(&permit, &mut head, &mut body).await?;
        self.budget.usage.take_sent(request_line(&head) + section(&head.headers))?;
        let rule = permit.rule();
        self.announce(rule).await?;
        let stream = self.connect(permit).await?;
        let stream = self.secure(rule, target.target(), stream).await?;
        let answer = self.exchange(stream, Request::from_parts(head, body)).await?;
        self.judge(&answer.0)?;
        Ok(answer)
    }

    /// What is to be reached, unless its description is too long or can be read in two ways.
    fn target(&self, head: &Parts) -> Result<HttpTarget, RequestFailure> {
        let limits = self.budget.limits();
        let path = origin_form(&head.uri);
        let scheme = head.uri.scheme_str().unwrap_or_default();
        let authority = head.uri.authority().map_or("", |authority| authority.as_str());
        if (scheme.len() + 3 + authority.len() + path.len()) as u64 > limits.url.as_u64() {
            return Err(PolicyDenial::Limit(Limit::Url).into());
        }
        if section(&head.headers) as u64 > limits.headers.as_u64() {
            return Err(PolicyDenial::Limit(Limit::Headers).into());
        }
        let target = HttpTarget::parse(scheme, authority, head.method.as_str(), &path);
        Ok(target.map_err(PolicyDenial::Target)?)
    }

    async fn inject(
        &mut self,
        permit: &Permit,
        head: &mut Parts,
        body: &mut RequestBody,
    ) -> Result<(), RequestFailure> {
        let (rule, _) = self.policy.rule(permit.rule()).ok_or_else(unknown_rule)?;
        for injection in &rule.send.inject {
            self.record.note_injected(injection.secret.to_string());
        }
        let most = self.budget.limits().sent.as_u64();
        inject(&rule.send.inject, self.policy.secrets(), head, body, self.whole, most).await
    }

    /// Records the request before it leaves, with the secrets that leave with it. The key of a client certificate does not
    /// leave, but it is used.
    async fn announce(&mut self, rule: usize) -> Result<(), RequestFailure> {
        let key = self.policy.rule(rule).and_then(|(_, tls)| tls?.key().map(ToString::to_string));
        if let Some(key) = key {
            self.record.note_injected(key);
        }
        let unrecorded = |error| RequestFailure::failed("audit-unavailable", Error::InternalError(None)).because(error);
        self.record.audit().announce().await.map_err(unrecorded)
    }

    /// Resolves, pins and connects, all under one limit.
    async fn connect(&mut self, permit: Permit) -> Result<TcpStream, RequestFailure> {
        let limit = self.budget.limits().connect;
        let deadline = self.whole.step(limit, Limit::Connect, self.options.connect_timeout);
        let resolved = deadline.run(network::resolve(&*self.resolver, permit.target().host())).await;
        let addresses =
            resolved.map_err(|late| RequestFailure::late(late, RequestPhase::Connect))?.map_err(|error| {
                RequestFailure::failed("dns", Error::DnsError { rcode: None, info_code: None }).because(error)
            })?;
        let pinned = permit.pin(&addresses)?;
        if let Some(first) = pinned.addresses().first() {
            self.record.note_address(first.ip());
        }
        let stream = network::connect(pinned, deadline).await?;
        if let Ok(peer) = stream.peer_addr() {
            self.record.note_address(peer.ip());
        }
        Ok(stream)
    }

    async fn secure(&self, rule: usize, target: &Target, stream: TcpStream) -> Result<Connection, RequestFailure> {
        let tls: &RuleTls = match (target.scheme(), self.policy.rule(rule)) {
            (Scheme::Http, Some(_)) => return Ok(Connection::Left(stream)),
            (Scheme::Https, Some((_, Some(tls)))) => tls,
            _ => return Err(unknown_rule()),
        };
        let key = match tls.key() {
            Some(name) => {
                let value = self.whole.run(self.policy.secrets().value(name)).await;
                let value = value.map_err(|late| RequestFailure::late(late, RequestPhase::Whole))?;
                Some(value.map_err(|error| {
                    RequestFailure::secret("secret-unavailable", SecretFault::Source(error.to_string()))
                })?)
            }
            None => None,
        };
        let config =
            self.whole.run(tls.config(key)).await.map_err(|late| RequestFailure::late(late, RequestPhase::Whole))?;
        let config = config
            .map_err(|error| RequestFailure::secret("client-certificate", SecretFault::Value(error.to_string())))?;
        let asked = self.options.connect_timeout;
        let deadline = self.whole.step(self.budget.limits().tls, Limit::Tls, asked);
        Ok(network::handshake(stream, target.host(), config, deadline).await?)
    }

    /// Sends the request and waits for the head of the answer. The time for that begins when the request is out.
    async fn exchange(&self, stream: Connection, mut request: Request<RequestBody>) -> Result<Answer, RequestFailure> {
        let headers = self.budget.limits().headers.as_usize();
        let mut client = http1::Builder::new();
        client.max_header_size(headers).max_buf_size(headers.max(64 * 1024));
        client.max_headers((headers / BYTES_OF_A_HEADER).clamp(*HEADERS.start(), *HEADERS.end()));
        let (mut sender, connection) =
            client.handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let connection = wasmtime_wasi::runtime::spawn(async move {
            // What goes wrong in it shows in the answer or its body.
            connection.await.ok();
        });
        let sent = request.body_mut().sent();
        let mut answer = pin!(sender.send_request(request));
        let early = self.whole.run(async {
            tokio::select! {
                biased;
                answer = &mut answer => Some(answer),
                _ = sent => None,
            }
        });
        let answer = match early.await.map_err(|late| RequestFailure::late(late, RequestPhase::Whole))? {
            Some(answer) => answer,
            None => {
                let asked = self.options.first_byte_timeout;
                let deadline = self.whole.step(self.budget.limits().first_byte, Limit::FirstByte, asked);
                deadline.run(answer).await.map_err(|late| RequestFailure::late(late, RequestPhase::FirstByte))?
            }
        };
        Ok((answer.map_err(|error| self.broken(&error))?, connection))
    }

    /// Whether the component may have this answer.
    fn judge(&mut self, answer: &Response<hyper::body::Incoming>) -> Result<(), RequestFailure> {
        self.record.note_status(answer.status().as_u16());
        let (limits, bytes) = (self.budget.limits(), section(answer.headers()));
        self.budget.usage.take_received(bytes)?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(RequestFailure::failed("upgrade", Error::HttpUpgradeFailed));
        }
        if answer.body().size_hint().lower() > limits.response.as_u64() {
            return Err(PolicyDenial::Limit(Limit::Response).into());
        }
        self.record.audit().done();
        Ok(())
    }

    /// What an error of the connection means: the component's own body may have been the reason.
    fn broken(&self, error: &hyper::Error) -> RequestFailure {
        match self.record.meter().failure() {
            Some(BodyFailure::Refused(denial)) => return denial.clone().into(),
            Some(BodyFailure::Aborted) => return RequestFailure::failed("request-aborted", Error::HttpProtocolError),
            None => {}
        }
        if error.is_parse_too_large() {
            headers_too_large()
        } else if error.is_parse() {
            RequestFailure::failed("protocol", Error::HttpProtocolError).because(error)
        } else if is_tls(error) {
            // With TLS 1.3 a server judges the client's certificate when the handshake is over.
            RequestFailure::failed("tls", Error::TlsProtocolError).because(error)
        } else {
            RequestFailure::failed("connection-closed", Error::ConnectionTerminated).because(error)
        }
    }
}

/// Origin form, and what the host itself says to the next hop.
fn normalise(head: &mut Parts, target: &Target) -> Result<(), RequestFailure> {
    let invalid = || RequestFailure::failed("uri", Error::HttpRequestUriInvalid);
    head.uri = PathAndQuery::try_from(origin_form(&head.uri)).map(Uri::from).map_err(|_| invalid())?;
    let host = match target.scheme().default_port() {
        Some(port) if port == target.port() => target.host().to_string(),
        _ => format!("{}:{}", target.host(), target.port()),
    };
    for name in head.headers.keys().filter(|name| super::forbidden(name)).cloned().collect::<Vec<_>>() {
        head.headers.remove(name);
    }
    let host = Bytes::from(host);
    head.headers.insert(header::HOST, HeaderValue::from_maybe_shared(host).map_err(|_| invalid())?);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    // Firewalls of web applications turn away who does not say what it is.
    if !head.headers.contains_key(header::USER_AGENT) {
        head.headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    }
    Ok(())
}

fn request_line(head: &Parts) -> usize {
    head.method.as_str().len() + head.uri.path_and_query().map_or(1, |path| path.as_str().len()) + 12
}

fn is_tls(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    io.and_then(std::io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>())
}

fn headers_too_large() -> RequestFailure {
    RequestFailure::denied(PolicyDenial::Limit(Limit::Headers), Error::HttpResponseHeaderSectionSize(None))
}

/// A permit of another grant: a bug of ours, told as a denial.
fn unknown_rule() -> RequestFailure {
    RequestFailure::failed("internal", Error::HttpRequestDenied)
}

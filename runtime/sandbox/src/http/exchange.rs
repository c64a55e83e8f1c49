//! One request, from the component's request to the head of the response.
//!
//! [`Exchange::steps`] lists the steps of a request in order. No step can be left out: each consumes the result of the one
//! before it, and only the last of them has a socket.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;

use ::http::request::Parts;
use ::http::uri::PathAndQuery;
use ::http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use deputy_core::grant::{Grant, HttpTarget, KerberosPermit, Permit, Target};
use deputy_core::{Limit, PolicyDenial, SecretName};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::echo::{Added, EchoGuard};
use super::exchange_record::{BodyFailure, ExchangeRecord};
use super::failure::{RequestFailure, RequestPhase};
use super::incoming::ResponseBody;
use super::inject::inject;
use super::negotiate::Negotiation;
use super::origin_form;
use super::outgoing::{RequestBody, section};
use super::policy::{HttpPolicy, PermittedRule};
use crate::call_budget::CallBudget;
use crate::network::{self, Connection, Deadline, Resolver};
use crate::secret_fault::SecretFault;
use crate::stand_in::World;
use crate::tape::{TapedBody, TapedPlace, TapedSide};

/// The `User-Agent` of a request whose component sets none.
const USER_AGENT: &str = concat!("deputy/", env!("CARGO_PKG_VERSION"));

/// A response may have one header per this many bytes of the limit `headers`.
const BYTES_PER_HEADER: usize = 32;
/// The bounds of that number. hyper's own map ends at the upper one.
const HEADERS: std::ops::RangeInclusive<usize> = 100..=16_384;

/// One request in progress.
pub(super) struct Exchange {
    pub(super) grant: Arc<Grant>,
    pub(super) policy: Arc<HttpPolicy>,
    pub(super) budget: Arc<CallBudget>,
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) world: World,
    pub(super) lookups: Arc<Semaphore>,
    pub(super) record: ExchangeRecord,
    pub(super) options: RequestOptions,
    pub(super) total: Deadline,
    /// Where it is kept, once it is permitted.
    pub(super) taped: Option<TapedPlace>,
}

/// A response with its connection, and what searches its body.
type Exchanged = (Response<hyper::body::Incoming>, AbortOnDropJoinHandle<()>, Option<EchoGuard>);

impl Exchange {
    pub(super) async fn run(mut self, request: Request<RequestBody>) -> Result<Response<WasiBody>, Error> {
        let outcome = {
            let _waiting = self.budget.wait_for_network();
            self.steps(request).await
        };
        match outcome {
            Ok((response, connection, guard)) => {
                let requested = self.options.between_bytes_timeout;
                Ok(response.map(|body| {
                    let body =
                        ResponseBody::new(body, self.budget, self.record, self.total, requested, Some(connection))
                            .searched_by(guard);
                    match self.taped {
                        Some(place) => TapedBody::new(body, place, TapedSide::Response).boxed_unsync(),
                        None => body.boxed_unsync(),
                    }
                }))
            }
            Err(failure) => Err(failure.end(&mut self.record)),
        }
    }

    async fn steps(&mut self, request: Request<RequestBody>) -> Result<Exchanged, RequestFailure> {
        let (mut head, mut body) = request.into_parts();
        let grant = Arc::clone(&self.grant);
        let policy = Arc::clone(&self.policy);
        // A denied request counts as well: a denial has no other cost for the component.
        self.budget.usage.take_request()?;
        let target = self.target(&head)?;
        self.record.note_target(&target);
        let permit = grant.permit_http(&target)?;
        self.record.note_allowed(grant.http.get(permit.rule()).map(|rule| &rule.pattern));
        let rule = policy.rule(&grant, &permit)?;
        let is_own = head.headers.contains_key(header::AUTHORIZATION);
        let context = grant.permit_negotiate(&permit, is_own)?;
        normalise(&mut head, target.target())?;
        self.tape(rule, target.target(), &head, &mut body);
        let mut added = self.inject(rule, &mut head, &mut body).await?;
        let negotiation = self.negotiate(context, &mut head, &mut added).await?;
        let guard = guard(rule, permit.target(), &added, &mut head);
        self.budget.usage.take_sent(request_line(&head) + section(&head.headers))?;
        self.announce(rule).await?;
        let stream = self.connect(permit).await?;
        let stream = self.secure(rule, target.target(), stream).await?;
        let (mut response, connection) = self.exchange(stream, Request::from_parts(head, body)).await?;
        self.check_response(&response, guard.as_ref())?;
        if let Some(negotiation) = negotiation {
            negotiation.finish(&response, self.total).await?;
            // A cookie would authenticate requests that no rule has the host authenticate.
            response.headers_mut().remove(header::SET_COOKIE);
        }
        self.record.audit().done();
        if let Some(place) = &self.taped {
            place.note_response(&response);
        }
        Ok((response, connection, guard))
    }

    /// The target, unless it is too long or ambiguous.
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
        let headers = head.headers.keys().map(|name| name.as_str());
        let target = HttpTarget::parse(scheme, authority, head.method.as_str(), &path, headers);
        Ok(target.map_err(PolicyDenial::Target)?)
    }

    /// Keeps the component's own request, if a tape runs.
    fn tape(&mut self, rule: PermittedRule<'_>, target: &Target, head: &Parts, body: &mut RequestBody) {
        let Some(tape) = self.world.tape() else { return };
        let place = tape.begin(target.to_string(), head, &rule.send.inject);
        body.tape(place.clone());
        self.taped = Some(place);
    }

    /// Adds the rule's secrets, and returns them.
    async fn inject(
        &mut self,
        rule: PermittedRule<'_>,
        head: &mut Parts,
        body: &mut RequestBody,
    ) -> Result<Vec<Added>, RequestFailure> {
        for injection in &rule.send.inject {
            self.record.note_injected(injection.secret.to_string());
        }
        let max = self.budget.limits().sent.as_u64();
        inject(&rule.send.inject, self.policy.secrets(), head, body, self.total, max).await
    }

    /// Adds the token of a fresh context, if the rule has that.
    async fn negotiate(
        &mut self,
        permit: Option<KerberosPermit>,
        head: &mut Parts,
        added: &mut Vec<Added>,
    ) -> Result<Option<Negotiation>, RequestFailure> {
        let Some(permit) = permit else { return Ok(None) };
        let negotiation = Negotiation::begin(&self.budget, self.policy.login()?, &permit, head, self.total).await?;
        added.push((SecretName::negotiate(), negotiation.token()));
        Ok(Some(negotiation))
    }

    /// Records the request before it is sent, with the secrets that are sent. The key of a client certificate is not sent,
    /// but used.
    async fn announce(&mut self, rule: PermittedRule<'_>) -> Result<(), RequestFailure> {
        if let Some(key) = rule.tls.and_then(|tls| tls.key()) {
            self.record.note_injected(key.to_string());
        }
        self.record.audit().announce().await.map_err(RequestFailure::unrecorded)
    }

    /// Resolves, pins and connects, all under one limit.
    async fn connect(&mut self, permit: Permit) -> Result<TcpStream, RequestFailure> {
        let limit = self.budget.limits().connect;
        let deadline = self.total.step(limit, Limit::Connect, self.options.connect_timeout);
        let resolved = deadline.run(network::resolve(&*self.resolver, &self.lookups, permit.target().host())).await;
        let addresses =
            resolved.map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Connect))?.map_err(
                |error| RequestFailure::failed("dns", Error::DnsError { rcode: None, info_code: None }).because(error),
            )?;
        let pinned = permit.pin(&addresses)?;
        if let Some(first) = pinned.addresses().first() {
            self.record.note_address(first.ip());
        }
        let stream = network::connect(pinned, deadline, &self.world).await?;
        if let (true, Ok(peer)) = (self.world.is_real(), stream.peer_addr()) {
            self.record.note_address(peer.ip());
        }
        Ok(stream)
    }

    async fn secure(
        &self,
        rule: PermittedRule<'_>,
        target: &Target,
        stream: TcpStream,
    ) -> Result<Connection, RequestFailure> {
        let Some(tls) = rule.tls else { return Ok(Connection::Left(stream)) };
        let key = match tls.key() {
            Some(name) => {
                let value = self
                    .total
                    .run(self.policy.secrets().value(name))
                    .await
                    .map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Total))?;
                Some(value.map_err(|error| {
                    RequestFailure::secret("secret-unavailable", SecretFault::Source(error.to_string()))
                })?)
            }
            None => None,
        };
        let config = self
            .total
            .run(tls.config(key))
            .await
            .map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Total))?;
        let config = config
            .map_err(|error| RequestFailure::secret("client-certificate", SecretFault::Value(error.to_string())))?;
        let requested = self.options.connect_timeout;
        let deadline = self.total.step(self.budget.limits().tls, Limit::Tls, requested);
        Ok(network::handshake(stream, target.host(), config, deadline).await?)
    }

    /// Sends the request and waits for the head of the response. The time for that begins when the request is sent.
    async fn exchange(
        &self,
        stream: Connection,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<hyper::body::Incoming>, AbortOnDropJoinHandle<()>), RequestFailure> {
        let headers = self.budget.limits().headers.as_usize();
        let mut client = http1::Builder::new();
        client.max_header_size(headers).max_buf_size(headers.max(64 * 1024));
        client.max_headers((headers / BYTES_PER_HEADER).clamp(*HEADERS.start(), *HEADERS.end()));
        let (mut sender, connection) =
            client.handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let connection = wasmtime_wasi::runtime::spawn(async move {
            // An error of the connection shows in the response or its body.
            connection.await.ok();
        });
        let sent = request.body_mut().sent();
        let mut response = pin!(sender.send_request(request));
        let early = self.total.run(async {
            tokio::select! {
                biased;
                response = &mut response => Some(response),
                _ = sent => None,
            }
        });
        let response =
            match early.await.map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::Total))? {
                Some(response) => response,
                None => {
                    let requested = self.options.first_byte_timeout;
                    let deadline = self.total.step(self.budget.limits().first_byte, Limit::FirstByte, requested);
                    deadline
                        .run(response)
                        .await
                        .map_err(|timed_out| RequestFailure::timed_out(timed_out, RequestPhase::FirstByte))?
                }
            };
        Ok((response.map_err(|error| self.broken(&error))?, connection))
    }

    /// Checks the head of the response against the limits, and searches it for the secrets that were sent.
    fn check_response(
        &mut self,
        response: &Response<hyper::body::Incoming>,
        guard: Option<&EchoGuard>,
    ) -> Result<(), RequestFailure> {
        self.record.note_status(response.status().as_u16());
        self.budget.usage.take_received(section(response.headers()))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(RequestFailure::failed("upgrade", Error::HttpUpgradeFailed));
        }
        if response.body().size_hint().lower() > self.budget.limits().response.as_u64() {
            return Err(PolicyDenial::Limit(Limit::Response).into());
        }
        match guard {
            Some(guard) => Ok(guard.check_head(response)?),
            None => Ok(()),
        }
    }

    /// The meaning of an error of the connection, which the component's own body may have caused.
    fn broken(&self, error: &hyper::Error) -> RequestFailure {
        match self.record.meter().failure() {
            Some(BodyFailure::Denied(denial)) => return denial.clone().into(),
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

/// What looks in the response for what was added to the request.
fn guard(rule: PermittedRule<'_>, target: &Target, added: &[Added], head: &mut Parts) -> Option<EchoGuard> {
    let guard = if rule.send.allow_echo { None } else { EchoGuard::new(target, added) };
    if let Some(guard) = &guard {
        guard.prepare(&mut head.headers);
    }
    guard
}

/// Brings the URI into origin form, and sets the headers that are the host's.
fn normalise(head: &mut Parts, target: &Target) -> Result<(), RequestFailure> {
    head.uri = PathAndQuery::try_from(origin_form(&head.uri)).map(Uri::from).map_err(|_| invalid_uri())?;
    let host = match target.scheme().default_port() {
        Some(port) if port == target.port() => target.host().to_string(),
        _ => format!("{}:{}", target.host(), target.port()),
    };
    for name in head.headers.keys().filter(|name| super::forbidden(name)).cloned().collect::<Vec<_>>() {
        head.headers.remove(name);
    }
    let host = Bytes::from(host);
    head.headers.insert(header::HOST, HeaderValue::from_maybe_shared(host).map_err(|_| invalid_uri())?);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    // Web application firewalls reject requests without one.
    if !head.headers.contains_key(header::USER_AGENT) {
        head.headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    }
    Ok(())
}

fn invalid_uri() -> RequestFailure {
    RequestFailure::failed("uri", Error::HttpRequestUriInvalid)
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

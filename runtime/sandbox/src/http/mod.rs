//! The capability `wasi:http`: requests that the grant allows, with the credentials that the operator adds.
//!
//! [`HttpPolicy`] is made once per instance and [`HttpHooks`] once per call; an [`exchange`] reads as the list of steps of
//! a request. Redirects are never followed, connections never reused, and a component never sees an error's text.

mod echo;
mod exchange;
mod exchange_record;
mod failure;
mod form;
mod incoming;
mod inject;
mod negotiate;
mod outgoing;
mod policy;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::http::{HeaderName, Request, Response, Uri, header, uri};
use deputy_audit::AuditAction;
use deputy_core::Limit;
use deputy_core::grant::Grant;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpHooks,
};

use crate::call_audit::{CallAudit, MAX_TEXT};
use crate::call_budget::CallBudget;
use crate::network::{Deadline, Resolver};
use crate::stand_in::World;
use exchange::Exchange;
use exchange_record::ExchangeRecord;
use outgoing::{BodyDrains, RequestBody};
pub(crate) use policy::HttpPolicy;
pub use policy::HttpPolicyError;

/// The hooks of `wasmtime-wasi-http` for one call. Everything that a call starts ends when this is dropped.
pub(crate) struct HttpHooks {
    grant: Arc<Grant>,
    policy: Arc<HttpPolicy>,
    budget: Arc<CallBudget>,
    resolver: Arc<dyn Resolver>,
    world: World,
    /// The instance's concurrent look-ups, with those of sockets.
    lookups: Arc<Semaphore>,
    drains: BodyDrains,
}

/// Bytes of one write to a request's body; two of these are buffered per request.
const CHUNK: usize = 64 * 1024;

type Work = Box<dyn Future<Output = Result<(), Error>> + Send>;
type ResponseFuture = Box<dyn Future<Output = Result<(Response<WasiBody>, Work)>> + Send>;

impl HttpHooks {
    pub(crate) fn new(
        grant: Arc<Grant>,
        policy: Arc<HttpPolicy>,
        budget: Arc<CallBudget>,
        resolver: Arc<dyn Resolver>,
        lookups: Arc<Semaphore>,
        world: World,
    ) -> Self {
        Self { grant, policy, budget, resolver, lookups, world, drains: BodyDrains::default() }
    }

    fn begin(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> (Exchange, Request<RequestBody>) {
        let record = ExchangeRecord::begin(&self.budget, audit_action(&self.budget.audit, &request));
        let total = Deadline::after(self.budget.limits().exchange, Limit::Exchange);
        let meter = record.meter();
        let request =
            request.map(|body| RequestBody::new(body, Arc::clone(&self.budget), meter, self.drains.weak(), total));
        let exchange = Exchange {
            grant: Arc::clone(&self.grant),
            policy: Arc::clone(&self.policy),
            budget: Arc::clone(&self.budget),
            resolver: Arc::clone(&self.resolver),
            lookups: Arc::clone(&self.lookups),
            world: self.world.clone(),
            record,
            options: options.unwrap_or_default(),
            taped: None,
            total,
        };
        (exchange, request)
    }
}

impl WasiHttpHooks for HttpHooks {
    fn send_request(&mut self, request: Request<WasiBody>, options: Option<RequestOptions>, _: Work) -> ResponseFuture {
        let (exchange, request) = self.begin(request, options);
        Box::new(async move {
            let response = exchange.run(request).await?;
            Ok((response, Box::new(async { Ok(()) }) as Work))
        })
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(forbidden)
    }

    /// All of them, so that an odd scheme is refused where denials are recorded.
    fn is_supported_scheme(&mut self, _: &uri::Scheme) -> bool {
        true
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::ConnectionRefused
    }

    fn p2_error_from_tls(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }
}

/// Headers that are the host's to set.
fn forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || *name == header::TE || *name == header::TRAILER
}

/// The audit action of a request that is not validated yet: without user information and query, and bounded.
fn audit_action(audit: &CallAudit, request: &Request<WasiBody>) -> AuditAction {
    let uri = request.uri();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    AuditAction::Http {
        method: audit.excerpt(request.method().as_str(), MAX_TEXT).to_owned(),
        target: format!("{}://{}", uri.scheme_str().unwrap_or_default(), audit.excerpt(host, MAX_TEXT)),
        path: audit.excerpt(uri.path(), MAX_TEXT).to_owned(),
        address: None,
        status: None,
        sent: 0,
        received: 0,
        injected: Vec::new(),
    }
}

/// Path and query as they go into the request line.
fn origin_form(uri: &Uri) -> String {
    uri.path_and_query().map_or("/", |path| path.as_str()).to_owned()
}

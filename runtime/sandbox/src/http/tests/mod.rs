//! Requests through the hooks, to real local servers.

mod answers;
mod bodies;
mod echoes;
mod injected;
mod limited;
mod plain;
mod refused;
mod tls;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use deputy_audit::{AuditAction, AuditOutcome};
use deputy_core::Limits;
use deputy_core::grant::HttpRule;
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::{HttpHooks, HttpPolicy};
use crate::network::{Resolver, lookup_slots};
use crate::stand_in::World;
use crate::testing::{AuditedBudget, StaticSecrets, instance, names};

/// One call of an instance.
pub(super) struct TestClient {
    pub(super) hooks: HttpHooks,
    pub(super) audited: AuditedBudget,
}

pub(super) fn client(rules: Vec<HttpRule>) -> TestClient {
    limited(rules, Limits::default())
}

pub(super) fn limited(rules: Vec<HttpRule>, limits: Limits) -> TestClient {
    with(rules, limits, StaticSecrets::of(&[]), names())
}

pub(super) fn with(
    rules: Vec<HttpRule>,
    limits: Limits,
    values: Arc<StaticSecrets>,
    resolver: Arc<dyn Resolver>,
) -> TestClient {
    let instance = instance(rules, limits.clone());
    let policy = Arc::new(HttpPolicy::new(&instance, values).unwrap());
    let grant = Arc::new(instance.grant);
    let audited = AuditedBudget::new(limits);
    let hooks = HttpHooks::new(grant, policy, Arc::clone(&audited.budget), resolver, lookup_slots(), World::default());
    TestClient { hooks, audited }
}

impl TestClient {
    pub(super) async fn send(&mut self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        self.send_in(request, RequestOptions::default()).await
    }

    pub(super) async fn send_in(
        &mut self,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        let sent = Pin::from(self.hooks.send_request(request, Some(options), Box::new(async { Ok(()) })));
        // No test needs nearly as long; one that hangs should say so.
        let sent = tokio::time::timeout(Duration::from_secs(20), sent).await.expect("an answer");
        sent.map(|(response, _)| response)
    }

    pub(super) async fn get(&mut self, url: &str) -> Result<Response<WasiBody>, Error> {
        self.send(get(url)).await
    }

    /// What was refused, as the codes that tests compare.
    pub(super) fn denials(&self) -> Vec<String> {
        self.audited.budget.findings.denials().iter().map(|denial| denial.code().to_owned()).collect()
    }

    /// The limits that the component exceeded, and those within which its server did not answer.
    pub(super) fn limits(&self) -> Vec<String> {
        let limit = |text: String| text.strip_prefix("over the limit ").map(|rest| rest.trim_matches('`').to_owned());
        let exceeded = self.audited.budget.findings.denials();
        let exceeded = exceeded.iter().filter_map(|denial| limit(denial.to_string()));
        exceeded.chain(self.audited.budget.findings.timeouts().iter().map(ToString::to_string)).collect()
    }

    /// The outcome, status, sent and received of the only event.
    pub(super) fn http(&self) -> (AuditOutcome, Option<u16>, u64, u64) {
        let events = self.audited.events();
        assert_eq!(events.len(), 1, "{events:?}");
        match &events[0].action {
            AuditAction::Http { status, sent, received, .. } => (events[0].outcome, *status, *sent, *received),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn get(url: &str) -> Request<WasiBody> {
    Request::get(url).body(bytes("")).unwrap()
}

pub(super) fn bytes(text: impl Into<Bytes>) -> WasiBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// All of a body, or how it broke.
pub(super) async fn text(response: Response<WasiBody>) -> Result<String, Error> {
    let (mut body, mut out) = (response.into_body(), Vec::new());
    let read = async {
        while let Some(frame) = body.frame().await {
            out.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
        }
        Ok(String::from_utf8(out).unwrap())
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an end")
}

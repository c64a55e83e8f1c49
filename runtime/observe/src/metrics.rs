//! Metrics in Prometheus' text form. Names and labels are stable: dashboards hold on to them.
//!
//! What is counted is counted where it happens; what is held (leases, upstreams) is a snapshot, replaced as a whole when
//! somebody asks. No label holds a text of a component's or server's choosing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::audit::{AuditMetrics, AuditStatus};
use crate::{AuditAction, AuditEvent, AuditOutcome, AuditSubject};

/// The media type of what [`Metrics::text`] gives.
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a coordinator.
#[derive(Debug)]
pub struct CoordinatorMetrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_duration: Family<FunctionLabels, Histogram>,
    call_seconds: Family<InstanceFunctionLabels, Counter<f64, AtomicU64>>,
    retries: Family<InstanceLabels, Counter>,
    saves: Family<OutcomeLabels, Counter>,
    jumps: Counter,
    not_revoked: Family<NotRevokedLabels, Counter>,
    capability_uses: Family<UseLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    sandbox_calls: Family<FunctionLabels, Counter>,
    sandbox_limits: Family<LimitLabels, Counter>,
    worker_events: Family<WorkerLabels, Counter>,
    worker_reports: Family<ReportLabels, Counter>,
    worker_faults: Counter,
    worker_suppressed: Family<OperationLabels, Counter>,
    workers: Gauge,
    audit: AuditMetrics,
    held: Mutex<Held>,
}

/// What a snapshot fills.
#[derive(Debug)]
struct Held {
    expiry: Family<LeaseLabels, Gauge>,
    obtained: Family<LeaseLabels, Gauge>,
    age: Family<LeaseLabels, Gauge>,
    revision: Family<LeaseLabels, Gauge>,
    last_success: Family<LeaseLabels, Gauge>,
    failures: Family<LeaseLabels, Gauge>,
    ready: Family<LeaseLabels, Gauge>,
    retired: Family<LeaseLabels, Gauge>,
    unsaved: Family<LeaseLabels, Gauge>,
    waiting: Family<UpstreamLabels, Gauge>,
    waits: Family<UpstreamLabels, Counter>,
}

/// What is held for one instance, in seconds since 1970 where it is a time.
#[derive(Debug, Clone, Default)]
pub struct LeaseMetrics {
    /// The instance.
    pub instance: String,
    /// Its service.
    pub service: String,
    /// When the lease ends.
    pub expiry: Option<u64>,
    /// When it was obtained.
    pub obtained: Option<u64>,
    /// Its age, in seconds.
    pub age: Option<u64>,
    /// Its revision.
    pub revision: Option<u64>,
    /// When a call last brought something.
    pub last_success: Option<u64>,
    /// Calls that failed since.
    pub failures: u32,
    /// Whether it is ready: 1, or 0.
    pub ready: u8,
    /// Leases that wait to be revoked.
    pub retired: usize,
    /// Whether the lease that is given out is not saved: 1, or 0.
    pub unsaved: u8,
}

/// One upstream.
#[derive(Debug, Clone, Default)]
pub struct UpstreamMetrics {
    /// Its name.
    pub name: String,
    /// How many instances wait to be called.
    pub waiting: usize,
    /// How many calls had to wait for its budget, since the start.
    pub waits: u64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LeaseLabels {
    instance: String,
    service: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InstanceLabels {
    instance: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NotRevokedLabels {
    instance: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    instance: String,
    function: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InstanceFunctionLabels {
    instance: String,
    function: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FunctionLabels {
    function: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WorkerLabels {
    operation: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    operation: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReportLabels {
    instance: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UseLabels {
    #[prometheus(flatten)]
    actor: AuditSubject,
    capability: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    #[prometheus(flatten)]
    actor: AuditSubject,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    limit: String,
}

/// Seconds: from a local answer to the longest call that the default limits allow.
const BOUNDS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

impl Default for CoordinatorMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("deputy");
        let calls = Family::default();
        registry.register("calls", "Provider calls by outcome", calls.clone());
        let call_duration = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register("call_duration_seconds", "Duration of provider calls", call_duration.clone());
        let call_seconds = Family::default();
        registry.register("call_seconds", "Total time spent in provider calls", call_seconds.clone());
        let retries = Family::default();
        registry.register("retries", "Provider calls that were retries", retries.clone());
        let saves = Family::default();
        registry.register("saves", "Writes of lease records by outcome", saves.clone());
        let jumps = Counter::default();
        registry.register("clock_jumps", "Clock jumps detected (clock set, or machine suspended)", jumps.clone());
        let not_revoked = Family::default();
        registry.register(
            "leases_not_revoked",
            "Leases that should have been revoked and were left to expire, by reason",
            not_revoked.clone(),
        );
        let capability_uses = Family::default();
        registry.register("capability_uses", "Capability uses by components, by outcome", capability_uses.clone());
        let refusals = Family::default();
        registry.register("refusals", "Capability uses denied by policy, by code", refusals.clone());
        let sandbox_calls = Family::default();
        registry.register("sandbox_calls", "Calls into components, by function", sandbox_calls.clone());
        let sandbox_limits = Family::default();
        registry.register("sandbox_limits", "Calls ended by a sandbox limit", sandbox_limits.clone());
        let worker_events = Family::default();
        registry.register("link_events", "Worker requests by operation and outcome", worker_events.clone());
        let worker_reports = Family::default();
        registry.register("link_reports", "Lease reports received from workers, by result", worker_reports.clone());
        let worker_faults = Counter::default();
        registry.register("link_faults", "Worker connections closed for breaking the protocol", worker_faults.clone());
        let worker_suppressed = Family::default();
        registry.register(
            "link_suppressed",
            "Requests and reports of workers that were not recorded, because there were too many like them",
            worker_suppressed.clone(),
        );
        let workers = Gauge::default();
        registry.register("workers", "Connected workers", workers.clone());
        let audit = AuditMetrics::register(&mut registry);
        let held = Mutex::new(Held::new(&mut registry));
        Self {
            registry,
            calls,
            call_duration,
            call_seconds,
            retries,
            saves,
            jumps,
            not_revoked,
            capability_uses,
            refusals,
            sandbox_calls,
            sandbox_limits,
            worker_events,
            worker_reports,
            worker_faults,
            worker_suppressed,
            workers,
            audit,
            held,
        }
    }
}

impl CoordinatorMetrics {
    /// A call of the schedule ended; `outcome` is `done` or the kind of failure.
    pub fn called(&self, instance: &str, function: &str, outcome: &str, seconds: f64) {
        let (instance, function) = (instance.to_owned(), function.to_owned());
        self.call_duration.get_or_create(&FunctionLabels { function: function.clone() }).observe(seconds);
        let labels = InstanceFunctionLabels { instance: instance.clone(), function: function.clone() };
        self.call_seconds.get_or_create(&labels).inc_by(seconds);
        self.calls.get_or_create(&CallLabels { instance, function, outcome: outcome.to_owned() }).inc();
    }

    /// A call is made again after a failure.
    pub fn retried(&self, instance: &str) {
        self.retries.get_or_create(&InstanceLabels { instance: instance.to_owned() }).inc();
    }

    /// State was written, or could not be.
    pub fn saved(&self, outcome: AuditOutcome) {
        self.saves.get_or_create(&OutcomeLabels { outcome: word(outcome).to_owned() }).inc();
    }

    /// The clock jumped.
    pub fn jumped(&self) {
        self.jumps.inc();
    }

    /// A lease should have been revoked, and is left to expire.
    pub fn not_revoked(&self, instance: &str, reason: &'static str) {
        let labels = NotRevokedLabels { instance: instance.to_owned(), reason };
        self.not_revoked.get_or_create(&labels).inc();
    }

    /// A worker said of a lease that it is applied, or that it can't be.
    pub fn reported(&self, instance: &str, outcome: AuditOutcome) {
        let outcome = word(outcome).to_owned();
        self.worker_reports.get_or_create(&ReportLabels { instance: instance.to_owned(), outcome }).inc();
    }

    /// A connection for workers was ended, because it broke the rules.
    pub fn worker_fault(&self) {
        self.worker_faults.inc();
    }

    /// A worker did something once too often, which is neither logged nor audited.
    pub fn worker_suppressed(&self, operation: &str) {
        self.worker_suppressed.get_or_create(&OperationLabels { operation: operation.to_owned() }).inc();
    }

    /// So many workers are connected.
    pub fn connected(&self, workers: usize) {
        self.workers.set(i64::try_from(workers).unwrap_or(i64::MAX));
    }

    /// Shows how the audit log is.
    pub fn audit(&self, status: &AuditStatus) {
        self.audit.show(status);
    }

    /// A component did something, or a worker asked for something.
    pub fn audited(&self, event: &AuditEvent) {
        // The event of its end counts it.
        if event.outcome == AuditOutcome::Begun {
            return;
        }
        let capability = match &event.what {
            AuditAction::Accept { .. } => return self.called_into("accept", event),
            AuditAction::Call { function, .. } => return self.called_into(function, event),
            AuditAction::Dropped { .. } => return,
            AuditAction::Http { .. } => "http",
            AuditAction::Name { .. } => "name",
            AuditAction::Output { .. } => "output",
            AuditAction::Secret { .. } => "secret",
            AuditAction::Tcp { .. } => "tcp",
            AuditAction::Wasi { .. } => "wasi",
            AuditAction::Worker { operation, .. } => {
                let labels =
                    WorkerLabels { operation: (*operation).to_owned(), outcome: word(event.outcome).to_owned() };
                self.worker_events.get_or_create(&labels).inc();
                return;
            }
        };
        let labels = UseLabels {
            actor: event.actor.clone(),
            capability: capability.to_owned(),
            outcome: word(event.outcome).to_owned(),
        };
        self.capability_uses.get_or_create(&labels).inc();
        if let (AuditOutcome::Refused, Some(code)) = (event.outcome, &event.code) {
            self.refusals.get_or_create(&RefusalLabels { actor: event.actor.clone(), code: code.clone() }).inc();
        }
    }

    fn called_into(&self, function: &str, event: &AuditEvent) {
        self.sandbox_calls.get_or_create(&FunctionLabels { function: function.to_owned() }).inc();
        if let Some(limit) = event.code.as_deref().and_then(|code| code.strip_prefix("over-limit:")) {
            self.sandbox_limits.get_or_create(&LimitLabels { limit: limit.to_owned() }).inc();
        }
    }

    /// All of it as text, with these leases and upstreams.
    ///
    /// # Errors
    /// If the text can't be made.
    pub fn text(&self, leases: &[LeaseMetrics], upstreams: &[UpstreamMetrics]) -> Result<String, std::fmt::Error> {
        // The snapshot belongs to one reader at a time.
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.fill(leases, upstreams);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Held {
    fn new(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| {
            let family: Family<LeaseLabels, Gauge> = Family::default();
            registry.register(name, help, family.clone());
            family
        };
        let expiry = gauge("lease_expiry_timestamp_seconds", "Expiry of the published lease");
        let obtained = gauge("lease_obtained_timestamp_seconds", "Time at which the published lease was obtained");
        let age = gauge("lease_age_seconds", "Age of the published lease");
        let revision = gauge("lease_revision", "Revision of the published lease");
        let last_success = gauge("last_success_timestamp_seconds", "Time of the last successful provider call");
        let failures = gauge("failures_in_a_row", "Consecutive failed provider calls");
        let ready = gauge("ready", "Whether the instance has a valid published lease");
        let retired = gauge("leases_to_revoke", "Retired leases waiting for revocation");
        let unsaved = gauge("lease_unsaved", "Whether the lease that is given out is not saved");
        let waiting = Family::default();
        registry.register("upstream_waiting", "Instances waiting for a provider call", waiting.clone());
        let waits = Family::default();
        registry.register("budget_waits", "Provider calls delayed by their upstream's rate limit", waits.clone());
        Self { expiry, obtained, age, revision, last_success, failures, ready, retired, unsaved, waiting, waits }
    }

    fn fill(&self, leases: &[LeaseMetrics], upstreams: &[UpstreamMetrics]) {
        for family in [
            &self.expiry,
            &self.obtained,
            &self.age,
            &self.revision,
            &self.last_success,
            &self.failures,
            &self.ready,
            &self.retired,
            &self.unsaved,
        ] {
            family.clear();
        }
        self.waiting.clear();
        for lease in leases {
            let labels = LeaseLabels { instance: lease.instance.clone(), service: lease.service.clone() };
            let set = |family: &Family<LeaseLabels, Gauge>, value: Option<u64>| {
                if let Some(value) = value {
                    family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
                }
            };
            set(&self.expiry, lease.expiry);
            set(&self.obtained, lease.obtained);
            set(&self.age, lease.age);
            set(&self.revision, lease.revision);
            set(&self.last_success, lease.last_success);
            set(&self.failures, Some(lease.failures.into()));
            set(&self.ready, Some(lease.ready.into()));
            set(&self.retired, Some(lease.retired as u64));
            set(&self.unsaved, Some(lease.unsaved.into()));
        }
        for upstream in upstreams {
            let labels = UpstreamLabels { upstream: upstream.name.clone() };
            self.waiting.get_or_create(&labels).set(i64::try_from(upstream.waiting).unwrap_or(i64::MAX));
            self.waits.get_or_create(&labels).inner().store(upstream.waits, Ordering::Relaxed);
        }
    }
}

pub(crate) fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

pub(crate) fn word(outcome: AuditOutcome) -> &'static str {
    match outcome {
        AuditOutcome::Begun => "begun",
        AuditOutcome::Cancelled => "cancelled",
        AuditOutcome::Done => "done",
        AuditOutcome::Failed => "failed",
        AuditOutcome::Refused => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallId;

    fn event(what: AuditAction, outcome: AuditOutcome, code: Option<&str>) -> AuditEvent {
        let time = "2026-01-01T00:00:00.000Z".to_owned();
        let actor = AuditSubject::Instance("s3".parse().unwrap());
        AuditEvent { time, actor, call: CallId(1), what, outcome, code: code.map(str::to_owned) }
    }

    #[test]
    fn what_components_do_is_counted_by_kind_and_end() {
        let metrics = CoordinatorMetrics::default();
        let name = || AuditAction::Name { host: "a\"b\nc".into() };
        metrics.audited(&event(name(), AuditOutcome::Done, None));
        metrics.audited(&event(name(), AuditOutcome::Refused, Some("host-not-granted")));
        let call = AuditAction::Call { function: "obtain", millis: 3 };
        metrics.audited(&event(call, AuditOutcome::Refused, Some("over-limit:memory")));
        let receiver = AuditSubject::Receiver("aws".parse().unwrap());
        let put = AuditAction::Output { path: "a\"b\nc".into(), bytes: 1 };
        metrics.audited(&AuditEvent { actor: receiver.clone(), ..event(put, AuditOutcome::Done, None) });
        let accept = AuditAction::Accept { deliveries: Vec::new(), files: 1, bytes: 1, millis: 1 };
        metrics.audited(&AuditEvent { actor: receiver, ..event(accept, AuditOutcome::Failed, Some("trap")) });
        let text = metrics.text(&[], &[]).unwrap();
        for line in [
            "deputy_capability_uses_total{receiver=\"aws\",capability=\"output\",outcome=\"done\"} 1",
            "deputy_sandbox_calls_total{function=\"accept\"} 1",
            "deputy_capability_uses_total{instance=\"s3\",capability=\"name\",outcome=\"done\"} 1",
            "deputy_capability_uses_total{instance=\"s3\",capability=\"name\",outcome=\"refused\"} 1",
            "deputy_refusals_total{instance=\"s3\",code=\"host-not-granted\"} 1",
            "deputy_sandbox_calls_total{function=\"obtain\"} 1",
            "deputy_sandbox_limits_total{limit=\"memory\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("a\\\"b"), "a component's text is no label");
    }

    #[test]
    fn a_lease_that_is_gone_is_gone_from_the_next_answer() {
        let metrics = CoordinatorMetrics::default();
        let lease = LeaseMetrics {
            instance: "s3".into(),
            service: "s3".into(),
            expiry: Some(1_800_000_000),
            ready: 1,
            ..LeaseMetrics::default()
        };
        let text = metrics.text(&[lease], &[UpstreamMetrics { name: "sts".into(), waiting: 3, waits: 7 }]).unwrap();
        assert!(text.contains("deputy_lease_expiry_timestamp_seconds{instance=\"s3\",service=\"s3\"} 1800000000\n"));
        assert!(text.contains("deputy_ready{instance=\"s3\",service=\"s3\"} 1\n"));
        assert!(text.contains("deputy_upstream_waiting{upstream=\"sts\"} 3\n"));
        assert!(text.contains("deputy_budget_waits_total{upstream=\"sts\"} 7\n"));
        let text = metrics.text(&[], &[]).unwrap();
        assert!(!text.contains("deputy_ready{") && !text.contains("deputy_upstream_waiting{"));
    }
}

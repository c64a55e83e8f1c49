//! The status of a worker as JSON: what it holds, what it applied, and why not. Never a payload.
//!
//! Times are RFC 3339.

mod view;

use deputy_local::{FactStatus, FailureStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use view::StatusView;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerReport {
    /// [`deputy_local::SCHEMA`]
    pub schema: u32,
    pub version: String,
    pub pid: u32,
    /// The start of the process.
    pub since: String,
    /// The time of this status.
    pub now: String,
    pub connection: ConnectionStatus,
    /// Whether the coordinator's snapshot is complete, in this process or in the cache.
    pub complete: bool,
    /// Whether the worker is admitted, holds a valid lease of every instance that it needs, and has every receiver, and
    /// whether all receivers have applied what is held.
    pub ready: bool,
    /// The needed instances without a lease.
    #[serde(default)]
    pub absent: Vec<AbsentStatus>,
    /// What of the configuration has no effect.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whether the coordinator delivers no instance to the group of this worker.
    #[serde(default)]
    pub group_is_empty: bool,
    /// By instance.
    pub instances: Vec<DeliveryStatus>,
    /// By name.
    pub receivers: Vec<ReceiverStatus>,
    /// Receivers of the group that the coordinator cannot load, and that are not in the cache.
    pub missing: Vec<String>,
}

/// An instance without a lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AbsentStatus {
    pub name: String,
    /// `no-lease` or `not-delivered`
    pub reason: String,
    /// The reason for people, with the fix.
    pub message: String,
}

/// The link to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionStatus {
    /// The worker's id.
    pub worker: String,
    pub group: String,
    /// The address of the coordinator that the worker is connected to, or tried last.
    pub coordinator: String,
    /// All addresses of coordinators that the worker knows, in the order of their names.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// `connected`, `connecting` or `out`
    pub state: String,
    /// The last change of `state`.
    pub since: String,
    pub last_contact: Option<String>,
    pub last_contact_age_ms: Option<u64>,
    /// Why the last connection ended or failed.
    pub error: Option<String>,
    /// The expiry of the worker's certificate.
    pub certificate_ends: Option<String>,
    /// The coordinator's refusals on this connection.
    pub refused: Vec<String>,
}

/// The lease of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryStatus {
    pub name: String,
    pub service: String,
    /// Of the payload. Workers of earlier versions do not say.
    #[serde(default)]
    pub kind: String,
    pub revision: u64,
    pub obtained_at: String,
    /// RFC 3339, or `never`.
    pub valid_until: String,
    /// Negative if it has expired; `null` if it does not expire.
    pub valid_for_ms: Option<i64>,
    /// The service has nothing newer before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// Until when renewals can prolong it, if the service said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewable_until: Option<String>,
    /// When it came to this process.
    pub received_at: String,
    /// Since `received_at`.
    pub age_ms: u64,
    /// The length of the payload.
    pub bytes: usize,
    /// `applied`, `pending` or `failed`
    pub state: String,
    /// Why it is not applied.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiverStatus {
    pub name: String,
    /// The SHA-256 of its component, if it is bound.
    pub component: Option<String>,
    /// The instances that it is bound to.
    pub instances: Vec<String>,
    /// `applied`, `applying`, `failed`, `nothing`, `leaving`, `retrying` or `waiting`
    pub state: String,
    /// Whether the workload has what it should have.
    pub ready: bool,
    /// What is wrong with it.
    #[serde(default)]
    pub reason: Option<String>,
    /// The link that the workload opens.
    pub path: String,
    /// The published unit, as far as this process knows.
    pub unit: Option<UnitStatus>,
    /// Failed runs in a row.
    pub failures: u32,
    pub trouble: Option<FailureStatus>,
    pub retry_in_ms: Option<u64>,
    /// The instances whose newest leases it rejected.
    #[serde(default)]
    pub rejected: Vec<RejectionStatus>,
    /// What the component said of the published unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<FactStatus>,
    /// Present once the hook has run.
    pub hook: Option<HookStatus>,
}

/// A lease that a receiver rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RejectionStatus {
    pub instance: String,
    /// One of the words of the exit codes, or `throttled`.
    pub kind: String,
    pub message: String,
    /// The code of a service, in the component's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else the component says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<FactStatus>,
    /// The earlier revision that is published instead, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptStatus>,
}

/// An earlier lease that is published because the newest was rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeptStatus {
    pub revision: u64,
    pub valid_until: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnitStatus {
    pub number: u64,
    pub published_at: Option<String>,
    pub files: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookStatus {
    pub running: bool,
    /// The end of the last run.
    pub at: Option<String>,
    /// The error of the last run.
    pub error: Option<String>,
    /// Failed runs in a row.
    #[serde(default)]
    pub failures: u32,
    #[serde(default)]
    pub retry_in_ms: Option<u64>,
}

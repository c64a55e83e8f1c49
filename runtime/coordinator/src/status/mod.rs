//! What the coordinator holds and why, for operators and programs. Never a payload. Times are RFC 3339.

mod instance;
mod login;
mod metrics;
mod page;
mod reason;

use deputy_core::schedule::{Lease, UpstreamSnapshot};
use deputy_core::time::Now;
use deputy_core::{InstanceName, Span, StateIdentity};
use deputy_local::{FactStatus, FailureStatus, signed_millis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use instance::FollowedLease;
pub use login::KerberosLoginStatus;
pub(crate) use login::login_metrics;
pub(crate) use metrics::{lease_metrics, loading_metrics};
pub use page::StatusQuery;
pub(crate) use page::{ListedInstance, MAX_LISTED, StatusPage};

/// The role of a coordinator that has the lock on the state.
pub(crate) const LEADING: &str = "leading";

/// The role of one that has not, and the state of its instances.
pub(crate) const FOLLOWING: &str = "following";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoordinatorStatus {
    /// Grows when a field is removed or changes its meaning.
    pub schema: u32,
    pub version: String,
    pub pid: u32,
    /// `leading` while this coordinator holds the lock on the state, else `following`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// The machine of the coordinator that leads, if several may use the state and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Identifies what the configuration obtains and delivers, once its components are loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The same of the coordinator that leads, if it is another one. If the two differ, so do
    /// the files or the components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_configuration: Option<String>,
    /// Why the state in etcd cannot be read now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_trouble: Option<String>,
    /// When the process started.
    pub since: String,
    /// When the status was taken.
    pub now: String,
    /// Whether the first configuration is still being prepared. Then there are no instances.
    pub starting: bool,
    /// Whether all instances are ready, and what this process publishes itself. Of a follower: whether it has a configuration
    /// and the leases that the leader obtained, and can read the state.
    pub ready: bool,
    /// All instances, whatever was selected.
    pub instance_count: usize,
    /// How many of them are ready.
    pub ready_count: usize,
    /// A page of the selected instances, in the order of their names.
    pub instances: Vec<InstanceStatus>,
    /// The value of `after` for the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Upstreams that were called or waited for, at most a thousand: first those with the most waiting instances.
    pub upstreams: Vec<UpstreamStatus>,
    /// The Kerberos logins of the instances, in the order of their names: the first thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<KerberosLoginStatus>,
    /// Instances that are no longer configured, and whose lease or state is kept sealed for a while: the first thousand.
    pub orphans: Vec<OrphanStatus>,
    /// What this process publishes and serves itself, as `deputy worker status` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrphanStatus {
    pub name: String,
    pub kept_for_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    pub name: String,
    /// `None` until the component has named it.
    pub service: Option<String>,
    /// Whether a valid lease is published, or none is needed.
    pub ready: bool,
    /// Why it is not ready, or what it is doing: half a sentence.
    pub reason: String,
    /// What it is doing, in one word.
    pub state: String,
    pub lease: Option<LeaseStatus>,
    /// When the next lease is due.
    pub next: Option<String>,
    /// Negative if that is past and something else has to end first.
    pub next_in_ms: Option<i64>,
    pub last_success: Option<String>,
    /// Failed calls since the last success.
    pub failures: u32,
    pub trouble: Option<FailureStatus>,
    /// Why the payload file of the instance cannot be used, if it has one.
    pub file_trouble: Option<String>,
    /// Why the published lease is not saved: a restart would lose it.
    pub unsaved: Option<String>,
    /// Leases that wait for revocation.
    pub to_revoke: usize,
    /// Leases that were left to expire although they should have been revoked, since the start.
    pub not_revoked: Option<NotRevokedStatus>,
    pub users: u32,
    /// The upstream whose rate limit its calls count for.
    pub upstream: String,
    pub component: bool,
    /// Whether the component exports renewal.
    pub renews: bool,
    /// Whether the component exports revocation.
    pub revokes: bool,
    /// Its Kerberos login, if it has one and its component is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<KerberosLoginStatus>,
    /// What the component saved as state, if there is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_state: Option<KeptStateStatus>,
}

/// Never the value or its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptStateStatus {
    /// Who saved it. Another one gets it if the configuration says `inherit`.
    pub identity: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseStatus {
    pub revision: u64,
    /// The kind of the payload; `null` for a file whose component is not loaded yet.
    pub kind: Option<String>,
    pub obtained_at: String,
    /// RFC 3339, or `never`.
    pub valid_until: String,
    /// Negative if the lease has expired, `null` if it does not expire.
    pub valid_for_ms: Option<i64>,
    /// When the service has something newer, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// Until when it can be renewed, if the service said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewable_until: Option<String>,
    /// The component's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<FactStatus>,
    /// `component` or `file`.
    pub origin: String,
    /// The size of the payload.
    pub bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotRevokedStatus {
    pub count: u32,
    /// The revision of the last one.
    pub revision: u64,
    /// `ended`, `reconfigured`, `too-many` or `unable`.
    pub reason: String,
    pub message: String,
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamStatus {
    pub name: String,
    /// Instances that wait for a call.
    pub waiting: usize,
    /// Calls that had to wait for the rate limit, since the start.
    pub waits: u64,
    /// Time until calls to this upstream are allowed again.
    pub blocked_for_ms: Option<u64>,
}

impl CoordinatorStatus {
    /// Whether the coordinator that leads has another configuration, as far as both are known.
    pub fn has_other_configuration(&self) -> bool {
        let configurations = self.configuration.as_ref().zip(self.leader_configuration.as_ref());
        configurations.is_some_and(|(own, leaders)| own != leaders)
    }

    /// Who leads, if several coordinators may use the state and it is known: half a sentence.
    pub fn leadership(&self) -> Option<String> {
        let leader = self.leader.as_ref()?;
        Some(match self.role == LEADING {
            true => format!("leading as {leader}"),
            false => format!("following: {leader} leads"),
        })
    }

    /// What is known without any instance.
    pub(crate) fn of_process(started_at: Now, now: Now) -> Self {
        Self {
            schema: deputy_local::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            role: String::new(),
            leader: None,
            configuration: None,
            leader_configuration: None,
            state_trouble: None,
            since: started_at.wall.to_string(),
            now: now.wall.to_string(),
            starting: true,
            ready: false,
            instance_count: 0,
            ready_count: 0,
            instances: Vec::new(),
            next: None,
            upstreams: Vec::new(),
            logins: Vec::new(),
            orphans: Vec::new(),
            local: None,
        }
    }
}

impl LeaseStatus {
    fn of(lease: &Lease, now: Now) -> Self {
        Self {
            revision: lease.revision.0,
            kind: lease.kind.as_ref().map(ToString::to_string),
            obtained_at: lease.obtained_at.to_string(),
            valid_until: lease.valid_until.to_string(),
            valid_for_ms: lease.expires().then(|| signed_millis(now.wall, lease.valid_until)),
            next_at: lease.next_at.map(|at| at.to_string()),
            renewable_until: lease.renewable_until.map(|until| until.to_string()),
            facts: lease.facts.iter().map(FactStatus::from).collect(),
            origin: lease.origin.word().to_owned(),
            bytes: lease.payload.len(),
        }
    }
}

impl KeptStateStatus {
    pub(crate) fn of(owner: StateIdentity) -> Self {
        Self { identity: owner.to_string() }
    }
}

impl UpstreamStatus {
    pub(crate) fn of(upstream: &UpstreamSnapshot<'_>) -> Self {
        Self {
            name: upstream.name.to_string(),
            waiting: upstream.waiting,
            waits: upstream.waits,
            blocked_for_ms: upstream.blocked_for.map(|span| span.as_millis()),
        }
    }
}

impl OrphanStatus {
    pub(crate) fn of(name: &InstanceName, kept_for: Span) -> Self {
        Self { name: name.to_string(), kept_for_ms: kept_for.as_millis() }
    }
}

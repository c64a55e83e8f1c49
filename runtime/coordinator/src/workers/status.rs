//! What an operator may see of workers and tokens, as JSON. Times are RFC 3339.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::str::FromStr;

use deputy_core::{GroupName, InstanceName, LeaseVersion, Timestamp};
use deputy_link::server::WorkerSession;
use deputy_link::{EnrolledWorker, EnrolmentStatus, JoinToken, WorkerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attention::Attention;

/// A join token that can still be used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenStatus {
    pub id: String,
    pub group: String,
    /// How many workers may still enrol with it.
    pub uses: u32,
    pub expires: String,
    pub expires_in_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStatus {
    pub id: String,
    pub group: String,
    /// `active`, `banned`, `locked` or `removed`.
    pub standing: EnrolmentStatus,
    pub connected: bool,
    /// Whether other coordinators use the same state, so that it may be connected to one of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Where it connected from last.
    pub address: Option<String>,
    /// As the worker reports it.
    pub version: Option<String>,
    /// As the worker reports it.
    pub host: Option<String>,
    pub joined: String,
    /// When it last sent a message, since the coordinator started.
    pub seen: Option<String>,
    pub seen_ago_ms: Option<u64>,
    /// Renewals of its certificate.
    pub renewals: u64,
    pub applied: Vec<AppliedStatus>,
}

/// Selects workers. All conditions have to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerQuery {
    /// Only workers with a greater id.
    pub after: Option<WorkerId>,
    pub limit: Option<usize>,
    pub group: Option<GroupName>,
    pub state: Option<WorkerCondition>,
    /// Only workers that get this instance, with its delivery alone.
    pub instance: Option<InstanceName>,
    /// Only workers that are away or locked, or lack a lease.
    pub troubled: bool,
}

/// Enrolment and connection in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerCondition {
    /// Enrolled, and not connected.
    Away,
    Banned,
    Connected,
    /// Its identity was used twice.
    Locked,
    /// Enrolled, and connected to another coordinator on the same state or to none.
    NotHere,
    Removed,
}

/// A page of workers, in the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct WorkerPage {
    pub workers: Vec<WorkerStatus>,
    /// The last worker of the page, if there are more.
    pub next: Option<WorkerId>,
    /// Of all its workers.
    deliveries: usize,
}

/// The workers of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GroupCount {
    /// Instances whose leases it gets.
    pub instances: u64,
    pub connected: u64,
    /// Enrolled, and not connected.
    pub away: u64,
    /// Enrolled, and connected to another coordinator on the same state or to none.
    pub not_here: u64,
    /// Connected, and without the newest lease of an instance.
    pub behind: u64,
}

/// Bounds of a page, which is built in memory and which the client reads up to 64 MiB of.
const MAX_WORKERS: usize = 1000;
const MAX_APPLIED: usize = 50_000;

/// A delivery, as its worker reported it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AppliedStatus {
    pub instance: String,
    /// The revision of the last report.
    pub revision: Option<u64>,
    /// When the lease of that revision was obtained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obtained_at: Option<String>,
    pub newest: Option<u64>,
    /// Whether the newest revision is applied.
    pub current: bool,
    /// Why the reported revision could not be applied.
    pub failure: Option<String>,
}

impl TokenStatus {
    pub(super) fn new(token: &JoinToken, now: Timestamp) -> Self {
        let expires = token.expires(now);
        Self {
            id: token.id.to_string(),
            group: token.group.to_string(),
            uses: token.uses,
            expires: expires.to_string(),
            expires_in_ms: expires.since(now).as_millis(),
        }
    }
}

impl WorkerPage {
    /// Adds the next worker, if it is selected. Breaks once the page is full and there is a worker beyond it.
    pub(super) fn add(&mut self, worker: WorkerStatus, query: &WorkerQuery) -> ControlFlow<()> {
        let Some(worker) = query.select(worker) else { return ControlFlow::Continue(()) };
        let limit = query.limit.unwrap_or(MAX_WORKERS).clamp(1, MAX_WORKERS);
        self.deliveries += worker.applied.len();
        if self.workers.len() >= limit || (self.deliveries > MAX_APPLIED && !self.workers.is_empty()) {
            self.next = self.workers.last().and_then(|last| last.id.parse().ok());
            return ControlFlow::Break(());
        }
        self.workers.push(worker);
        ControlFlow::Continue(())
    }
}

impl WorkerQuery {
    /// A cheap test before the status is made.
    pub(super) fn may_match(&self, worker: &EnrolledWorker, is_connected: bool, is_shared: bool) -> bool {
        self.group.as_ref().is_none_or(|group| *group == worker.group)
            && self.state.is_none_or(|state| state == WorkerCondition::of(worker.status, is_connected, is_shared))
    }

    fn select(&self, mut worker: WorkerStatus) -> Option<WorkerStatus> {
        if self.state.is_some_and(|state| state != worker.condition()) {
            return None;
        }
        if let Some(instance) = &self.instance {
            worker.applied.retain(|applied| applied.instance == instance.as_str());
            if worker.applied.is_empty() {
                return None;
            }
        }
        if self.troubled && Attention::of_worker(&worker) >= Attention::Fine {
            return None;
        }
        Some(worker)
    }
}

impl WorkerCondition {
    pub const ALL: [Self; 6] = [Self::Away, Self::Banned, Self::Connected, Self::Locked, Self::NotHere, Self::Removed];

    fn of(status: EnrolmentStatus, is_connected: bool, is_shared: bool) -> Self {
        match status {
            EnrolmentStatus::Active if is_connected => Self::Connected,
            EnrolmentStatus::Active if is_shared => Self::NotHere,
            EnrolmentStatus::Active => Self::Away,
            EnrolmentStatus::Banned => Self::Banned,
            EnrolmentStatus::Locked => Self::Locked,
            EnrolmentStatus::Removed => Self::Removed,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Banned => "banned",
            Self::Connected => "connected",
            Self::Locked => "locked",
            Self::NotHere => "not-here",
            Self::Removed => "removed",
        }
    }
}

impl FromStr for WorkerCondition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.word() == text);
        found.ok_or_else(|| format!("{text:?} is not a state of a worker: {}", Self::ALL.map(Self::word).join(", ")))
    }
}

impl WorkerStatus {
    pub fn condition(&self) -> WorkerCondition {
        WorkerCondition::of(self.standing, self.connected, self.shared)
    }

    pub(super) fn new(
        worker: &EnrolledWorker,
        session: Option<&WorkerSession>,
        leases: &BTreeMap<InstanceName, LeaseVersion>,
        is_shared: bool,
        now: Timestamp,
    ) -> Self {
        let reported = session.map(WorkerSession::applied).unwrap_or_default();
        let about = session.map(WorkerSession::client_info);
        let names: std::collections::BTreeSet<_> = leases.keys().chain(reported.keys()).collect();
        let applied = names.into_iter().map(|instance| {
            let newest = leases.get(instance);
            let report = reported.get(instance);
            AppliedStatus {
                instance: instance.to_string(),
                revision: report.map(|(stamp, _)| stamp.revision.0),
                obtained_at: report.map(|(stamp, _)| stamp.obtained_at.to_string()),
                newest: newest.map(|stamp| stamp.revision.0),
                current: report.is_some_and(|(stamp, result)| Some(stamp) == newest && result.is_ok()),
                failure: report.and_then(|(_, result)| result.as_ref().err().cloned()),
            }
        });
        Self {
            id: worker.id.to_string(),
            group: worker.group.to_string(),
            standing: worker.status,
            connected: session.is_some_and(WorkerSession::is_connected),
            shared: is_shared,
            address: session.map(|session| session.address.to_string()),
            version: about.as_ref().map(|(version, _)| version.clone()),
            host: about.map(|(_, host)| host),
            joined: Timestamp::from_millis(worker.joined_ms).to_string(),
            seen: session.map(|session| session.last_message().to_string()),
            seen_ago_ms: session.map(|session| now.since(session.last_message()).as_millis()),
            renewals: worker.renewals().unwrap_or_default(),
            applied: applied.collect(),
        }
    }
}

#[cfg(test)]
mod tests;

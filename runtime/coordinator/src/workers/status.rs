//! What an operator may see of workers and tokens, as JSON.

use std::collections::BTreeMap;
use std::str::FromStr;

use deputy_core::{GroupName, InstanceName, LeaseVersion, Timestamp};
use deputy_link::server::WorkerSession;
use deputy_link::{EnrolledWorker, EnrolmentStatus, JoinToken, WorkerId};
use serde::{Deserialize, Serialize};

/// A token that can still be used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenStatus {
    /// Its id.
    pub id: String,
    /// Whose workers it makes.
    pub group: String,
    /// How many it may still make.
    pub uses: u32,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// In how many milliseconds that is.
    pub expires_in_ms: u64,
}

/// A worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its id.
    pub id: String,
    /// Its group.
    pub group: String,
    /// `active`, `banned`, `locked` or `removed`.
    pub standing: EnrolmentStatus,
    /// Whether it is connected now.
    pub connected: bool,
    /// From where it came last.
    pub address: Option<String>,
    /// Its version, as it says.
    pub version: Option<String>,
    /// The name of its machine, as it says.
    pub host: Option<String>,
    /// When it joined, RFC 3339.
    pub joined: String,
    /// When it was last heard of, since the coordinator started.
    pub seen: Option<String>,
    /// How long that is ago, in milliseconds.
    pub seen_ago_ms: Option<u64>,
    /// How often it renewed its certificate.
    pub renewals: u64,
    /// What it has applied.
    pub applied: Vec<AppliedStatus>,
}

/// Which workers are asked for, and from where on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerQuery {
    /// Those behind this id alone.
    pub after: Option<WorkerId>,
    /// No more than this.
    pub limit: Option<usize>,
    /// Of this group alone.
    pub group: Option<GroupName>,
    /// In this state alone.
    pub state: Option<WorkerCondition>,
    /// Those that have to do with this instance alone, and nothing of others.
    pub instance: Option<InstanceName>,
}

/// How a worker stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerCondition {
    /// It may come in, and is not here.
    Away,
    /// It may never come in again.
    Banned,
    /// It is here.
    Connected,
    /// It was locked, because somebody copied it.
    Locked,
    /// It was removed, and may join again.
    Removed,
}

/// A page of workers, in the order of their ids.
#[derive(Debug, Clone)]
pub struct WorkerPage {
    /// Some of them.
    pub workers: Vec<WorkerStatus>,
    /// The last of them, if there are more.
    pub next: Option<WorkerId>,
}

/// Workers in one answer, and what all of them have applied: an answer is made at once, and read by a client that takes
/// no more than 64 MiB.
const PAGE: usize = 1000;
const PAGE_APPLIED: usize = 50_000;

/// An instance at a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppliedStatus {
    /// Which.
    pub instance: String,
    /// The revision that it last reported on.
    pub revision: Option<u64>,
    /// The revision that it should have.
    pub newest: Option<u64>,
    /// Whether it has applied the newest.
    pub current: bool,
    /// Why it could not apply what it reported on.
    pub failure: Option<String>,
}

impl TokenStatus {
    pub(super) fn new(token: &JoinToken, now: Timestamp) -> Self {
        let expires = Timestamp::from_millis(token.expires_ms);
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
    /// The workers that are asked for, as far as one answer holds them. `all` is in the order of ids.
    pub(super) fn of(all: impl Iterator<Item = WorkerStatus>, query: &WorkerQuery) -> Self {
        let most = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let (mut page, mut applied) = (Self { workers: Vec::new(), next: None }, 0);
        for worker in all.filter_map(|worker| query.picks(worker)) {
            applied += worker.applied.len();
            if page.workers.len() >= most || (applied > PAGE_APPLIED && !page.workers.is_empty()) {
                page.next = page.workers.last().and_then(|last| last.id.parse().ok());
                break;
            }
            page.workers.push(worker);
        }
        page
    }
}

impl WorkerQuery {
    /// Whether a worker is looked at at all.
    pub(super) fn may_pick(&self, worker: &EnrolledWorker) -> bool {
        self.after.is_none_or(|after| after < worker.id)
            && self.group.as_ref().is_none_or(|group| *group == worker.group)
    }

    fn picks(&self, mut worker: WorkerStatus) -> Option<WorkerStatus> {
        if self.state.is_some_and(|state| state != worker.state()) {
            return None;
        }
        if let Some(instance) = &self.instance {
            worker.applied.retain(|applied| applied.instance == instance.as_str());
            if worker.applied.is_empty() {
                return None;
            }
        }
        Some(worker)
    }
}

impl WorkerCondition {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Away, Self::Banned, Self::Connected, Self::Locked, Self::Removed];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Banned => "banned",
            Self::Connected => "connected",
            Self::Locked => "locked",
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
    /// How it stands.
    pub fn state(&self) -> WorkerCondition {
        match (self.standing, self.connected) {
            (EnrolmentStatus::Active, true) => WorkerCondition::Connected,
            (EnrolmentStatus::Active, false) => WorkerCondition::Away,
            (EnrolmentStatus::Banned, _) => WorkerCondition::Banned,
            (EnrolmentStatus::Locked, _) => WorkerCondition::Locked,
            (EnrolmentStatus::Removed, _) => WorkerCondition::Removed,
        }
    }

    pub(super) fn new(
        worker: &EnrolledWorker,
        present: Option<&WorkerSession>,
        leases: &BTreeMap<InstanceName, LeaseVersion>,
        now: Timestamp,
    ) -> Self {
        let reported = present.map(WorkerSession::applied).unwrap_or_default();
        let about = present.map(WorkerSession::client_info);
        let names: std::collections::BTreeSet<_> = leases.keys().chain(reported.keys()).collect();
        let applied = names.into_iter().map(|instance| {
            let (newest, said) = (leases.get(instance), reported.get(instance));
            AppliedStatus {
                instance: instance.to_string(),
                revision: said.map(|(stamp, _)| stamp.revision.0),
                newest: newest.map(|stamp| stamp.revision.0),
                current: said.is_some_and(|(stamp, result)| Some(stamp) == newest && result.is_ok()),
                failure: said.and_then(|(_, result)| result.as_ref().err().cloned()),
            }
        });
        Self {
            id: worker.id.to_string(),
            group: worker.group.to_string(),
            standing: worker.status,
            connected: present.is_some_and(|present| present.left().is_none()),
            address: present.map(|present| present.address.to_string()),
            version: about.as_ref().map(|(version, _)| version.clone()),
            host: about.map(|(_, host)| host),
            joined: Timestamp::from_millis(worker.joined_ms).to_string(),
            seen: present.map(|present| present.last_message().to_string()),
            seen_ago_ms: present.map(|present| now.since(present.last_message()).as_millis()),
            renewals: worker.renewals().unwrap_or_default(),
            applied: applied.collect(),
        }
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

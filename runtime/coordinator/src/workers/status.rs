//! What an operator may see of workers and tokens, as JSON.

use std::collections::BTreeMap;

use deputy_core::{InstanceName, Stamp, Timestamp};
use deputy_link::server::Present;
use deputy_link::{Standing, Token, Worker};
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
    pub standing: Standing,
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
    pub(super) fn new(token: &Token, now: Timestamp) -> Self {
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

impl WorkerStatus {
    pub(super) fn new(
        worker: &Worker,
        present: Option<&Present>,
        leases: &BTreeMap<InstanceName, Stamp>,
        now: Timestamp,
    ) -> Self {
        let reported = present.map(Present::applied).unwrap_or_default();
        let about = present.map(Present::about);
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
            standing: worker.standing,
            connected: present.is_some_and(|present| present.left().is_none()),
            address: present.map(|present| present.address.to_string()),
            version: about.as_ref().map(|(version, _)| version.clone()),
            host: about.map(|(_, host)| host),
            joined: Timestamp::from_millis(worker.joined_ms).to_string(),
            seen: present.map(|present| present.seen().to_string()),
            seen_ago_ms: present.map(|present| now.since(present.seen()).as_millis()),
            renewals: worker.sequence.0,
            applied: applied.collect(),
        }
    }
}

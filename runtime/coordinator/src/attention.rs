//! How soon a person has to look at something: the order of tables and of the live page.

use serde::Serialize;

use crate::status::InstanceStatus;
use crate::workers::{AppliedStatus, WorkerCondition, WorkerStatus};

/// How soon a person has to look at something; the first in the order of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// It goes on when a person has acted.
    Person,
    /// Its consumers lack something.
    Down,
    /// It works, and will not if that goes on.
    Trouble,
    /// Something is under way.
    Busy,
    Fine,
    /// Nothing is to be done for it.
    Idle,
}

impl Attention {
    pub fn of_instance(instance: &InstanceStatus) -> Self {
        match instance.state.as_str() {
            "needs-attention" => Self::Person,
            "unused" | "leaving" | "not-required" => Self::Idle,
            // With a lease of before the restart, or one that the leader has.
            "loading" | "reading" => Self::Busy,
            _ if !instance.ready => Self::Down,
            _ if instance.failures > 0 || instance.unsaved.is_some() || instance.file_trouble.is_some() => {
                Self::Trouble
            }
            "holding" | "following" => Self::Fine,
            _ => Self::Busy,
        }
    }

    pub fn of_worker(worker: &WorkerStatus) -> Self {
        match worker.condition() {
            WorkerCondition::Locked => Self::Person,
            WorkerCondition::Away => Self::Trouble,
            WorkerCondition::Banned | WorkerCondition::NotHere | WorkerCondition::Removed => Self::Idle,
            WorkerCondition::Connected => worker.applied.iter().map(Self::of_applied).min().unwrap_or(Self::Fine),
        }
    }

    pub fn of_applied(applied: &AppliedStatus) -> Self {
        match (&applied.failure, applied.newest) {
            (Some(_), _) => Self::Down,
            (None, Some(_)) if !applied.current => Self::Busy,
            (None, _) => Self::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(current: bool, failure: Option<&str>) -> AppliedStatus {
        AppliedStatus {
            instance: "s3-prod".to_owned(),
            revision: Some(6),
            obtained_at: None,
            newest: Some(7),
            current,
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn attention_of_a_worker_is_that_of_its_worst_delivery() {
        let worker = |standing: &str, connected: bool, applied: Vec<AppliedStatus>| -> WorkerStatus {
            serde_json::from_value(serde_json::json!({
                "id": "9f31c07a52d84e66", "group": "etl", "standing": standing, "connected": connected,
                "address": null, "version": null, "host": null, "joined": "", "seen": null, "seen_ago_ms": null,
                "renewals": 0, "applied": applied,
            }))
            .unwrap()
        };
        for (status, attention) in [
            (worker("locked", true, Vec::new()), Attention::Person),
            (worker("active", true, vec![applied(true, None), applied(false, Some("no room"))]), Attention::Down),
            (worker("active", false, vec![applied(false, Some("no room"))]), Attention::Trouble),
            (worker("active", true, vec![applied(true, None), applied(false, None)]), Attention::Busy),
            (worker("active", true, vec![applied(true, None)]), Attention::Fine),
            (worker("banned", false, Vec::new()), Attention::Idle),
        ] {
            assert_eq!(Attention::of_worker(&status), attention, "{status:?}");
        }
        assert!(Attention::Person < Attention::Down && Attention::Trouble < Attention::Fine);
    }
}

//! Follows the changes of a set of keys, through reconnections, compactions and restored clusters.
//!
//! It begins behind the revision of a listing, and continues behind the last revision that it saw, so nothing is missed.
//! Where etcd no longer has what happened since, the keys are listed again, and what differs is reported.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::in_one_line;
use deputy_etcd::message::{EventType, WatchCreateRequest, WatchResponse};
use deputy_etcd::{EtcdError, WatchStream};
use deputy_support::pause;
use tokio::time::timeout;

use super::EtcdState;
use super::pages::{Listed, MAX_KEYS};
use super::requests::version;
use crate::change::ChangeSender;
use crate::{Change, ChangeKind, KeyPrefix, StoreError, StoreKey, Version};

/// A watch that is silent for so long is asked whether it is alive, and given up if it is silent again.
const SILENCE: Duration = Duration::from_secs(3);

const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(2);

pub(super) struct Watcher {
    state: Arc<EtcdState>,
    keys: KeyPrefix,
    versions: BTreeMap<StoreKey, Version>,
    /// Everything up to this revision was reported.
    revision: i64,
    sender: ChangeSender,
}

/// Why a watch ended.
enum WatchEnd {
    /// Its changes have no reader any more.
    Abandoned,
    /// etcd does not have what comes next: the keys have to be listed.
    Outdated,
    Failed(StoreError),
}

impl From<EtcdError> for WatchEnd {
    fn from(error: EtcdError) -> Self {
        match &error {
            EtcdError::Refused(status) if status.is_compacted() => Self::Outdated,
            _ => Self::Failed(error.into()),
        }
    }
}

impl Watcher {
    pub(super) fn new(state: Arc<EtcdState>, keys: KeyPrefix, listed: Listed, sender: ChangeSender) -> Self {
        Self { state, keys, versions: listed.versions, revision: listed.revision, sender }
    }

    pub(super) async fn run(mut self) {
        let mut delay = MIN_DELAY;
        let mut is_outdated = false;
        loop {
            let before = self.revision;
            let ended = match is_outdated {
                true => self.list_again().await,
                false => Err(self.follow().await),
            };
            let error = match ended {
                Ok(()) => {
                    is_outdated = false;
                    continue;
                }
                Err(WatchEnd::Abandoned) => return,
                Err(WatchEnd::Outdated) => {
                    is_outdated = true;
                    "etcd no longer has the changes since the last one seen".to_owned()
                }
                Err(WatchEnd::Failed(error)) => in_one_line(&error),
            };
            if self.sender.is_abandoned() {
                return;
            }
            delay = if self.revision > before { MIN_DELAY } else { MAX_DELAY.min(delay * 2) };
            tracing::debug!(error, "watch of etcd interrupted; it continues where it was");
            pause(delay).await;
        }
    }

    /// Reports changes until the watch ends.
    async fn follow(&mut self) -> WatchEnd {
        let (key, range_end) = self.state.requests.prefix.range(&self.keys);
        let request = WatchCreateRequest {
            key,
            range_end,
            start_revision: self.revision.saturating_add(1),
            progress_notify: true,
        };
        let (mut stream, revision) = match WatchStream::begin(&self.state.client, request).await {
            Ok(begun) => begun,
            Err(error) => return error.into(),
        };
        if revision < self.revision {
            // The cluster was restored from a snapshot: what is to come has numbers that were seen before.
            return WatchEnd::Outdated;
        }
        let mut is_asked = false;
        loop {
            if self.sender.is_abandoned() {
                return WatchEnd::Abandoned;
            }
            match timeout(SILENCE, stream.next()).await {
                Ok(Ok(response)) => {
                    is_asked = false;
                    if let Err(ended) = self.report(response) {
                        return ended;
                    }
                }
                Ok(Err(error)) => return error.into(),
                Err(_) if is_asked => {
                    return stream.abandon().into();
                }
                Err(_) => {
                    stream.request_progress();
                    is_asked = true;
                }
            }
        }
    }

    fn report(&mut self, response: WatchResponse) -> Result<(), WatchEnd> {
        for event in &response.events {
            let Some(found) = &event.kv else { continue };
            if let Some(key) = self.state.requests.prefix.parse(&found.key) {
                let event = match event.r#type == i32::from(EventType::Delete) {
                    true => ChangeKind::Deleted,
                    false => ChangeKind::Put(version(found.mod_revision)),
                };
                let change = Change { key, event };
                // A listing tells how many there are.
                if !note(&mut self.versions, &change, MAX_KEYS) {
                    return Err(WatchEnd::Outdated);
                }
                self.sender.announce(&change);
            }
            self.revision = self.revision.max(found.mod_revision);
        }
        // A response without events is behind all events up to its revision.
        if response.events.is_empty() {
            self.revision = self.revision.max(response.header.as_ref().map_or(0, |header| header.revision));
        }
        Ok(())
    }

    /// Lists the keys, and reports what differs from what was known.
    async fn list_again(&mut self) -> Result<(), WatchEnd> {
        let listed = self.state.list(&self.keys).await.map_err(WatchEnd::Failed)?;
        for key in self.versions.keys().filter(|key| !listed.versions.contains_key(key)) {
            self.sender.announce(&Change { key: key.clone(), event: ChangeKind::Deleted });
        }
        for (key, version) in &listed.versions {
            if self.versions.get(key) != Some(version) {
                self.sender.announce(&Change { key: key.clone(), event: ChangeKind::Put(*version) });
            }
        }
        self.versions = listed.versions;
        self.revision = listed.revision;
        Ok(())
    }
}

/// Notes a change. Returns false for a key beyond the bound: etcd is another program, and does not decide how much is remembered.
fn note(versions: &mut BTreeMap<StoreKey, Version>, change: &Change, bound: usize) -> bool {
    match change.event {
        ChangeKind::Deleted => drop(versions.remove(&change.key)),
        ChangeKind::Put(_) if versions.len() >= bound && !versions.contains_key(&change.key) => return false,
        ChangeKind::Put(version) => drop(versions.insert(change.key.clone(), version)),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_watch_remembers_a_bounded_number_of_keys() {
        let mut versions = BTreeMap::new();
        let mut put = |name: &str, number: u64, event: Option<ChangeKind>| {
            let event = event.unwrap_or(ChangeKind::Put(Version::new(number)));
            note(&mut versions, &Change { key: name.parse().unwrap(), event }, 2)
        };
        assert!(put("lease/a", 1, None) && put("lease/b", 2, None));
        assert!(!put("lease/c", 3, None), "one more than there may be");
        assert!(put("lease/a", 4, None), "a key that is known changes");
        assert!(put("lease/b", 5, Some(ChangeKind::Deleted)) && put("lease/c", 6, None));
        let known: Vec<String> = versions.keys().map(ToString::to_string).collect();
        assert_eq!(known, ["lease/a", "lease/c"]);
    }
}

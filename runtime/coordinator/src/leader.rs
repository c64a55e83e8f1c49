//! Which coordinator leads, as the others on the same state read it.

use std::sync::Arc;
use std::time::Duration;

use deputy_core::{SecretBytes, in_one_line};
use deputy_store::{Store, StoreError, StoreKey, StoreLock, replace};
use deputy_support::{RepeatedError, pause};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

const LEADER: &str = "leader/coordinator";

/// Of no use in another store.
pub(crate) const LEADER_NAMESPACE: &str = "leader";

/// After a failure of the store.
const RETRY: Duration = Duration::from_secs(1);

/// Characters of a name that are shown.
const MAX_NAME: usize = 64;

/// The coordinator that leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// The name of its machine.
    name: String,
    /// What identifies its configuration, once it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
    /// Of the lock under which it leads. An earlier version did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fencing: Option<u64>,
}

/// What a coordinator that does not lead knows of the one that does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderView {
    pub leader: Option<Leader>,
    /// Why the state cannot be reached now.
    pub trouble: Option<String>,
}

/// Follows which coordinator leads.
pub type LeaderWatch = watch::Receiver<LeaderView>;

impl LeaderView {
    /// Whether the leader has another configuration than this one, as far as both are known.
    pub fn has_other_configuration(&self, own: Option<&str>) -> bool {
        let leaders = self.leader.as_ref().and_then(Leader::configuration);
        own.zip(leaders).is_some_and(|(own, leaders)| own != leaders)
    }

    /// Says who leads, in a few words.
    pub fn brief(&self) -> String {
        match &self.trouble {
            None => self.words(),
            Some(_) => "the state cannot be read".to_owned(),
        }
    }

    /// Says who leads, or why that is not known, in half a sentence.
    pub fn words(&self) -> String {
        let name = self.leader.as_ref().map_or("another coordinator", Leader::name);
        match &self.trouble {
            None => format!("{name} leads"),
            Some(trouble) => format!("the state cannot be read, and the leader is not known: {trouble}"),
        }
    }
}

impl Leader {
    pub fn new(name: &str, configuration: Option<&str>) -> Self {
        Self { name: shown(name), configuration: configuration.map(shown), fencing: None }
    }

    /// Reads which coordinator took the lock last.
    pub async fn look(store: &dyn Store) -> LeaderView {
        let Some(key) = key() else { return LeaderView::default() };
        match store.get(&key).await {
            Ok(found) => {
                let read = found.and_then(|found| serde_json::from_slice::<Self>(found.value.expose()).ok());
                let leader = read
                    .map(|read| Self { fencing: read.fencing, ..Self::new(&read.name, read.configuration.as_deref()) })
                    .filter(|leader| !leader.name.is_empty());
                LeaderView { leader, trouble: None }
            }
            Err(StoreError::Damaged { .. }) => LeaderView::default(),
            Err(error) => LeaderView { leader: None, trouble: Some(in_one_line(&error)) },
        }
    }

    /// Writes that this one leads.
    ///
    /// # Errors
    /// If the state cannot be written.
    pub async fn save(&self, store: &dyn Store, lock: &StoreLock) -> Result<(), StoreError> {
        let (Some(key), Ok(text)) = (key(), serde_json::to_vec(self)) else { return Ok(()) };
        replace(store, &key, &SecretBytes::new(text), lock).await.map(drop)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells its leadership from others: all but its configuration.
    pub fn leadership(&self) -> Self {
        Self { configuration: None, ..self.clone() }
    }

    /// What identifies its configuration, if that is known.
    pub fn configuration(&self) -> Option<&str> {
        self.configuration.as_deref()
    }
}

/// Writes who leads, and with which configuration, for as long as the lock is held.
pub(crate) async fn announce(
    name: String,
    store: Arc<dyn Store>,
    lock: Arc<StoreLock>,
    mut digest: watch::Receiver<Option<String>>,
) {
    let mut written = None;
    let mut last = RepeatedError::default();
    loop {
        let configuration = digest.borrow_and_update().clone();
        let leader = Leader { fencing: Some(lock.fencing()), ..Leader::new(&name, configuration.as_deref()) };
        if written.as_ref() != Some(&leader) {
            match leader.save(&*store, &lock).await {
                Ok(()) => {
                    written = Some(leader);
                    last.clear();
                }
                // If the lock is lost, this ends with what it belongs to.
                Err(error) => {
                    let error = in_one_line(&error);
                    if last.is_new(&error) {
                        tracing::warn!(error, "writing the name of the leader failed; trying again");
                    }
                    pause(RETRY).await;
                    continue;
                }
            }
        }
        if digest.changed().await.is_err() {
            return;
        }
    }
}

/// What another process wrote, fit for a terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_NAME).collect()
}

fn key() -> Option<StoreKey> {
    LEADER.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{test_lock, test_state};

    #[test]
    fn leader_name_has_no_control_characters() {
        assert_eq!(Leader::new("node-1\u{1b}[0m\n", None).name(), "node-1[0m");
        assert_eq!(Leader::new(&"x".repeat(100), None).name().len(), MAX_NAME);
    }

    #[test]
    fn leader_is_the_same_with_another_configuration() {
        let leader = Leader { fencing: Some(1), ..Leader::new("node-1", None) };
        let reloaded = Leader { fencing: Some(1), ..Leader::new("node-1", Some("another")) };
        let next = Leader { fencing: Some(2), ..Leader::new("node-1", None) };
        assert_eq!(leader.leadership(), reloaded.leadership());
        assert_ne!(leader.leadership(), next.leadership());
        assert_ne!(leader.leadership(), Leader { fencing: Some(1), ..Leader::new("node-2", None) });
    }

    #[tokio::test]
    async fn leader_is_announced_with_the_configuration_that_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let store = test_state(folder.path()).await;
        let lock = test_lock(&*store).await;
        let (digest, configuration) = watch::channel(None);
        let announced = announce("node-1".to_owned(), Arc::clone(&store) as _, Arc::clone(&lock), configuration);
        let reads = async |configuration: Option<&str>| {
            let leader = Leader { fencing: Some(lock.fencing()), ..Leader::new("node-1", configuration) };
            while Leader::look(&*store).await.leader.as_ref() != Some(&leader) {
                pause(Duration::from_millis(20)).await;
            }
        };
        let read = async {
            reads(None).await;
            digest.send_replace(Some("loaded".to_owned()));
            reads(Some("loaded")).await;
        };
        tokio::select! {
            () = announced => panic!("it ended"),
            read = tokio::time::timeout(Duration::from_secs(30), read) => read.expect("it is read"),
        }
    }
}

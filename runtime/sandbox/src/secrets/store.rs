//! The values of one instance's secrets, read again where they may have changed.
//!
//! - A file or credential is read at each use. That costs some ten microseconds, and there is no wrong answer to whether
//!   it changed: a time stamp has a grain, and a file that is written twice within it looks the same.
//! - A variable is read at its first use: nothing changes a process's environment.
//! - A command is run again when its output is a minute old: programs that ask a vault take a second, and a call that
//!   signs three requests needs one answer.
//!
//! The last value is kept, so that an unchanged secret is one piece of memory however many calls use it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::{SecretBytes, SecretName, SecretSource, Timestamp, in_one_line};
use deputy_sources::{SourceContext, SourceError, ValueShape};
use deputy_support::{LockUnpoisoned as _, SystemClock};

use crate::secret_provider::{SecretProvider, ValueError};

/// How long the output of a command is good.
const COMMAND_MILLIS: u64 = 60_000;

/// The secrets of one instance.
pub(crate) struct SecretStore {
    entries: BTreeMap<SecretName, StoredSecret>,
    context: SourceContext,
    now: fn() -> Timestamp,
}

struct StoredSecret {
    source: SecretSource,
    /// Held while the source is read: calls at the same time start a command once.
    reading: tokio::sync::Mutex<()>,
    last: Mutex<Option<CachedValue>>,
}

#[derive(Clone)]
struct CachedValue {
    value: Arc<SecretBytes>,
    read_at: Timestamp,
}

impl SecretStore {
    /// A store that has read nothing yet.
    pub(crate) fn new(sources: &BTreeMap<SecretName, SecretSource>) -> Self {
        Self::with(sources, SourceContext::of_process(), SystemClock::wall)
    }

    pub(super) fn with(
        sources: &BTreeMap<SecretName, SecretSource>,
        context: SourceContext,
        now: fn() -> Timestamp,
    ) -> Self {
        let secret = |source: &SecretSource| StoredSecret {
            source: source.clone(),
            reading: tokio::sync::Mutex::new(()),
            last: Mutex::new(None),
        };
        Self { entries: sources.iter().map(|(name, source)| (name.clone(), secret(source))).collect(), context, now }
    }

    /// The values that were read last, for a new call's redactor. Reads nothing.
    pub(crate) fn cached(&self) -> Vec<(SecretName, Arc<SecretBytes>)> {
        self.entries.iter().filter_map(|(name, secret)| Some((name.clone(), secret.last()?.value))).collect()
    }

    /// Reads every source, for a report to the operator.
    pub(crate) async fn check(&self) -> Vec<(SecretName, Result<Arc<SecretBytes>, SourceError>)> {
        let mut results = Vec::with_capacity(self.entries.len());
        for (name, secret) in &self.entries {
            results.push((name.clone(), self.read(secret).await));
        }
        results
    }

    async fn read(&self, secret: &StoredSecret) -> Result<Arc<SecretBytes>, SourceError> {
        let _reading = secret.reading.lock().await;
        let read_at = (self.now)();
        if let Some(last) = secret.last()
            && secret.is_fresh(&last, read_at)
        {
            return Ok(last.value);
        }
        let value = deputy_sources::read(&secret.source, ValueShape::SECRET, &self.context).await?;
        Ok(secret.store(value, read_at))
    }
}

#[async_trait]
impl SecretProvider for SecretStore {
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, ValueError> {
        let secret = self.entries.get(name).ok_or_else(|| {
            ValueError(format!("secret {name} has no source: give it `file`, `env`, `credential` or `command`"))
        })?;
        self.read(secret).await.map_err(|error| ValueError(format!("secret {name}: {}", in_one_line(&error))))
    }
}

impl StoredSecret {
    fn last(&self) -> Option<CachedValue> {
        self.last.lock_unpoisoned().clone()
    }

    fn is_fresh(&self, last: &CachedValue, now: Timestamp) -> bool {
        match self.source {
            SecretSource::Command(_) => {
                // A clock that was set back makes it old, not young.
                now.as_millis().checked_sub(last.read_at.as_millis()).is_some_and(|age| age < COMMAND_MILLIS)
            }
            SecretSource::Credential(_) | SecretSource::File(_) => false,
            SecretSource::Environment(_) => true,
        }
    }

    fn store(&self, value: SecretBytes, read_at: Timestamp) -> Arc<SecretBytes> {
        let mut last = self.last.lock_unpoisoned();
        let value = match last.take() {
            Some(last) if last.value.expose() == value.expose() => last.value,
            _ => Arc::new(value),
        };
        *last = Some(CachedValue { value: Arc::clone(&value), read_at });
        value
    }
}

#[cfg(test)]
mod tests;

//! What a coordinator that follows asks of the one that leads, through the state that both have: to renew or revoke an
//! instance, or to obtain a lease on demand; and which instances on demand its workers use.
//!
//! There is one record for each instance and purpose at most, however often it is asked for. The leader deletes requests. A
//! use that is not written again ends by itself, also while no coordinator leads.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deputy_core::schedule::ScheduleEvent;
use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{InstanceName, SecretBytes, Span, Timestamp, in_one_line};
use deputy_store::{KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey};
use deputy_support::{LockUnpoisoned as _, RepeatedError, pause};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::Replica;
use crate::command::{CoordinatorCommand, RequestReply};
use crate::handle::Performer;
use crate::leader::shown;
use crate::request_error::ControlRequestError;
use crate::state_answer::{STATE_ANSWER, UNANSWERED};

pub(crate) const REQUEST: Namespace = Namespace::new("request");

/// Use of instances on demand.
pub(crate) const INTEREST: Namespace = Namespace::new("interest");

/// A request that was not carried out by then is dropped: no coordinator led meanwhile.
const REQUEST_LIFE: Span = Span::secs(300);

/// How often a use is written.
const INTEREST_INTERVAL: Span = Span::secs(60);

/// How long a use counts after it was written.
const INTEREST_LIFE: Span = Span::secs(150);

const EXPIRY_CHECK: Duration = Duration::from_secs(5);

/// After a failure of the store.
const RETRY: Duration = Duration::from_secs(1);

/// Requests that are being written. More are refused.
const MAX_WRITES: usize = 64;

/// Uses that are being written. Others wait.
const CONCURRENT_USES: usize = 16;

/// How often a request is written, if another coordinator writes it at the same time.
const MAX_ATTEMPTS: usize = 4;

/// What is asked for, in the order of its strength: a stronger one replaces a weaker one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Purpose {
    Get,
    Renew,
    Revoke,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Renew => "renew",
            Self::Revoke => "revoke",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct RequestRecord {
    purpose: Purpose,
    at_ms: u64,
    /// The coordinator that asks. An earlier version did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct InterestRecord {
    at_ms: u64,
}

/// The follower's half.
pub(super) struct RequestSender {
    /// The name of this coordinator.
    name: String,
    writer: Arc<KeyWriter>,
    clock: Arc<dyn Clock>,
    writes: JoinSet<()>,
    uses: UseNotes,
}

/// The uses that are noted for the leader. None is dropped, however many begin at once: one that is not written ends.
struct UseNotes {
    /// When the use of each instance was noted last, and the write of it. There is one at a time for each.
    noted: BTreeMap<InstanceName, (MonotonicTime, AbortHandle)>,
    /// Each returns the instance if its use could not be written.
    writes: JoinSet<Option<InstanceName>>,
    slots: Arc<Semaphore>,
    errors: Arc<Mutex<RepeatedError>>,
}

impl RequestSender {
    pub(super) fn new(name: &str, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let uses = UseNotes {
            noted: BTreeMap::new(),
            writes: JoinSet::new(),
            slots: Arc::new(Semaphore::new(CONCURRENT_USES)),
            errors: Arc::default(),
        };
        let writer = Arc::new(KeyWriter::shared(store));
        Self { name: name.to_owned(), writer, clock, writes: JoinSet::new(), uses }
    }

    /// Asks the leader, and replies when that is written or has failed. The caller waits for neither.
    pub(super) fn ask(&mut self, instance: &InstanceName, purpose: Purpose, reply: RequestReply) {
        while self.writes.try_join_next().is_some() {}
        if self.writes.len() >= MAX_WRITES {
            tracing::warn!(%instance, "request to the leader dropped: too many requests wait to be written");
            let error = "too many requests wait to be written; try again".to_owned();
            reply.send(Err(ControlRequestError::Unasked(error))).ok();
            return;
        }
        let record = RequestRecord {
            purpose,
            at_ms: self.clock.now().wall.as_millis(),
            by: Some(self.name.clone()).filter(|name| !name.is_empty()),
        };
        let (writer, instance) = (Arc::clone(&self.writer), instance.clone());
        self.writes.spawn(async move {
            let asked = ask(&writer, &instance, &record).await;
            if let Err(error) = &asked {
                tracing::warn!(%instance, error = in_one_line(error), "request to the leader failed");
            }
            // The caller may have gone.
            reply.send(asked.map(|()| Performer::Leader)).ok();
        });
    }

    /// Notes that workers here use an instance on demand.
    pub(super) fn note_use(&mut self, instance: &InstanceName) {
        let UseNotes { noted, writes, slots, errors } = &mut self.uses;
        while let Some(ended) = writes.try_join_next() {
            // It is written again at its next report: a minute later, it might have ended at the leader.
            if let Ok(Some(failed)) = ended {
                noted.remove(&failed);
            }
        }
        let now = self.clock.now().mono;
        if noted.get(instance).is_some_and(|(at, write)| !write.is_finished() || now.since(*at) < INTEREST_INTERVAL) {
            return;
        }
        let key = StoreKey::of_instance(&INTEREST, instance);
        let (writer, clock) = (Arc::clone(&self.writer), Arc::clone(&self.clock));
        let (slots, errors) = (Arc::clone(slots), Arc::clone(errors));
        let used = instance.clone();
        let write = writes.spawn(async move {
            let _slot = slots.acquire().await;
            let written = write_use(&writer, &key, clock.now().wall).await;
            let mut errors = errors.lock_unpoisoned();
            let Err(error) = written else {
                errors.clear();
                return None;
            };
            let error = in_one_line(&error);
            if errors.is_new(&error) {
                tracing::warn!(%key, error, "noting the use of an instance for the leader failed; trying again");
            }
            Some(used)
        });
        noted.insert(instance.clone(), (now, write));
    }

    /// Forgets instances that are no longer configured.
    pub(super) fn retain(&mut self, is_configured: impl Fn(&InstanceName) -> bool) {
        self.uses.noted.retain(|instance, _| is_configured(instance));
    }
}

async fn write_use(writer: &KeyWriter, key: &StoreKey, at: Timestamp) -> Result<(), StoreError> {
    writer.read(key).await?;
    match writer.put_for(INTEREST_LIFE, key, &encode(&InterestRecord { at_ms: at.as_millis() })).await {
        // Another coordinator has noted its own at this moment.
        Err(StoreError::Conflict { .. }) => Ok(()),
        written => written,
    }
}

/// Writes a request within the time that a state which answers takes.
async fn ask(writer: &KeyWriter, instance: &InstanceName, record: &RequestRecord) -> Result<(), ControlRequestError> {
    let key = StoreKey::of_instance(&REQUEST, instance);
    let mut write = RequestWrite { writer, key: &key, record, may_be_there: false };
    let why = match tokio::time::timeout(STATE_ANSWER, write.run()).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) if error.is_temporary() => format!("{UNANSWERED} ({})", in_one_line(&error)),
        Ok(Err(StoreError::Conflict { .. })) => {
            return Err(ControlRequestError::Unasked(
                "other requests for the same instance are being written; try again".to_owned(),
            ));
        }
        Ok(Err(error)) => return Err(ControlRequestError::Unasked(in_one_line(&error))),
        Err(_) => UNANSWERED.to_owned(),
    };
    Err(match write.may_be_there {
        true => ControlRequestError::Unconfirmed(instance.clone(), why),
        false => ControlRequestError::Unasked(format!("{why}; try again")),
    })
}

struct RequestWrite<'a> {
    writer: &'a KeyWriter,
    key: &'a StoreKey,
    record: &'a RequestRecord,
    /// Whether a write began whose outcome is not known.
    may_be_there: bool,
}

impl RequestWrite<'_> {
    async fn run(&mut self) -> Result<(), StoreError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let waiting = self.writer.read(self.key).await?.and_then(|bytes| decode::<RequestRecord>(&bytes));
            if waiting.is_some_and(|waiting| waiting.purpose > self.record.purpose) {
                return Ok(());
            }
            self.may_be_there = true;
            match self.writer.put(self.key, &encode(self.record)).await {
                Err(StoreError::Conflict { .. }) if attempts < MAX_ATTEMPTS => self.may_be_there = false,
                written => return written,
            }
        }
    }
}

/// The leader's half.
pub(crate) struct RequestReader {
    store: Arc<dyn Store>,
    writer: KeyWriter,
    clock: Arc<dyn Clock>,
    commands: mpsc::Sender<CoordinatorCommand>,
    /// Until when the use of each instance counts.
    used_until: BTreeMap<InstanceName, MonotonicTime>,
}

impl RequestReader {
    pub(crate) fn new(replica: &Replica) -> Self {
        let store = Arc::clone(&replica.options.store);
        Self {
            writer: KeyWriter::shared(Arc::clone(&store)),
            store,
            clock: Arc::clone(&replica.options.clock),
            commands: replica.command_sender.clone(),
            used_until: BTreeMap::new(),
        }
    }

    /// Runs for as long as this coordinator leads.
    pub(crate) async fn run(mut self) {
        let mut last = RepeatedError::default();
        loop {
            if let Err(error) = self.follow().await {
                let error = in_one_line(&error);
                if last.is_new(&error) {
                    tracing::warn!(error, "reading what other coordinators ask for failed; trying again");
                }
            }
            pause(RETRY).await;
        }
    }

    async fn follow(&mut self) -> Result<(), StoreError> {
        let (requests, interest) = (KeyPrefix::Namespace(REQUEST), KeyPrefix::Namespace(INTEREST));
        // Before the listings, so that nothing is missed.
        let mut new_requests = self.store.watch(requests.clone()).await?;
        let mut new_interest = self.store.watch(interest.clone()).await?;
        for key in self.store.list(&requests).await? {
            self.carry_out(&key).await?;
        }
        for key in self.store.list(&interest).await? {
            self.note_use(&key).await?;
        }
        // Outlives the turns of the loop: uses that keep being written must not keep those that are not.
        let mut look = pin!(pause(EXPIRY_CHECK));
        loop {
            tokio::select! {
                change = new_requests.next() => match change {
                    Some(change) => self.carry_out(&change.key).await?,
                    None => return Ok(()),
                },
                change = new_interest.next() => match change {
                    Some(change) => self.note_use(&change.key).await?,
                    None => return Ok(()),
                },
                () = &mut look => {
                    look.set(pause(EXPIRY_CHECK));
                    self.end_uses().await?;
                }
            }
        }
    }

    async fn carry_out(&mut self, key: &StoreKey) -> Result<(), StoreError> {
        let Some((instance, bytes)) = self.read(key).await? else { return Ok(()) };
        match decode::<RequestRecord>(&bytes).filter(|record| self.is_recent(record.at_ms, REQUEST_LIFE)) {
            None => tracing::warn!(%instance, "dropped a request of another coordinator: it is too old, or damaged"),
            Some(record) => {
                let by = record.by.as_deref().map(shown);
                tracing::info!(%instance, purpose = record.purpose.word(), by, "request of another coordinator");
                let event = match record.purpose {
                    Purpose::Get => ScheduleEvent::LeaseRequested(instance),
                    Purpose::Renew => ScheduleEvent::Renew(instance),
                    Purpose::Revoke => ScheduleEvent::Revoke(instance),
                };
                self.commands.send(CoordinatorCommand::Event(Box::new(event))).await.ok();
            }
        }
        self.delete(key).await
    }

    async fn note_use(&mut self, key: &StoreKey) -> Result<(), StoreError> {
        let Some((instance, bytes)) = self.read(key).await? else { return Ok(()) };
        if decode::<InterestRecord>(&bytes).is_some_and(|record| self.is_recent(record.at_ms, INTEREST_LIFE)) {
            let until = self.clock.now().mono.plus(INTEREST_LIFE);
            if self.used_until.insert(instance.clone(), until).is_none() {
                self.commands.send(CoordinatorCommand::UsedElsewhere(instance, true)).await.ok();
            }
            return Ok(());
        }
        self.delete(key).await
    }

    async fn end_uses(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now().mono;
        let ended: Vec<InstanceName> =
            self.used_until.iter().filter(|(_, until)| **until <= now).map(|(name, _)| name.clone()).collect();
        for instance in ended {
            self.used_until.remove(&instance);
            let key = StoreKey::of_instance(&INTEREST, &instance);
            self.commands.send(CoordinatorCommand::UsedElsewhere(instance, false)).await.ok();
            self.delete(&key).await?;
        }
        Ok(())
    }

    /// The instance that a record is about, and what it holds. A damaged record is set aside.
    async fn read(&self, key: &StoreKey) -> Result<Option<(InstanceName, SecretBytes)>, StoreError> {
        let Ok(instance) = key.name().parse() else { return Ok(None) };
        match self.writer.read(key).await {
            Ok(found) => Ok(found.map(|bytes| (instance, bytes))),
            Err(StoreError::Damaged { .. }) => self.writer.quarantine(key).await.map(|()| None),
            Err(error) => Err(error),
        }
    }

    /// A record that was replaced meanwhile is read at its change.
    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        match self.writer.delete(key).await {
            Err(StoreError::Conflict { .. }) => Ok(()),
            deleted => deleted,
        }
    }

    /// Whether a time, which another machine's clock showed, is not longer ago.
    fn is_recent(&self, at_ms: u64, life: Span) -> bool {
        self.clock.now().wall < Timestamp::from_millis(at_ms).plus(life)
    }
}

fn encode(record: &impl Serialize) -> SecretBytes {
    // Of numbers and text: it does not fail.
    SecretBytes::new(serde_json::to_vec(record).unwrap_or_default())
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &SecretBytes) -> Option<T> {
    serde_json::from_slice(bytes.expose()).ok()
}

#[cfg(test)]
mod tests;

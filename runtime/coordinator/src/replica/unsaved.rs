//! Leases that a coordinator obtained before it lost the lock, and could not save.
//!
//! It does not know whether its last writes took place, and must not call services any more; no other coordinator knows of these
//! leases. So it leaves them in the state, sealed as all others, as soon as that can be written again. The coordinator that
//! leads then has the lock: nothing of an earlier holder is written any more, and what it holds is what was saved. What is
//! left behind and not among that is revoked, as whatever else is unused.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deputy_core::schedule::{Lease, ORPHAN_GRACE};
use deputy_core::time::{Clock, Now};
use deputy_core::{InstanceName, Timestamp, in_one_line};
use deputy_store::{
    ExpectedVersion, KeyPrefix, KeyWriter, Namespace, Store, StoreError, StoreKey, StoreKeyError, WriteId, WriteRight,
};
use deputy_support::{LockUnpoisoned as _, RepeatedError, pause};
use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::command::CoordinatorCommand;
use crate::lease_record::{self, LeaseRecordError};
use crate::workers::ClockJudgement;

/// As `INSTANCE-FENCING-WRITE`: after the leadership that obtained them, whose number comes again in a copy of the state, and
/// after the write that left it.
pub(crate) const UNSAVED: Namespace = Namespace::new("unsaved");

/// Leases of one leadership that are kept until they can be written, and their bytes. Others are left to expire.
const MAX_LEASES: usize = 1024;
const MAX_BYTES: usize = 16 << 20;

/// Leaderships whose leases are kept at once. They end one after the other, so more are only kept if the state takes none.
const MAX_LEADERSHIPS: usize = 4;

/// After a failure of the store.
const RETRY: Duration = Duration::from_secs(1);

/// After what time the leader looks again at those that are not settled yet: at first, and at most.
const LOOK: Duration = Duration::from_secs(2);
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// What is left at about the same time is looked at together.
const GATHER: Duration = Duration::from_millis(500);

/// The half of the coordinator that lost the lock.
pub(super) struct UnsavedSender {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    writes: JoinSet<()>,
}

impl UnsavedSender {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, writes: JoinSet::new() }
    }

    /// Leaves the leases of a leadership in the state, and does not wait for that.
    pub(super) fn leave(&mut self, fencing: u64, leases: Vec<(InstanceName, Lease)>) {
        while self.writes.try_join_next().is_some() {}
        if leases.is_empty() {
            return;
        }
        let found = leases.len();
        let kept = if self.writes.len() < MAX_LEADERSHIPS { bounded(leases) } else { Vec::new() };
        if kept.len() < found {
            tracing::warn!(
                leases = found - kept.len(),
                "too many leases may be unsaved; some are left to expire at their services"
            );
        }
        if kept.is_empty() {
            return;
        }
        tracing::info!(
            leases = kept.len(),
            "leases may be unsaved; the coordinator that leads is asked to revoke those that are"
        );
        self.writes.spawn(write_all(Arc::clone(&self.store), Arc::clone(&self.clock), fencing, kept));
    }
}

fn bounded(mut leases: Vec<(InstanceName, Lease)>) -> Vec<(InstanceName, Lease)> {
    // Some may have expired. Those go first that would stay valid for longest.
    leases.sort_by_key(|(_, lease)| Reverse(lease.valid_until));
    let mut bytes = 0_usize;
    leases.truncate(MAX_LEASES);
    leases.retain(|(_, lease)| {
        bytes = bytes.saturating_add(lease.payload.len()).saturating_add(lease.handle.len());
        bytes <= MAX_BYTES
    });
    leases
}

async fn write_all(store: Arc<dyn Store>, clock: Arc<dyn Clock>, fencing: u64, leases: Vec<(InstanceName, Lease)>) {
    let mut waiting: Vec<_> = leases.into_iter().map(|(name, lease)| (name, lease, None)).collect();
    let mut judgement = ClockJudgement::new(clock.now());
    let mut last = RepeatedError::default();
    loop {
        let now = clock.now();
        judgement.judge(now);
        // A clock that is ahead for a moment must not lose them.
        waiting.retain(|(_, lease, _)| is_worth_revoking(lease, now.wall) || !judgement.is_settled(now));
        let mut failed = None;
        let mut unwritten = Vec::new();
        for (name, lease, mut write) in waiting {
            // One that the state does not take holds up no other.
            if !failed.as_ref().is_some_and(LeaveError::is_temporary) {
                match leave_lease(&*store, &name, fencing, &mut write, &lease).await {
                    Ok(()) => continue,
                    Err(error) => failed = Some(error),
                }
            }
            unwritten.push((name, lease, write));
        }
        let Some(error) = failed else { return };
        let error = in_one_line(&error);
        if last.is_new(&error) {
            tracing::warn!(
                error,
                leases = unwritten.len(),
                "leaving unsaved leases in the state failed; trying again until they have expired"
            );
        }
        waiting = unwritten;
        pause(RETRY).await;
    }
}

/// Leaves a lease of a leadership in the state. There may be more of an instance, of other writes. `write` is empty at first, and
/// the same at each attempt.
pub(crate) async fn leave_lease(
    store: &dyn Store,
    name: &InstanceName,
    fencing: u64,
    write: &mut Option<WriteId>,
    lease: &Lease,
) -> Result<(), LeaveError> {
    let id = match *write {
        Some(id) => id,
        None => *write.insert(store.write_id()?),
    };
    let key = StoreKey::new(&UNSAVED, &format!("{name}-{fencing}-{id}"))?;
    let by = WriteRight::shared(id);
    match store.put(&key, &lease_record::encode_waiting(lease)?, ExpectedVersion::Absent, by).await {
        // An attempt before this one wrote it.
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] StoreKeyError),
    #[error("cannot encode the record; this is a bug, please report it")]
    Encode(#[from] serde_json::Error),
}

impl LeaveError {
    /// Whether the state did not answer, rather than refuse this lease.
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_temporary())
    }
}

/// A lease that was left behind, for the coordinator that leads.
pub(crate) struct LeftLease {
    pub(crate) key: StoreKey,
    pub(crate) instance: InstanceName,
    pub(crate) lease: Lease,
}

/// The leader's half.
pub(crate) struct UnsavedReader {
    writer: KeyWriter,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// What has expired is deleted for good, so only by a clock that has been steady.
    judgement: Mutex<Option<ClockJudgement>>,
    commands: mpsc::Sender<CoordinatorCommand>,
}

impl UnsavedReader {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        commands: mpsc::Sender<CoordinatorCommand>,
    ) -> Self {
        Self { writer: KeyWriter::shared(Arc::clone(&store)), store, clock, judgement: Mutex::default(), commands }
    }

    /// Runs for as long as this coordinator leads.
    pub(crate) async fn run(self) {
        let mut last = RepeatedError::default();
        loop {
            if let Err(error) = self.follow().await {
                let error = in_one_line(&error);
                if last.is_new(&error) {
                    tracing::warn!(error, "reading the unsaved leases of other coordinators failed; trying again");
                }
            }
            pause(RETRY).await;
        }
    }

    async fn follow(&self) -> Result<(), StoreError> {
        // Before the listing, so that nothing is missed.
        let mut changes = self.store.watch(KeyPrefix::Namespace(UNSAVED)).await?;
        let mut wait = LOOK;
        loop {
            let is_settled = self.look(self.clock.now()).await?;
            tokio::select! {
                change = changes.next() => {
                    if change.is_none() {
                        return Ok(());
                    }
                    pause(GATHER).await;
                    wait = LOOK;
                }
                () = pause(wait), if !is_settled => wait = (wait * 2).min(LONGEST_LOOK),
            }
            // A look reads all of them, so it is for all changes until now.
            while let Some(change) = changes.next().now_or_never() {
                if change.is_none() {
                    return Ok(());
                }
            }
        }
    }

    /// Takes in what others left. Whether no more is to be done about any of it.
    pub(crate) async fn look(&self, now: Now) -> Result<bool, StoreError> {
        let is_steady = self.judge(now);
        let mut is_settled = true;
        for key in self.store.list(&KeyPrefix::Namespace(UNSAVED)).await? {
            is_settled &= self.settle(&key, now.wall, is_steady).await?;
        }
        Ok(is_settled)
    }

    /// Whether the clock has been steady for long enough.
    fn judge(&self, now: Now) -> bool {
        let mut judgement = self.judgement.lock_unpoisoned();
        let judgement = judgement.get_or_insert_with(|| ClockJudgement::new(now));
        judgement.judge(now);
        judgement.is_settled(now)
    }

    async fn settle(&self, key: &StoreKey, now: Timestamp, is_steady: bool) -> Result<bool, StoreError> {
        let Some(instance) = instance_of(key) else { return Ok(true) };
        let found = match self.writer.read(key).await {
            Ok(Some(bytes)) => lease_record::decode(bytes.expose()),
            Ok(None) => return Ok(true),
            Err(StoreError::Damaged { .. }) => return self.writer.quarantine(key).await.map(|()| true),
            Err(error) => return Err(error),
        };
        let lease = match found {
            Ok(decoded) => decoded.record.lease,
            Err(error @ LeaseRecordError::Malformed) => {
                // Logged once it is gone: as long as that fails, it is found again at each look.
                self.delete(key).await?;
                tracing::error!(%key, %error, "unsaved lease unusable; it is valid at its service until it expires");
                return Ok(true);
            }
            // A newer version of deputy can read it.
            Err(_) => return Ok(true),
        };
        let is_settled = match lease {
            Some(lease) if is_worth_revoking(&lease, now) => {
                self.revoke(LeftLease { key: key.clone(), instance, lease }).await
            }
            Some(_) => is_steady,
            None => true,
        };
        if is_settled {
            self.delete(key).await?;
        }
        Ok(is_settled)
    }

    /// Whether what is saved has it by now, or needs not have it.
    async fn revoke(&self, left: LeftLease) -> bool {
        let (reply, answer) = oneshot::channel();
        self.commands.send(CoordinatorCommand::RevokeUnsaved(Box::new(left), reply)).await.ok();
        answer.await.unwrap_or(false)
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        match self.writer.delete(key).await {
            Err(StoreError::Conflict { .. }) => Ok(()),
            deleted => deleted,
        }
    }
}

/// It is kept for an instance that is not configured as long as other leases are.
fn is_worth_revoking(lease: &Lease, now: Timestamp) -> bool {
    lease.is_valid(now) && now < lease.obtained_at.plus(ORPHAN_GRACE)
}

fn instance_of(key: &StoreKey) -> Option<InstanceName> {
    let mut parts = key.name().rsplitn(3, '-');
    parts.nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests;

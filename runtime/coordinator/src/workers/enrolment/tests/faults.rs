//! Records that cannot be read or written.

use deputy_core::in_one_line;
use deputy_store::KeyPrefix;

use super::*;

/// Two workers.
async fn two_workers(site: &mut Site) -> [JoinedWorker; 2] {
    let token = site.token(2).await;
    let first = site.join(&token, &new_key()).await.ok().unwrap();
    [first, site.join(&token, &new_key()).await.ok().unwrap()]
}

#[tokio::test]
async fn record_that_cannot_be_written_costs_no_other() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [broken, sound] = two_workers(&mut one).await;
    one.store.break_record(&worker_key(broken.id).unwrap(), RecordFault::Unwritable);
    let (mut replies, mut answers) = (Vec::new(), Vec::new());
    for worker in [broken.id, sound.id] {
        let (reply, answer) = oneshot::channel();
        replies.push(EnrolmentCommand::Exclude(worker, EnrolmentStatus::Removed, reply));
        answers.push(answer);
    }
    one.run(replies).await;
    let answers: Vec<bool> = answers.iter_mut().map(|answer| answer.try_recv().unwrap().is_ok()).collect();
    assert_eq!(answers, [false, true]);
    // Nor is the state taken for one that does not answer.
    let token = one.token(1).await;
    one.join(&token, &new_key()).await.ok().unwrap();
    other.join(&token, &new_key()).await.err().unwrap();
    assert_eq!(one.stored(sound.id).await.unwrap().status, EnrolmentStatus::Removed);
}

#[tokio::test]
async fn record_of_a_token_that_fails_saves_no_worker_from_a_ban() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let token = one.token(2).await;
    let worker = one.join(&token, &new_key()).await.ok().unwrap();
    one.store.break_record(&token_key(token.id).unwrap(), RecordFault::Unwritable);
    assert_eq!(one.join(&token, &new_key()).await.err(), Some(ErrorCode::Internal));
    one.exclude(worker.id, EnrolmentStatus::Banned).await.unwrap();
    assert_eq!(other.admit(worker.peer).await, Err(ErrorCode::Banned));
}

#[tokio::test]
async fn record_that_is_damaged_is_set_aside_and_written_again() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [damaged, _] = two_workers(&mut one).await;
    let record = worker_key(damaged.id).unwrap();
    // The operator's ban must not fail because a value was damaged in etcd.
    one.decide(exclude_command(damaged.id, EnrolmentStatus::Banned));
    one.store.break_record(&record, RecordFault::Damaged);
    let written = one.actor.write_dirty().await;
    assert!(written.failed.is_empty() && written.conflicts.is_empty());
    assert_eq!(one.stored(damaged.id).await.unwrap().status, EnrolmentStatus::Banned);
    assert_eq!(other.admit(damaged.peer).await, Err(ErrorCode::Banned));
}

#[tokio::test]
async fn authority_that_is_damaged_stays_and_holds_up_no_other_record() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [banned, _] = two_workers(&mut one).await;
    let worker = worker_key(banned.id).unwrap();
    other.actor.reload_record(&worker).await.unwrap();
    one.exclude(banned.id, EnrolmentStatus::Banned).await.unwrap();
    let authority = authority_key().unwrap();
    other.store.break_record(&authority, RecordFault::Damaged);
    other.actor.outdated.extend([authority.clone(), worker]);
    other.actor.read_outdated().await;
    assert_eq!(other.status(banned.id), Some(EnrolmentStatus::Banned));
    other.store.mend();
    assert!(other.store.get(&authority).await.unwrap().is_some(), "it was set aside");
}

#[tokio::test]
async fn authority_that_was_only_confirmed_is_not_said_to_be_rotated() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let (log, _logging) = CapturedLog::start();
    let is_taken_over = async |one: &Site, other: &mut Site| {
        one.actor.save_authority(&one.actor.authority).await.unwrap();
        other.actor.outdated.insert(authority_key().unwrap());
        other.actor.read_outdated().await;
        other.actor.authority.encode().unwrap().expose() == one.actor.authority.encode().unwrap().expose()
    };
    assert!(one.actor.authority.is_provisional());
    one.actor.authority.confirm();
    assert!(is_taken_over(&one, &mut other).await);
    assert_eq!(log.count("rotated by the leader"), 0);

    one.actor.authority = Authority::generate(one.clock.now().wall, one.actor.lifetimes).unwrap();
    assert!(is_taken_over(&one, &mut other).await);
    assert_eq!(log.count("rotated by the leader"), 1);
}

#[tokio::test]
async fn record_that_hangs_costs_no_other_its_freshness() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [hanging, banned] = two_workers(&mut one).await;
    let keys = [hanging.id, banned.id].map(|worker| worker_key(worker).unwrap());
    for key in &keys {
        other.actor.reload_record(key).await.unwrap();
    }
    for worker in [hanging.id, banned.id] {
        one.exclude(worker, EnrolmentStatus::Banned).await.unwrap();
    }
    other.store.break_record(&keys[0], RecordFault::Hanging);
    let unread = other.actor.refresh(BTreeSet::from(keys.clone())).await;
    assert_eq!(unread, BTreeSet::from([keys[0].clone()]));
    assert_eq!(other.status(banned.id), Some(EnrolmentStatus::Banned));
    // Of the one that was not read, nothing was noted: what is written by the old record replaces nothing.
    other.store.mend();
    other.wait();
    other.actor.dirty.insert(keys[0].clone());
    assert!(other.actor.write_dirty().await.conflicts.contains(&keys[0]));
    assert_eq!(one.stored(hanging.id).await.unwrap().status, EnrolmentStatus::Banned);
    assert_eq!(other.status(hanging.id), Some(EnrolmentStatus::Banned));
}

#[tokio::test]
async fn record_that_was_only_looked_at_is_not_replaced() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [worker, _] = two_workers(&mut one).await;
    let record = worker_key(worker.id).unwrap();
    other.actor.reload_record(&record).await.unwrap();
    one.exclude(worker.id, EnrolmentStatus::Banned).await.unwrap();
    drop(other.actor.records.look(&record).await.unwrap());
    other.actor.dirty.insert(record.clone());
    assert!(other.actor.write_dirty().await.conflicts.contains(&record));
    assert_eq!(one.stored(worker.id).await.unwrap().status, EnrolmentStatus::Banned);
}

#[tokio::test]
async fn outdated_record_that_cannot_be_used_costs_no_other() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [worker, _] = two_workers(&mut one).await;
    other.actor.reload_record(&worker_key(worker.id).unwrap()).await.unwrap();
    one.exclude(worker.id, EnrolmentStatus::Banned).await.unwrap();
    // What is under the key of the authority, which is read before workers are, is none.
    let authority = authority_key().unwrap();
    let found = one.store.get(&authority).await.unwrap().unwrap();
    let by = deputy_store::WriteRight::shared(one.store.write_id().unwrap());
    let nonsense = deputy_core::SecretBytes::new(b"nonsense".to_vec());
    one.store.put(&authority, &nonsense, deputy_store::ExpectedVersion::Version(found.version), by).await.unwrap();
    other.actor.outdated.extend([authority.clone(), worker_key(worker.id).unwrap()]);
    other.actor.read_outdated().await;
    assert_eq!(other.status(worker.id), Some(EnrolmentStatus::Banned));
    assert_eq!(other.actor.outdated, BTreeSet::from([authority]));
}

#[tokio::test]
async fn writes_that_keep_failing_do_not_fill_the_log() {
    let Pair { mut one, _folder, .. } = Pair::new().await;
    let [broken, sound] = two_workers(&mut one).await;
    one.store.break_record(&worker_key(broken.id).unwrap(), RecordFault::Unwritable);
    let failed = one.exclude(broken.id, EnrolmentStatus::Removed).await;
    let Err(WorkerRequestError::Unsaved(error)) = failed else { panic!("{failed:?}") };
    one.admit(sound.peer).await.unwrap();
    assert!(!one.actor.write_errors.is_new(&error), "it was logged");
    one.store.mend();
    one.admit(sound.peer).await.unwrap();
    assert!(one.actor.write_errors.is_new(&error), "the next one is another trouble");
}

#[tokio::test]
async fn token_that_cannot_be_saved_is_undone() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    one.store.refuse("");
    let group = "analytics".parse().unwrap();
    let (reply, mut answer) = oneshot::channel();
    one.run(vec![EnrolmentCommand::CreateToken { group, uses: 1, ttl: Span::secs(600), reply }]).await;
    assert!(matches!(answer.try_recv().unwrap(), Err(WorkerRequestError::Unchanged(_))));
    one.store.mend();
    // With the next batch, it is not written after all.
    assert!(one.ask(EnrolmentCommand::Tokens).await.is_empty() && one.actor.dirty.is_empty());
    assert!(other.ask(EnrolmentCommand::Tokens).await.is_empty());
    assert!(one.store.store.list(&KeyPrefix::Namespace(TOKEN)).await.unwrap().is_empty());
}

#[tokio::test]
async fn worker_that_cannot_be_read_is_not_said_to_be_unknown() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [worker, _] = two_workers(&mut one).await;
    // The other one has not heard of it.
    let record = worker_key(worker.id).unwrap();
    other.store.break_record(&record, RecordFault::Unreadable);
    let excluded = other.exclude(worker.id, EnrolmentStatus::Banned).await;
    assert!(matches!(excluded, Err(WorkerRequestError::Unchanged(_))), "{excluded:?}");
    other.store.mend();
    other.wait();
    other.exclude(worker.id, EnrolmentStatus::Banned).await.unwrap();
    assert_eq!(one.stored(worker.id).await.unwrap().status, EnrolmentStatus::Banned);
}

#[tokio::test]
async fn reads_that_keep_failing_do_not_fill_the_log() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let [unreadable, readable] = two_workers(&mut one).await;
    let keys = [unreadable.id, readable.id].map(|worker| worker_key(worker).unwrap());
    other.store.break_record(&keys[0], RecordFault::Unreadable);
    let error = in_one_line(&other.store.get(&keys[0]).await.err().unwrap());
    for _ in 0..2 {
        other.actor.read_errors = RepeatedError::default();
        other.actor.outdated.extend(keys.clone());
        other.actor.read_outdated().await;
        assert!(!other.actor.read_errors.is_new(&error), "it was logged");
        other.wait();
        other.actor.read_errors = RepeatedError::default();
        other.actor.refresh(BTreeSet::from(keys.clone())).await;
        assert!(!other.actor.read_errors.is_new(&error), "it was logged");
        // Nor does it end with what can be read.
        other.wait();
        assert!(other.actor.refresh(BTreeSet::from([keys[1].clone()])).await.is_empty());
        assert!(!other.actor.read_errors.is_new(&error));
    }
}

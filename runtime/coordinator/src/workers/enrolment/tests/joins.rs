//! Joins that one coordinator begins, and another one completes.

use super::*;

#[tokio::test]
async fn join_that_another_coordinator_began_spends_one_use() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let token = one.token(1).await;
    let key = new_key();
    // The first one saves the use of the token, and ends before it saves the worker.
    one.decide(join_command(&token, &key, oneshot::channel().0));
    let worker = one.actor.enrolment.workers().next().unwrap().id;
    one.store.break_record(&worker_key(worker).unwrap(), RecordFault::Unwritable);
    one.actor.write_dirty().await;
    assert_eq!((one.stored_uses(token.id).await, one.stored(worker).await), (0, None));
    // A thief with the join string gets nothing of it; the worker goes on where it was.
    assert_eq!(other.join(&token, &new_key()).await.err(), Some(ErrorCode::BadJoin));
    let joined = other.join(&token, &key).await.ok().unwrap();
    assert_eq!(joined.id, worker);
    other.admit(joined.peer).await.unwrap();
    assert_eq!(other.actor.enrolment.workers().count(), 1);
    // The first one is back.
    one.store.mend();
    one.wait();
    assert_eq!(one.join(&token, &key).await.ok().unwrap().id, worker);
    assert_eq!(one.stored(worker).await.unwrap().status, EnrolmentStatus::Active);
}

#[tokio::test]
async fn join_at_two_coordinators_makes_one_worker() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let token = one.token(2).await;
    let key = new_key();
    let first = one.join(&token, &key).await.ok().unwrap();
    // The other one has heard of neither the token nor the worker.
    let second = other.join(&token, &key).await.ok().unwrap();
    assert_eq!((first.id, one.stored_uses(token.id).await), (second.id, 1));
    // Both decide before either writes.
    let key = new_key();
    let (reply, mut answer) = oneshot::channel();
    other.actor.refresh(BTreeSet::from([token_key(token.id).unwrap()])).await;
    let pending = other.actor.run_command(join_command(&token, &key, reply), &BTreeSet::new()).unwrap();
    let first = one.join(&token, &key).await.ok().unwrap();
    let written = other.actor.write_dirty().await;
    assert!(pending.keys.iter().any(|key| written.conflicts.contains(key)));
    let again = (pending.reply)(WriteOutcome::Conflict);
    other.run(again.into_iter().collect()).await;
    assert_eq!(answer.try_recv().unwrap().ok().unwrap().id, first.id);
    assert_eq!((one.stored_uses(token.id).await, other.actor.enrolment.workers().count()), (0, 2));
}

#[tokio::test]
async fn join_of_a_worker_that_cannot_be_saved_is_not_answered() {
    let Pair { mut one, _folder, .. } = Pair::new().await;
    let token = one.token(2).await;
    let key = new_key();
    let (reply, mut answer) = oneshot::channel();
    let pending = one.actor.run_command(join_command(&token, &key, reply), &BTreeSet::new()).unwrap();
    let worker = one.actor.enrolment.workers().next().unwrap().id;
    let record = worker_key(worker).unwrap();
    assert!(pending.keys.contains(&record), "the answer depends on the worker's record, too");
    one.store.break_record(&record, RecordFault::Unwritable);
    let failed = one.actor.write_dirty().await.failed;
    assert_eq!(failed.keys().collect::<Vec<_>>(), [&record]);
    (pending.reply)(WriteOutcome::Failed(failed[&record].clone()));
    assert_eq!(answer.try_recv().unwrap().err(), Some(ErrorCode::Internal));
    // Other workers join meanwhile.
    one.join(&token, &new_key()).await.ok().unwrap();
    one.store.mend();
    assert_eq!(one.join(&token, &key).await.ok().unwrap().id, worker);
}

#[tokio::test]
async fn join_is_undone_whole_or_not_at_all() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let token = one.token(1).await;
    let (reply, mut answer) = oneshot::channel();
    let pending = one.actor.run_command(join_command(&token, &new_key(), reply), &BTreeSet::new()).unwrap();
    let worker = one.actor.enrolment.workers().next().unwrap().id;
    // The one use is spent elsewhere meanwhile.
    other.join(&token, &new_key()).await.ok().unwrap();
    one.store.break_record(&worker_key(worker).unwrap(), RecordFault::Unreadable);
    let written = one.actor.write_dirty().await;
    assert!(written.failed.contains_key(&token_key(token.id).unwrap()) && written.conflicts.is_empty());
    for _ in 0..2 {
        one.wait();
        one.actor.write_dirty().await;
        assert_eq!(one.stored(worker).await, None, "a worker without a use");
    }
    one.store.mend();
    one.wait();
    let written = one.actor.write_dirty().await;
    assert!(pending.keys.iter().all(|key| written.conflicts.contains(key)));
    one.run((pending.reply)(WriteOutcome::Conflict).into_iter().collect()).await;
    assert_eq!(answer.try_recv().unwrap().err(), Some(ErrorCode::BadJoin));
    assert_eq!((one.status(worker), one.stored(worker).await, one.stored_uses(token.id).await), (None, None, 0));
}

#[tokio::test]
async fn join_that_is_undone_gives_the_former_worker_back() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let key = new_key();
    let first = one.token(1).await;
    let before = one.join(&first, &key).await.ok().unwrap();
    let second = one.token(1).await;
    // It joins again with its key, and would replace itself; the use is spent elsewhere meanwhile.
    one.decide(join_command(&second, &key, oneshot::channel().0));
    assert_eq!(one.status(before.id), Some(EnrolmentStatus::Removed));
    other.join(&second, &new_key()).await.ok().unwrap();
    one.actor.write_dirty().await;
    assert_eq!(one.status(before.id), Some(EnrolmentStatus::Active));
    assert_eq!(one.stored(before.id).await.unwrap().status, EnrolmentStatus::Active);
    one.admit(before.peer).await.unwrap();
}

#[tokio::test]
async fn join_keeps_its_key_when_the_replaced_worker_changes() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let key = new_key();
    let first = one.token(1).await;
    let before = one.join(&first, &key).await.ok().unwrap();
    let second = one.token(1).await;
    // Its first join once more, which was on its way to the other one all the time, and the second one at this moment.
    other.join(&first, &key).await.ok().unwrap();
    let joined = one.join(&second, &key).await.ok().unwrap();
    assert_eq!(one.stored_uses(second.id).await, 0);
    assert_eq!(one.status(before.id), Some(EnrolmentStatus::Removed));
    assert_eq!(one.stored(before.id).await.unwrap().status, EnrolmentStatus::Removed);
    assert_eq!(one.actor.enrolment.active_with(joined.peer.key), Some(joined.id));
    one.admit(joined.peer).await.unwrap();
}

fn unknown_join(number: u8) -> EnrolmentCommand {
    EnrolmentCommand::Join {
        token: TokenId::from_bytes([number; 8]),
        secret: TokenSecret::new(&mut [number; 32]),
        request: Vec::new(),
        reply: CertificateReply::new(oneshot::channel::<()>().0, drop),
    }
}

#[tokio::test]
async fn join_with_one_of_many_unknown_tokens_is_not_refused_for_good() {
    let Pair { one, _folder, .. } = Pair::new().await;
    let (fresh, outdated) = one.actor.partition((1..=20).chain([3, 20]).map(unknown_join).collect());
    assert!(fresh.is_empty());
    assert_eq!((outdated.keys.len(), outdated.too_many.len(), outdated.commands.len()), (16, 4, 22));
}

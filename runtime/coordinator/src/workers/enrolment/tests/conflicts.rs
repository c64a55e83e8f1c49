//! Two decisions about one worker at the same time.

use super::*;

/// A worker that both know.
async fn known_worker(one: &mut Site, other: &mut Site) -> JoinedWorker {
    let token = one.token(1).await;
    let worker = one.join(&token, &new_key()).await.ok().unwrap();
    other.actor.reload_record(&worker_key(worker.id).unwrap()).await.unwrap();
    worker
}

#[tokio::test]
async fn ban_outlives_a_removal_elsewhere_at_the_same_time() {
    use EnrolmentStatus::{Banned, Removed};
    for (here, elsewhere) in [(Banned, Removed), (Removed, Banned)] {
        let Pair { mut one, mut other, _folder } = Pair::new().await;
        let worker = known_worker(&mut one, &mut other).await;
        let (reply, mut answer) = oneshot::channel();
        let command = EnrolmentCommand::Exclude(worker.id, here, reply);
        let pending = one.actor.run_command(command, &BTreeSet::new()).unwrap();
        other.exclude(worker.id, elsewhere).await.unwrap();
        assert!(one.actor.write_dirty().await.conflicts.contains(&worker_key(worker.id).unwrap()));
        assert_eq!(one.status(worker.id), Some(Banned), "at no moment less");
        one.run((pending.reply)(WriteOutcome::Conflict).into_iter().collect()).await;
        answer.try_recv().unwrap().unwrap();
        assert_eq!(one.stored(worker.id).await.unwrap().status, Banned);
        // Nor does a removal lift the ban later.
        other.exclude(worker.id, Removed).await.unwrap();
        assert_eq!((other.status(worker.id), one.stored(worker.id).await.unwrap().status), (Some(Banned), Banned));
    }
}

#[tokio::test]
async fn ban_outlives_a_renewal_elsewhere_and_a_state_that_is_away() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let worker = known_worker(&mut one, &mut other).await;
    // The operator's ban is decided on an old record, and cannot be written.
    let record = worker_key(worker.id).unwrap();
    one.store.break_record(&record, RecordFault::Unreadable);
    one.exclude(worker.id, EnrolmentStatus::Banned).await.unwrap_err();
    let renewed = other.renew(worker.peer, 1, &new_key()).await.ok().unwrap();
    other.admit(renewed.peer).await.unwrap();
    one.store.mend();
    one.wait();
    // What is read meanwhile is not taken for what the operator decided.
    one.actor.outdated.insert(record);
    one.actor.read_outdated().await;
    assert_eq!(one.status(worker.id), Some(EnrolmentStatus::Banned));
    one.run(vec![exclude_command(worker.id, EnrolmentStatus::Removed)]).await;
    assert_eq!(one.stored(worker.id).await.unwrap().status, EnrolmentStatus::Banned);
    assert_eq!(other.renew(renewed.peer, 2, &new_key()).await.err(), Some(ErrorCode::Banned));
}

#[tokio::test]
async fn lock_of_a_copied_worker_outlives_a_renewal_elsewhere() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let stolen = known_worker(&mut one, &mut other).await;
    let second = one.renew(stolen.peer, 1, &new_key()).await.ok().unwrap();
    one.admit(second.peer).await.unwrap();
    // The copy is found out at one coordinator; at the other one, the worker renews at this moment.
    one.decide(EnrolmentCommand::Admit { peer: stolen.peer, reply: oneshot::channel().0 });
    assert_eq!(one.status(stolen.id), Some(EnrolmentStatus::Locked));
    let third = other.renew(second.peer, 2, &new_key()).await.ok().unwrap();
    one.actor.write_dirty().await;
    assert_eq!(one.status(stolen.id), Some(EnrolmentStatus::Locked));
    one.actor.write_dirty().await;
    assert_eq!(one.stored(stolen.id).await.unwrap().status, EnrolmentStatus::Locked);
    assert_eq!(other.renew(third.peer, 3, &new_key()).await.err(), Some(ErrorCode::Locked));
}

#[tokio::test]
async fn lock_in_a_batch_outlives_what_the_same_batch_reads() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let stolen = known_worker(&mut one, &mut other).await;
    let second = one.renew(stolen.peer, 1, &new_key()).await.ok().unwrap();
    one.admit(second.peer).await.unwrap();
    one.decide(EnrolmentCommand::Admit { peer: stolen.peer, reply: oneshot::channel().0 });
    // The thief asks again at once, and has the record read.
    let unread = one.actor.refresh(BTreeSet::from([worker_key(stolen.id).unwrap()])).await;
    assert!(unread.is_empty());
    assert_eq!(one.status(stolen.id), Some(EnrolmentStatus::Locked));
    one.actor.write_dirty().await;
    assert_eq!(one.stored(stolen.id).await.unwrap().status, EnrolmentStatus::Locked);
}

#[tokio::test]
async fn renewal_is_repeated_at_another_coordinator() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let worker = known_worker(&mut one, &mut other).await;
    let key = new_key();
    // The first one saves the renewal, and its answer is lost; the other one repeats it.
    let first = one.renew(worker.peer, 1, &key).await.ok().unwrap();
    let second = other.renew(worker.peer, 1, &key).await.ok().unwrap();
    assert_eq!(first.peer.key, second.peer.key);
    other.admit(second.peer).await.unwrap();
    // The first request once more, which was on its way all the time.
    one.renew(worker.peer, 1, &key).await.ok().unwrap();
    let third = one.renew(second.peer, 2, &new_key()).await.ok().unwrap();
    one.admit(third.peer).await.unwrap();
    // A copy of the first identity renews with a key of its own.
    assert_eq!(other.renew(worker.peer, 1, &new_key()).await.err(), Some(ErrorCode::Locked));
    assert_eq!(one.renew(third.peer, 3, &new_key()).await.err(), Some(ErrorCode::Locked));
}

#[tokio::test]
async fn admission_reads_a_record_that_is_known_to_be_old() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let worker = known_worker(&mut one, &mut other).await;
    one.exclude(worker.id, EnrolmentStatus::Banned).await.unwrap();
    // Without word from the state, it goes by what it knows.
    other.admit(worker.peer).await.unwrap();
    let record = worker_key(worker.id).unwrap();
    other.actor.outdated.insert(record.clone());
    other.store.break_record(&record, RecordFault::Unreadable);
    assert_eq!(other.admit(worker.peer).await, Err(ErrorCode::Internal), "it may try elsewhere");
    other.store.mend();
    other.wait();
    assert_eq!(other.admit(worker.peer).await, Err(ErrorCode::Banned));
    assert!(other.actor.outdated.is_empty());
}

#[tokio::test]
async fn outdated_records_are_read_while_commands_keep_coming() {
    let Pair { mut one, mut other, _folder } = Pair::new().await;
    let worker = known_worker(&mut one, &mut other).await;
    let record = worker_key(worker.id).unwrap();
    let Site { actor, store, commands, .. } = other;
    let asking = async {
        store.break_record(&record, RecordFault::Unreadable);
        one.exclude(worker.id, EnrolmentStatus::Banned).await.unwrap();
        let mut asked = 0;
        loop {
            asked += 1;
            // It hears of the change, and cannot read it.
            if asked == 20 {
                store.mend();
            }
            let (reply, answer) = oneshot::channel();
            commands.send(EnrolmentCommand::WorkersAfter(None, reply)).await.ok().unwrap();
            if answer.await.unwrap()[0].status == EnrolmentStatus::Banned {
                return;
            }
            pause(Duration::from_millis(20)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(60), asking);
    tokio::select! { () = actor.run() => panic!("it ended"), asked = asked => asked.unwrap() }
}

#[tokio::test]
async fn renewal_that_nobody_waits_for_locks_no_worker() {
    for is_awaited in [false, true] {
        let Pair { mut one, mut other, _folder } = Pair::new().await;
        let worker = known_worker(&mut one, &mut other).await;
        // The first request waits at a coordinator that hangs; the worker goes to the other one, and renews twice meanwhile.
        let (reply, answer) = oneshot::channel();
        let request = new_key().request().unwrap();
        let renewal =
            EnrolmentCommand::Renew { peer: worker.peer, sequence: 1, request, reply: certificate_reply(reply) };
        let answer = is_awaited.then_some(answer);
        let (reply, admitted) = oneshot::channel();
        let admission = EnrolmentCommand::Admit { peer: worker.peer, reply };
        let admitted = is_awaited.then_some(admitted);
        let second = other.renew(worker.peer, 1, &new_key()).await.ok().unwrap();
        other.admit(second.peer).await.unwrap();
        let third = other.renew(second.peer, 2, &new_key()).await.ok().unwrap();
        one.run(vec![renewal, admission]).await;
        let expected = if is_awaited { EnrolmentStatus::Locked } else { EnrolmentStatus::Active };
        assert_eq!(one.stored(worker.id).await.unwrap().status, expected);
        assert!(other.admit(third.peer).await.is_ok() || is_awaited);
        drop((answer, admitted));
    }
}

#[tokio::test]
async fn commands_that_nobody_waits_for_spend_nothing() {
    let Pair { mut one, _folder, .. } = Pair::new().await;
    let token = one.token(1).await;
    let group = "analytics".parse().unwrap();
    let create = EnrolmentCommand::CreateToken { group, uses: 1, ttl: Span::secs(600), reply: oneshot::channel().0 };
    let join = join_command(&token, &new_key(), oneshot::channel().0);
    one.run(vec![join, create]).await;
    assert_eq!(one.stored_uses(token.id).await, 1);
    assert_eq!(one.ask(EnrolmentCommand::Tokens).await.len(), 1);
    // What an operator decided stands.
    let worker = one.join(&token, &new_key()).await.ok().unwrap();
    one.run(vec![exclude_command(worker.id, EnrolmentStatus::Banned)]).await;
    assert_eq!(one.stored(worker.id).await.unwrap().status, EnrolmentStatus::Banned);
}

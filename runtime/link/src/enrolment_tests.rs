use super::*;

const TOKEN: TokenId = TokenId::from_bytes(*b"token--1");

fn key(number: u8) -> KeyDigest {
    KeyDigest([number; 32])
}

fn id(number: u8) -> WorkerId {
    WorkerId::from_bytes([number; 8])
}

fn secret() -> TokenSecret {
    TokenSecret::new(&mut [1; 32])
}

/// Both clocks, of which one may have been set.
fn now(wall: u64, mono: u64) -> Now {
    Now { wall: at(wall), mono: MonotonicTime::from_millis(mono) }
}

/// Who is forgotten when this is so for a day.
fn forgotten(book: &mut Enrolment, wall: u64) -> Vec<WorkerId> {
    assert!(book.forget(now(wall, 0)).is_empty());
    book.forget(now(wall, DAY)).into_iter().map(|worker| worker.id).collect()
}

const DAY: u64 = 86_400_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// With one token for two workers of the group `analytics`, good until 1,000.
fn book() -> Enrolment {
    let group = "analytics".parse().unwrap();
    let mut book = Enrolment::default();
    book.add(JoinToken { id: TOKEN, hash: secret().hash(), group, uses: 2, expires_ms: 1000, pending: Vec::new() });
    book
}

fn join(book: &mut Enrolment, now: u64, key: KeyDigest, fresh: u8) -> Result<EnrolledWorker, JoinDenied> {
    book.join(at(now), &JoinRequest { token: TOKEN, secret: &secret(), key }, id(fresh))
}

fn renewal(current: u8, sequence: u64, new: u8) -> RenewalRequest {
    RenewalRequest { worker: id(1), current: key(current), sequence: RenewalCount(sequence), key: key(new) }
}

/// A book with the worker 1, whose key is 1.
fn joined() -> Enrolment {
    let mut book = book();
    join(&mut book, 0, key(1), 1).unwrap();
    book
}

#[test]
fn a_good_token_makes_a_worker_of_its_group() {
    let worker = join(&mut book(), 999, key(1), 1).unwrap();
    assert_eq!((worker.id, worker.group.as_str(), worker.standing), (id(1), "analytics", EnrolmentStatus::Active));
}

#[test]
fn a_token_makes_as_many_workers_as_it_has_uses() {
    let mut book = joined();
    join(&mut book, 0, key(2), 2).unwrap();
    assert_eq!(join(&mut book, 0, key(3), 3), Err(JoinDenied::UsedUp(TOKEN)));
    assert_eq!(book.tokens(at(0)).count(), 0);
}

#[test]
fn who_repeats_itself_with_the_same_key_spends_nothing_and_stays_who_it_is() {
    let mut book = joined();
    for fresh in 2..9 {
        assert_eq!(join(&mut book, 1, key(1), fresh).unwrap().id, id(1));
    }
    join(&mut book, 1, key(2), 9).unwrap();
    // Also when nothing is left to spend.
    assert_eq!(join(&mut book, 1, key(2), 10).unwrap().id, id(9));
}

#[test]
fn a_stolen_join_string_is_of_no_use_once_it_is_used_up_expired_or_revoked() {
    let mut book = joined();
    join(&mut book, 0, key(2), 2).unwrap();
    assert_eq!(join(&mut book, 0, key(66), 66), Err(JoinDenied::UsedUp(TOKEN)));
    let mut book = self::book();
    assert_eq!(join(&mut book, 1000, key(66), 66), Err(JoinDenied::Expired(TOKEN)));
    assert!(book.revoke(TOKEN));
    assert!(!book.revoke(TOKEN));
    assert_eq!(join(&mut book, 0, key(66), 66), Err(JoinDenied::Unknown(TOKEN)));
}

#[test]
fn a_wrong_secret_and_an_unknown_token_look_the_same() {
    let mut book = book();
    let wrong = TokenSecret::new(&mut [2; 32]);
    let refused = book.join(at(0), &JoinRequest { token: TOKEN, secret: &wrong, key: key(1) }, id(1));
    assert_eq!(refused, Err(JoinDenied::Unknown(TOKEN)));
    assert_eq!(book.workers().count(), 0);
    assert_eq!(book.tokens(at(0)).next().unwrap().uses, 2);
}

#[test]
fn a_worker_that_renews_has_a_new_key_and_the_old_one_is_good_until_the_new_one_was_used() {
    let mut book = joined();
    let worker = book.renew(&renewal(1, 1, 2)).unwrap();
    assert_eq!((worker.key, worker.sequence), (key(2), RenewalCount(1)));
    assert_eq!(book.admit(id(1), key(1)).unwrap().1, AdmissionChange::Nothing);
    assert_eq!(book.admit(id(1), key(2)).unwrap().1, AdmissionChange::Changed);
    assert_eq!(book.admit(id(1), key(2)).unwrap().1, AdmissionChange::Nothing);
    assert_eq!(book.admit(id(1), key(1)), Err(AdmissionDenied::OldKey(id(1))));
    assert_eq!(book.admit(id(1), key(2)), Err(AdmissionDenied::Locked(id(1))), "one of the two is a copy");
    assert_eq!(book.active_with(key(2)), None);
}

#[test]
fn a_renewal_whose_answer_was_lost_is_repeated() {
    let mut book = joined();
    book.renew(&renewal(1, 1, 2)).unwrap();
    assert_eq!(book.renew(&renewal(1, 1, 2)).unwrap().sequence, RenewalCount(1));
    assert_eq!(book.renew(&renewal(2, 2, 3)).unwrap().sequence, RenewalCount(2));
}

#[test]
fn a_copied_identity_locks_the_worker_whoever_comes_first() {
    // The worker renewed; the copy comes with what it stole, at the same step, one before, or one after.
    for copy in [renewal(1, 1, 66), renewal(1, 0, 66), renewal(1, 2, 66)] {
        let mut book = joined();
        book.renew(&renewal(1, 1, 2)).unwrap();
        assert!(matches!(book.renew(&copy), Err(RenewalDenied::Copied { .. })), "{copy:?}");
        for key in [key(1), key(2), key(66)] {
            assert_eq!(book.admit(id(1), key), Err(AdmissionDenied::Locked(id(1))));
        }
        assert_eq!(book.renew(&renewal(2, 2, 3)), Err(AdmissionDenied::Locked(id(1)).into()));
    }
    // The copy renewed first; the worker comes then.
    let mut book = joined();
    book.renew(&renewal(1, 1, 66)).unwrap();
    assert!(matches!(book.renew(&renewal(1, 1, 2)), Err(RenewalDenied::Copied { .. })));
    // A number that was never given.
    assert!(matches!(joined().renew(&renewal(1, 7, 2)), Err(RenewalDenied::Copied { .. })));
}

#[test]
fn a_removed_worker_is_not_let_in_and_may_join_again() {
    let mut book = joined();
    book.shut_out(id(1), EnrolmentStatus::Removed).unwrap();
    assert_eq!(book.admit(id(1), key(1)), Err(AdmissionDenied::Removed(id(1))));
    assert_eq!(book.renew(&renewal(1, 1, 2)), Err(AdmissionDenied::Removed(id(1)).into()));
    assert_eq!(join(&mut book, 0, key(1), 2).unwrap().id, id(2));
    assert_eq!(book.admit(id(2), key(1)).unwrap().0.as_str(), "analytics");
    assert_eq!(book.admit(id(1), key(1)), Err(AdmissionDenied::Removed(id(1))));
}

#[test]
fn a_banned_worker_may_not_join_again_with_any_key_that_it_had_also_after_a_restart() {
    let mut book = joined();
    book.renew(&renewal(1, 1, 2)).unwrap();
    book.shut_out(id(1), EnrolmentStatus::Banned).unwrap();
    for known in [key(1), key(2)] {
        assert_eq!(join(&mut book, 0, known, 9), Err(JoinDenied::Banned));
    }
    let tokens: Vec<_> = book.tokens.values().cloned().collect();
    let mut restored = Enrolment::restored(tokens, book.workers().cloned());
    for known in [key(1), key(2)] {
        assert_eq!(join(&mut restored, 0, known, 9), Err(JoinDenied::Banned));
    }
    assert_eq!(restored.admit(id(1), key(2)), Err(AdmissionDenied::Banned(id(1))));
}

#[test]
fn one_key_is_one_worker() {
    let mut book = joined();
    book.renew(&renewal(1, 1, 2)).unwrap();
    book.admit(id(1), key(2)).unwrap();
    let other: GroupName = "other".parse().unwrap();
    let token = TokenId::from_bytes(*b"token--2");
    book.add(JoinToken {
        id: token,
        hash: secret().hash(),
        group: other,
        uses: 1,
        expires_ms: 1000,
        pending: Vec::new(),
    });
    let worker = book.join(at(0), &JoinRequest { token, secret: &secret(), key: key(2) }, id(5)).unwrap();
    assert_eq!(worker.group.as_str(), "other");
    assert_eq!(book.admit(id(1), key(2)), Err(AdmissionDenied::Removed(id(1))));
}

#[test]
fn join_that_only_its_token_remembers_is_recovered() {
    let mut book = joined();
    // The crash came after the token was written, and before the worker was.
    let mut again = Enrolment::restored(book.token(TOKEN).cloned(), []);
    assert_eq!(again.recover(), [id(1)]);
    assert_eq!(again.worker(id(1)), book.worker(id(1)));
    assert_eq!(join(&mut again, 1, key(1), 9).unwrap().id, id(1), "a repetition is one");
    assert_eq!(again.token(TOKEN).unwrap().uses, 1);
    // Once the worker is written, the token forgets it.
    again.written(id(1));
    assert!(again.token(TOKEN).unwrap().pending.is_empty());
    // A worker that is there is as its own record says.
    book.shut_out(id(1), EnrolmentStatus::Banned).unwrap();
    let mut third = Enrolment::restored(book.token(TOKEN).cloned(), book.worker(id(1)).cloned());
    assert!(third.recover().is_empty());
    assert_eq!(third.worker(id(1)).unwrap().standing, EnrolmentStatus::Banned);
}

#[test]
fn join_that_is_recovered_takes_the_place_of_an_older_worker() {
    let mut book = joined();
    let old = book.worker(id(1)).cloned();
    let token = TokenId::from_bytes(*b"token--2");
    let group = "analytics".parse().unwrap();
    book.add(JoinToken { id: token, hash: secret().hash(), group, uses: 1, expires_ms: 1000, pending: Vec::new() });
    book.join(at(1), &JoinRequest { token, secret: &secret(), key: key(1) }, id(2)).unwrap();
    let mut again = Enrolment::restored(book.token(token).cloned(), old);
    assert_eq!(again.recover(), [id(2), id(1)]);
    assert_eq!(again.active_with(key(1)), Some(id(2)));
    assert_eq!(again.worker(id(1)).unwrap().standing, EnrolmentStatus::Removed);
}

#[test]
fn join_is_refused_when_too_many_are_not_written() {
    let mut book = Enrolment::default();
    let group: GroupName = "analytics".parse().unwrap();
    book.add(JoinToken { id: TOKEN, hash: secret().hash(), group, uses: 2000, expires_ms: 1000, pending: Vec::new() });
    let mut join = |number: u64| {
        let (mut bytes, worker) = ([0; 32], WorkerId::from_bytes(number.to_be_bytes()));
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        book.join(at(0), &JoinRequest { token: TOKEN, secret: &secret(), key: KeyDigest(bytes) }, worker)
    };
    assert!((0..1024).all(|number| join(number).is_ok()));
    assert_eq!(join(1024), Err(JoinDenied::Pending(TOKEN)));
    assert!(join(1).is_ok(), "a repetition spends nothing");
}

#[test]
fn a_stranger_is_told_the_same_whatever_the_reason() {
    assert!(JoinDenied::TOLD.contains("deputy token create"));
    assert_eq!(joined().admit(id(9), key(9)), Err(AdmissionDenied::Unknown(id(9))));
    assert_eq!(joined().admit(id(1), key(9)), Err(AdmissionDenied::OldKey(id(1))));
}

#[test]
fn tokens_are_forgotten_an_hour_after_they_expired_and_not_before() {
    let mut book = joined();
    join(&mut book, 0, key(2), 2).unwrap();
    assert!(book.prune(now(1000, 0)).is_empty());
    assert!(book.prune(now(3_700_000, 3_599_999)).is_empty());
    assert!(book.prune(now(999, 3_600_000)).is_empty(), "the clock was wrong");
    assert!(book.prune(now(3_700_000, 3_600_001)).is_empty(), "the next time begins anew");
    assert_eq!(book.prune(now(3_700_000, 7_200_001)), [TOKEN]);
    assert_eq!(book.workers().count(), 2);
}

#[test]
fn who_joined_in_time_and_did_not_hear_of_it_may_repeat_itself_after_the_end_of_the_token() {
    let mut book = joined();
    assert_eq!(join(&mut book, 5000, key(1), 2).unwrap().id, id(1));
    assert_eq!(join(&mut book, 5000, key(2), 2), Err(JoinDenied::Expired(TOKEN)));
}

#[test]
fn what_is_saved_survives_the_round_trip() {
    let book = joined();
    let (token, worker) = (book.tokens[&TOKEN].clone(), book.workers[&id(1)].clone());
    let text = serde_json::to_string(&(&token, &worker)).unwrap();
    assert_eq!(serde_json::from_str::<(JoinToken, EnrolledWorker)>(&text).unwrap(), (token, worker));
}

#[test]
fn workers_are_forgotten_a_week_after_their_last_certificate_ended_and_not_before() {
    const WEEK: u64 = 7 * 86_400_000;
    let mut book = joined();
    book.certified(id(1), at(5000));
    book.renew(&renewal(1, 1, 2)).unwrap();
    book.certified(id(1), at(9000));
    // Whoever shortened the life of certificates did not shorten those that were made.
    book.certified(id(1), at(7000));
    assert!(forgotten(&mut book, WEEK + 8999).is_empty());
    assert_eq!(forgotten(&mut book, WEEK + 9000), [id(1)]);
    assert_eq!((book.workers().count(), book.active_with(key(2))), (0, None));
    assert_eq!(book.admit(id(1), key(2)), Err(AdmissionDenied::Unknown(id(1))));
}

#[test]
fn who_is_locked_or_removed_is_forgotten_in_its_time_and_who_is_banned_is_not() {
    const LONG: u64 = 8 * 86_400_000;
    for standing in [EnrolmentStatus::Locked, EnrolmentStatus::Removed] {
        let mut book = joined();
        book.certified(id(1), at(5000));
        book.shut_out(id(1), standing).unwrap();
        assert!(forgotten(&mut book, 5000).is_empty(), "{standing:?}: its certificate may still be good");
        assert_eq!(forgotten(&mut book, LONG), [id(1)], "{standing:?}");
    }
    let mut book = joined();
    book.shut_out(id(1), EnrolmentStatus::Banned).unwrap();
    assert!(forgotten(&mut book, LONG).is_empty());
    let tokens: Vec<_> = book.tokens.values().cloned().collect();
    let mut restored = Enrolment::restored(tokens, book.workers().cloned());
    assert_eq!(join(&mut restored, 0, key(1), 2), Err(JoinDenied::Banned));
}

#[test]
fn a_key_that_is_another_worker_s_by_now_stays_with_it() {
    const LONG: u64 = 8 * 86_400_000;
    let mut book = joined();
    book.shut_out(id(1), EnrolmentStatus::Removed).unwrap();
    join(&mut book, 0, key(1), 2).unwrap();
    book.certified(id(2), at(LONG));
    assert_eq!(forgotten(&mut book, LONG), [id(1)]);
    assert_eq!(book.active_with(key(1)), Some(id(2)));
}

#[test]
fn a_clock_that_is_set_wrong_for_less_than_a_day_has_nobody_forgotten() {
    const LONG: u64 = 1000 * DAY;
    let mut book = joined();
    assert!(book.forget(now(LONG, 0)).is_empty());
    assert!(book.forget(now(LONG, DAY - 1)).is_empty());
    assert!(book.forget(now(5000, DAY)).is_empty(), "it is set right");
    assert!(book.forget(now(LONG, DAY + 1)).is_empty(), "the next time begins anew");
    book.admit(id(1), key(1)).unwrap();
    assert_eq!(book.forget(now(LONG, 2 * DAY + 1)).iter().map(|worker| worker.id).collect::<Vec<_>>(), [id(1)]);
    assert!(book.over.is_empty());
}

use deputy_core::GroupName;
use deputy_core::time::Now;

use super::*;
use crate::join::TokenSecret;

mod shared;

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

fn now(wall: u64, mono: u64) -> Now {
    Now { wall: at(wall), mono: MonotonicTime::from_millis(mono) }
}

/// The workers that are pruned when the wall clock shows `wall` for a day.
fn prune_workers(enrolment: &mut Enrolment, wall: u64) -> Vec<WorkerId> {
    assert!(enrolment.prune_workers(now(wall, 0)).is_empty());
    enrolment.prune_workers(now(wall, DAY)).into_iter().map(|worker| worker.id).collect()
}

const DAY: u64 = 86_400_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// One token for two workers of the group `analytics`, which expires at 1,000.
fn enrolment() -> Enrolment {
    let group = "analytics".parse().unwrap();
    let mut enrolment = Enrolment::default();
    enrolment.add_token(JoinToken {
        id: TOKEN,
        hash: secret().hash(),
        group,
        uses: 2,
        created_ms: 0,
        expires_ms: 1000,
        redated_ms: None,
        pending: Vec::new(),
    });
    enrolment
}

fn join(enrolment: &mut Enrolment, now: u64, key: KeyDigest, fresh: u8) -> Result<EnrolledWorker, JoinDenied> {
    enrolment.join(at(now), &JoinRequest { token: TOKEN, secret: &secret(), key }, id(fresh))
}

fn renewal(current: u8, sequence: u64, new: u8) -> RenewalRequest {
    RenewalRequest { worker: id(1), current: key(current), sequence: RenewalCount(sequence), key: key(new) }
}

/// The worker 1 with its key 1.
fn joined() -> Enrolment {
    let mut enrolment = enrolment();
    join(&mut enrolment, 0, key(1), 1).unwrap();
    enrolment
}

#[test]
fn enrolment_puts_a_worker_into_the_group_of_its_token() {
    let worker = join(&mut enrolment(), 999, key(1), 1).unwrap();
    assert_eq!((worker.id, worker.group.as_str(), worker.status), (id(1), "analytics", EnrolmentStatus::Active));
}

#[test]
fn enrolment_spends_the_uses_of_a_token() {
    let mut enrolment = joined();
    join(&mut enrolment, 0, key(2), 2).unwrap();
    assert_eq!(join(&mut enrolment, 0, key(3), 3), Err(JoinDenied::UsedUp(TOKEN)));
    assert_eq!(enrolment.tokens(at(0)).count(), 0);
}

#[test]
fn enrolment_with_the_same_key_is_a_repetition() {
    let mut enrolment = joined();
    for fresh in 2..9 {
        assert_eq!(join(&mut enrolment, 1, key(1), fresh).unwrap().id, id(1));
    }
    join(&mut enrolment, 1, key(2), 9).unwrap();
    // Also when no use is left.
    assert_eq!(join(&mut enrolment, 1, key(2), 10).unwrap().id, id(9));
}

#[test]
fn enrolment_refuses_used_up_expired_and_revoked_tokens() {
    let mut enrolment = joined();
    join(&mut enrolment, 0, key(2), 2).unwrap();
    assert_eq!(join(&mut enrolment, 0, key(66), 66), Err(JoinDenied::UsedUp(TOKEN)));
    let mut enrolment = self::enrolment();
    assert_eq!(join(&mut enrolment, 1000, key(66), 66), Err(JoinDenied::Expired(TOKEN)));
    assert!(enrolment.revoke_token(TOKEN));
    assert!(!enrolment.revoke_token(TOKEN));
    assert_eq!(join(&mut enrolment, 0, key(66), 66), Err(JoinDenied::Unknown(TOKEN)));
}

#[test]
fn enrolment_does_not_tell_a_wrong_secret_from_no_token() {
    let mut enrolment = enrolment();
    let wrong = TokenSecret::new(&mut [2; 32]);
    let refused = enrolment.join(at(0), &JoinRequest { token: TOKEN, secret: &wrong, key: key(1) }, id(1));
    assert_eq!(refused, Err(JoinDenied::Unknown(TOKEN)));
    assert_eq!(enrolment.workers().count(), 0);
    assert_eq!(enrolment.tokens(at(0)).next().unwrap().uses, 2);
}

#[test]
fn renewal_ends_the_old_key_with_the_first_use_of_the_new() {
    let mut enrolment = joined();
    let worker = enrolment.renew(&renewal(1, 1, 2)).unwrap();
    assert_eq!((worker.key, worker.sequence), (key(2), RenewalCount(1)));
    assert_eq!(enrolment.admit(id(1), key(1)).unwrap().1, AdmissionChange::Unchanged);
    assert_eq!(enrolment.admit(id(1), key(2)).unwrap().1, AdmissionChange::Changed);
    assert_eq!(enrolment.admit(id(1), key(2)).unwrap().1, AdmissionChange::Unchanged);
    assert_eq!(enrolment.admit(id(1), key(1)), Err(AdmissionDenied::OldKey(id(1))));
    assert_eq!(enrolment.admit(id(1), key(2)), Err(AdmissionDenied::Locked(id(1))), "one of the two is a copy");
    assert_eq!(enrolment.active_with(key(2)), None);
}

#[test]
fn renewal_may_be_repeated_with_the_same_key() {
    let mut enrolment = joined();
    enrolment.renew(&renewal(1, 1, 2)).unwrap();
    assert_eq!(enrolment.renew(&renewal(1, 1, 2)).unwrap().sequence, RenewalCount(1));
    assert_eq!(enrolment.renew(&renewal(2, 2, 3)).unwrap().sequence, RenewalCount(2));
}

#[test]
fn renewal_by_a_copy_locks_the_worker() {
    // The worker renewed first; the copy renews with the same number, one before, or one after.
    for copy in [renewal(1, 1, 66), renewal(1, 0, 66), renewal(1, 2, 66)] {
        let mut enrolment = joined();
        enrolment.renew(&renewal(1, 1, 2)).unwrap();
        assert!(matches!(enrolment.renew(&copy), Err(RenewalDenied::Copied { .. })), "{copy:?}");
        for key in [key(1), key(2), key(66)] {
            assert_eq!(enrolment.admit(id(1), key), Err(AdmissionDenied::Locked(id(1))));
        }
        assert_eq!(enrolment.renew(&renewal(2, 2, 3)), Err(AdmissionDenied::Locked(id(1)).into()));
    }
    // The copy renewed first.
    let mut enrolment = joined();
    enrolment.renew(&renewal(1, 1, 66)).unwrap();
    assert!(matches!(enrolment.renew(&renewal(1, 1, 2)), Err(RenewalDenied::Copied { .. })));
    // A number that was never issued.
    assert!(matches!(joined().renew(&renewal(1, 7, 2)), Err(RenewalDenied::Copied { .. })));
}

#[test]
fn enrolment_of_a_removed_worker_may_be_renewed() {
    let mut enrolment = joined();
    enrolment.exclude_at_least(id(1), EnrolmentStatus::Removed).unwrap();
    assert_eq!(enrolment.admit(id(1), key(1)), Err(AdmissionDenied::Removed(id(1))));
    assert_eq!(enrolment.renew(&renewal(1, 1, 2)), Err(AdmissionDenied::Removed(id(1)).into()));
    assert_eq!(join(&mut enrolment, 0, key(1), 2).unwrap().id, id(2));
    assert_eq!(enrolment.admit(id(2), key(1)).unwrap().0.as_str(), "analytics");
    assert_eq!(enrolment.admit(id(1), key(1)), Err(AdmissionDenied::Removed(id(1))));
}

#[test]
fn enrolment_refuses_every_key_of_a_banned_worker() {
    let mut enrolment = joined();
    enrolment.renew(&renewal(1, 1, 2)).unwrap();
    enrolment.exclude_at_least(id(1), EnrolmentStatus::Banned).unwrap();
    for known in [key(1), key(2)] {
        assert_eq!(join(&mut enrolment, 0, known, 9), Err(JoinDenied::Banned));
    }
    let tokens: Vec<_> = enrolment.tokens.values().cloned().collect();
    let mut restored = Enrolment::restored(tokens, enrolment.workers().cloned());
    for known in [key(1), key(2)] {
        assert_eq!(join(&mut restored, 0, known, 9), Err(JoinDenied::Banned));
    }
    assert_eq!(restored.admit(id(1), key(2)), Err(AdmissionDenied::Banned(id(1))));
}

#[test]
fn enrolment_gives_a_key_to_one_worker() {
    let mut enrolment = joined();
    enrolment.renew(&renewal(1, 1, 2)).unwrap();
    enrolment.admit(id(1), key(2)).unwrap();
    let other: GroupName = "other".parse().unwrap();
    let token = TokenId::from_bytes(*b"token--2");
    enrolment.add_token(JoinToken {
        id: token,
        hash: secret().hash(),
        group: other,
        uses: 1,
        created_ms: 0,
        expires_ms: 1000,
        redated_ms: None,
        pending: Vec::new(),
    });
    let worker = enrolment.join(at(0), &JoinRequest { token, secret: &secret(), key: key(2) }, id(5)).unwrap();
    assert_eq!(worker.group.as_str(), "other");
    assert_eq!(enrolment.admit(id(1), key(2)), Err(AdmissionDenied::Removed(id(1))));
}

#[test]
fn enrolment_recovers_a_join_from_its_token() {
    let mut enrolment = joined();
    // The crash came between saving the token and saving the worker.
    let mut again = Enrolment::restored(enrolment.token(TOKEN).cloned(), []);
    assert_eq!(again.recover(), [id(1)]);
    assert_eq!(again.worker(id(1)), enrolment.worker(id(1)));
    assert_eq!(join(&mut again, 1, key(1), 9).unwrap().id, id(1), "a repetition");
    assert_eq!(again.token(TOKEN).unwrap().uses, 1);
    // Once the worker is saved, the token forgets it.
    again.record_saved(id(1));
    assert!(again.token(TOKEN).unwrap().pending.is_empty());
    // The record of a worker takes precedence.
    enrolment.exclude_at_least(id(1), EnrolmentStatus::Banned).unwrap();
    let mut third = Enrolment::restored(enrolment.token(TOKEN).cloned(), enrolment.worker(id(1)).cloned());
    assert!(third.recover().is_empty());
    assert_eq!(third.worker(id(1)).unwrap().status, EnrolmentStatus::Banned);
}

#[test]
fn enrolment_recovers_a_join_over_an_older_worker() {
    let mut enrolment = joined();
    let old = enrolment.worker(id(1)).cloned();
    let token = TokenId::from_bytes(*b"token--2");
    let group = "analytics".parse().unwrap();
    enrolment.add_token(JoinToken {
        id: token,
        hash: secret().hash(),
        group,
        uses: 1,
        created_ms: 0,
        expires_ms: 1000,
        redated_ms: None,
        pending: Vec::new(),
    });
    enrolment.join(at(1), &JoinRequest { token, secret: &secret(), key: key(1) }, id(2)).unwrap();
    let mut again = Enrolment::restored(enrolment.token(token).cloned(), old);
    assert_eq!(again.recover(), [id(2), id(1)]);
    assert_eq!(again.active_with(key(1)), Some(id(2)));
    assert_eq!(again.worker(id(1)).unwrap().status, EnrolmentStatus::Removed);
}

#[test]
fn enrolment_bounds_joins_that_are_not_saved() {
    let mut enrolment = Enrolment::default();
    let group: GroupName = "analytics".parse().unwrap();
    enrolment.add_token(JoinToken {
        id: TOKEN,
        hash: secret().hash(),
        group,
        uses: 2000,
        created_ms: 0,
        expires_ms: 1000,
        redated_ms: None,
        pending: Vec::new(),
    });
    let mut join = |number: u64| {
        let mut bytes = [0; 32];
        let worker = WorkerId::from_bytes(number.to_be_bytes());
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        enrolment.join(at(0), &JoinRequest { token: TOKEN, secret: &secret(), key: KeyDigest(bytes) }, worker)
    };
    assert!((0..1024).all(|number| join(number).is_ok()));
    assert_eq!(join(1024), Err(JoinDenied::Pending(TOKEN)));
    assert!(join(1).is_ok(), "a repetition spends nothing");
}

#[test]
fn enrolment_answers_unknown_workers_and_keys() {
    assert!(JoinDenied::PUBLIC_MESSAGE.contains("deputy token create"));
    assert_eq!(joined().admit(id(9), key(9)), Err(AdmissionDenied::Unknown(id(9))));
    assert_eq!(joined().admit(id(1), key(9)), Err(AdmissionDenied::OldKey(id(1))));
}

#[test]
fn prune_removes_tokens_an_hour_after_expiry() {
    let mut enrolment = joined();
    join(&mut enrolment, 0, key(2), 2).unwrap();
    assert!(enrolment.prune_tokens(now(1000, 0)).is_empty());
    assert!(enrolment.prune_tokens(now(3_700_000, 3_599_999)).is_empty());
    assert!(enrolment.prune_tokens(now(999, 3_600_000)).is_empty(), "the clock was corrected");
    assert!(enrolment.prune_tokens(now(3_700_000, 3_600_001)).is_empty(), "the time starts again");
    assert_eq!(enrolment.prune_tokens(now(3_700_000, 7_200_001)), [TOKEN]);
    assert_eq!(enrolment.workers().count(), 2);
}

/// A token that lives for a minute, created when the clock was a day ahead.
fn token_of_tomorrow() -> Enrolment {
    let mut enrolment = enrolment();
    let mut token = enrolment.token(TOKEN).unwrap().clone();
    (token.created_ms, token.expires_ms) = (DAY, DAY + 60_000);
    enrolment.add_token(token);
    enrolment
}

#[test]
fn token_of_a_fast_clock_expires_in_time_by_the_right_clock() {
    let mut enrolment = token_of_tomorrow();
    assert_eq!(enrolment.redate_tokens(at(5000)), [TOKEN]);
    assert!(enrolment.redate_tokens(at(6000)).is_empty(), "its life begins once");
    assert_eq!(join(&mut enrolment, 64_999, key(1), 1).unwrap().id, id(1));
    assert_eq!(join(&mut enrolment, 65_000, key(2), 2), Err(JoinDenied::Expired(TOKEN)));
    assert_eq!((enrolment.tokens(at(64_999)).count(), enrolment.tokens(at(65_000)).count()), (1, 0));
    // A day later it would be valid again, but it is forgotten long before.
    assert!(enrolment.prune_tokens(now(65_000, 0)).is_empty());
    assert_eq!(enrolment.prune_tokens(now(3_665_000, 3_600_000)), [TOKEN]);
}

#[test]
fn token_of_a_fast_clock_is_redated_once_more_further_back() {
    let mut enrolment = token_of_tomorrow();
    assert_eq!(enrolment.redate_tokens(at(DAY / 2)), [TOKEN]);
    assert_eq!(enrolment.redate_tokens(at(5000)), [TOKEN]);
    assert_eq!(join(&mut enrolment, 65_000, key(2), 2), Err(JoinDenied::Expired(TOKEN)));
}

#[test]
fn token_outlives_a_clock_that_is_behind_for_a_while() {
    let mut enrolment = token_of_tomorrow();
    assert_eq!(enrolment.redate_tokens(at(5000)), [TOKEN]);
    assert!(enrolment.tokens(at(70_000)).next().is_none());
    assert_eq!(join(&mut enrolment, DAY + 1000, key(1), 1).unwrap().id, id(1), "the clock is right again");
    assert_eq!(join(&mut enrolment, DAY + 60_000, key(2), 2), Err(JoinDenied::Expired(TOKEN)));
}

#[test]
fn token_is_not_redated_by_a_clock_that_is_slewed() {
    let mut enrolment = token_of_tomorrow();
    assert!(enrolment.redate_tokens(at(DAY - 30_000)).is_empty());
    assert_eq!(enrolment.redate_tokens(at(DAY - 30_001)), [TOKEN]);
}

#[test]
fn enrolment_may_be_repeated_after_the_token_expired() {
    let mut enrolment = joined();
    assert_eq!(join(&mut enrolment, 5000, key(1), 2).unwrap().id, id(1));
    assert_eq!(join(&mut enrolment, 5000, key(2), 2), Err(JoinDenied::Expired(TOKEN)));
}

#[test]
fn enrolment_records_survive_the_round_trip() {
    let enrolment = joined();
    let token = enrolment.tokens[&TOKEN].clone();
    let worker = enrolment.workers[&id(1)].clone();
    let text = serde_json::to_string(&(&token, &worker)).unwrap();
    assert_eq!(serde_json::from_str::<(JoinToken, EnrolledWorker)>(&text).unwrap(), (token, worker));
}

#[test]
fn prune_removes_workers_a_week_after_their_certificate() {
    const WEEK: u64 = 7 * 86_400_000;
    let mut enrolment = joined();
    enrolment.record_certificate(id(1), at(5000));
    enrolment.renew(&renewal(1, 1, 2)).unwrap();
    enrolment.record_certificate(id(1), at(9000));
    // A shorter lifetime does not shorten certificates that were issued.
    enrolment.record_certificate(id(1), at(7000));
    assert!(prune_workers(&mut enrolment, WEEK + 8999).is_empty());
    assert_eq!(prune_workers(&mut enrolment, WEEK + 9000), [id(1)]);
    assert_eq!((enrolment.workers().count(), enrolment.active_with(key(2))), (0, None));
    assert_eq!(enrolment.admit(id(1), key(2)), Err(AdmissionDenied::Unknown(id(1))));
}

#[test]
fn prune_keeps_banned_workers_only() {
    const LONG: u64 = 8 * 86_400_000;
    for status in [EnrolmentStatus::Locked, EnrolmentStatus::Removed] {
        let mut enrolment = joined();
        enrolment.record_certificate(id(1), at(5000));
        enrolment.exclude_at_least(id(1), status).unwrap();
        assert!(prune_workers(&mut enrolment, 5000).is_empty(), "{status:?}: its certificate may still be valid");
        assert_eq!(prune_workers(&mut enrolment, LONG), [id(1)], "{status:?}");
    }
    let mut enrolment = joined();
    enrolment.exclude_at_least(id(1), EnrolmentStatus::Banned).unwrap();
    assert!(prune_workers(&mut enrolment, LONG).is_empty());
    let tokens: Vec<_> = enrolment.tokens.values().cloned().collect();
    let mut restored = Enrolment::restored(tokens, enrolment.workers().cloned());
    assert_eq!(join(&mut restored, 0, key(1), 2), Err(JoinDenied::Banned));
}

#[test]
fn prune_keeps_a_key_that_another_worker_took() {
    const LONG: u64 = 8 * 86_400_000;
    let mut enrolment = joined();
    enrolment.exclude_at_least(id(1), EnrolmentStatus::Removed).unwrap();
    join(&mut enrolment, 0, key(1), 2).unwrap();
    enrolment.record_certificate(id(2), at(LONG));
    assert_eq!(prune_workers(&mut enrolment, LONG), [id(1)]);
    assert_eq!(enrolment.active_with(key(1)), Some(id(2)));
}

#[test]
fn prune_waits_for_a_day_of_consistent_clock() {
    const LONG: u64 = 1000 * DAY;
    let mut enrolment = joined();
    assert!(enrolment.prune_workers(now(LONG, 0)).is_empty());
    assert!(enrolment.prune_workers(now(LONG, DAY - 1)).is_empty());
    assert!(enrolment.prune_workers(now(5000, DAY)).is_empty(), "the clock was corrected");
    assert!(enrolment.prune_workers(now(LONG, DAY + 1)).is_empty(), "the time starts again");
    enrolment.admit(id(1), key(1)).unwrap();
    assert_eq!(
        enrolment.prune_workers(now(LONG, 2 * DAY + 1)).iter().map(|worker| worker.id).collect::<Vec<_>>(),
        [id(1)]
    );
    assert!(enrolment.prunable_workers.is_empty());
}

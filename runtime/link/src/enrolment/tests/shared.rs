//! Several coordinators on one state: what one of them began, saved or decided reaches another one late, or never.

use super::*;

/// What another coordinator reads of the token.
fn reloaded(of: &Enrolment, into: &mut Enrolment, is_saved: bool) {
    into.reload_token(TOKEN, of.token(TOKEN).cloned(), |_| is_saved);
}

fn uses(enrolment: &Enrolment) -> u32 {
    enrolment.token(TOKEN).unwrap().uses
}

#[test]
fn enrolment_completes_a_join_that_another_coordinator_began() {
    let mut other = enrolment();
    let first = joined();
    // The first coordinator saved the token, and then nothing more.
    reloaded(&first, &mut other, false);
    for now in [1, 5000] {
        let worker = join(&mut other.clone(), now, key(1), 9).unwrap();
        assert_eq!(Some(&worker), first.worker(id(1)), "the same worker, also when the token has expired");
    }
    join(&mut other, 1, key(1), 9).unwrap();
    assert_eq!((uses(&other), other.workers().count()), (1, 1), "its use was spent");
    join(&mut other, 1, key(2), 2).unwrap();
    assert_eq!(join(&mut other, 1, key(3), 3), Err(JoinDenied::UsedUp(TOKEN)), "each use admits one worker");
}

#[test]
fn enrolment_completes_no_join_of_a_thief_or_a_banned_key() {
    let mut other = enrolment();
    reloaded(&joined(), &mut other, false);
    let wrong = TokenSecret::new(&mut [2; 32]);
    let refused = other.join(at(1), &JoinRequest { token: TOKEN, secret: &wrong, key: key(1) }, id(9));
    assert_eq!(refused, Err(JoinDenied::Unknown(TOKEN)));
    // The worker was saved, and banned, before this one reads the token.
    let mut banned = joined();
    banned.exclude_at_least(id(1), EnrolmentStatus::Banned).unwrap();
    let mut third = Enrolment::restored([], banned.worker(id(1)).cloned());
    reloaded(&joined(), &mut third, false);
    assert_eq!(join(&mut third, 1, key(1), 9), Err(JoinDenied::Banned));
    // Its record is lost, and its ban is not.
    third.reload_worker(id(1), None);
    assert_eq!(join(&mut third, 1, key(1), 9), Err(JoinDenied::Banned));
    assert!(third.recover().is_empty() && third.active_with(key(1)).is_none());
}

#[test]
fn enrolment_of_a_removed_worker_is_not_completed_again() {
    let mut other = joined();
    other.exclude_at_least(id(1), EnrolmentStatus::Removed).unwrap();
    let tokens: Vec<_> = joined().tokens.into_values().collect();
    other.reload_token(TOKEN, tokens.into_iter().next(), |_| false);
    assert_eq!(join(&mut other, 1, key(1), 9).unwrap().id, id(9), "it spends another use, as any worker");
    assert_eq!((uses(&other), other.worker(id(1)).unwrap().status), (0, EnrolmentStatus::Removed));
}

#[test]
fn enrolment_forgets_pending_joins_of_saved_workers() {
    let stored = joined();
    let mut other = Enrolment::restored([], stored.worker(id(1)).cloned());
    reloaded(&stored, &mut other, false);
    assert_eq!(other.token(TOKEN).unwrap().pending.len(), 1, "known here, and not saved");
    reloaded(&stored, &mut other, true);
    assert!(other.token(TOKEN).unwrap().pending.is_empty());
    // A worker that is not known here may be lost: its join stays.
    let mut third = enrolment();
    reloaded(&stored, &mut third, true);
    assert_eq!(third.token(TOKEN).unwrap().pending.len(), 1);
    // Nor does a restart keep what is complete.
    let restored = Enrolment::restored(stored.token(TOKEN).cloned(), stored.worker(id(1)).cloned());
    assert!(restored.token(TOKEN).unwrap().pending.is_empty());
}

#[test]
fn enrolment_of_many_workers_by_turns_fills_no_token() {
    let (mut one, mut other) = (enrolment(), enrolment());
    let mut token = one.token(TOKEN).unwrap().clone();
    token.uses = 5000;
    one.add_token(token);
    for number in 0..3000_u64 {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        let request = JoinRequest { token: TOKEN, secret: &secret(), key: KeyDigest(digest) };
        let worker = one.join(at(0), &request, WorkerId::from_bytes(number.to_be_bytes())).unwrap();
        // It is saved, and the other coordinator reads of it before the token is used there.
        other.reload_worker(worker.id, Some(worker));
        reloaded(&one, &mut other, true);
        std::mem::swap(&mut one, &mut other);
    }
    assert_eq!(uses(&one), 2000);
}

#[test]
fn enrolment_recovers_no_worker_over_its_successor() {
    let begun = joined();
    // The machine joined again with the same token, after its first worker was removed and forgotten.
    let mut other = enrolment();
    join(&mut other, 2, key(1), 5).unwrap();
    let pending = begun.token(TOKEN).unwrap().pending.clone();
    other.tokens.get_mut(&TOKEN).unwrap().pending.extend(pending.clone());
    assert!(other.recover().is_empty());
    assert_eq!(other.active_with(key(1)), Some(id(5)));
    // The same with another token, by which it joined later.
    let token = TokenId::from_bytes(*b"token--2");
    let mut third = begun.clone();
    third.reload_worker(id(1), None);
    third.add_token(JoinToken { id: token, pending: Vec::new(), ..enrolment().token(TOKEN).unwrap().clone() });
    third.join(at(2), &JoinRequest { token, secret: &secret(), key: key(1) }, id(6)).unwrap();
    assert!(third.recover().is_empty());
    assert_eq!(third.active_with(key(1)), Some(id(6)));
}

#[test]
fn prune_brings_no_worker_back_from_its_token() {
    const LONG: u64 = 8 * DAY;
    let stored = joined();
    let mut leader = stored.clone();
    leader.record_certificate(id(1), at(5000));
    // Another coordinator saved the worker, so that the token here still lists it.
    assert_eq!(leader.token(TOKEN).unwrap().pending.len(), 1);
    assert_eq!(prune_workers(&mut leader, LONG), [id(1)]);
    assert!(leader.recover().is_empty() && leader.token(TOKEN).unwrap().pending.is_empty());
}

#[test]
fn renewal_may_be_repeated_after_the_new_key_was_used() {
    let mut enrolment = joined();
    enrolment.renew(&renewal(1, 1, 2)).unwrap();
    // One coordinator answered, and the worker used its new key there; another one gets the request that was on its way.
    enrolment.admit(id(1), key(2)).unwrap();
    for current in [1, 2, 7] {
        let again = enrolment.renew(&renewal(current, 1, 2)).unwrap();
        assert_eq!((again.key, again.sequence, again.status), (key(2), RenewalCount(1), EnrolmentStatus::Active));
    }
    assert_eq!(enrolment.renew(&renewal(2, 2, 3)).unwrap().sequence, RenewalCount(2));
}

#[test]
fn renewal_is_no_repetition_with_another_number_or_key() {
    // An older number or key, a number that is not used yet, and the key of the join, which no renewal brought.
    for copy in [renewal(2, 0, 2), renewal(1, 1, 1), renewal(1, 2, 2), renewal(2, 1, 66)] {
        let mut enrolment = joined();
        enrolment.renew(&renewal(1, 1, 2)).unwrap();
        enrolment.admit(id(1), key(2)).unwrap();
        assert!(matches!(enrolment.renew(&copy), Err(RenewalDenied::Copied { .. })), "{copy:?}");
        assert_eq!(enrolment.admit(id(1), key(2)), Err(AdmissionDenied::Locked(id(1))));
    }
    let mut enrolment = joined();
    assert!(matches!(enrolment.renew(&renewal(1, 0, 1)), Err(RenewalDenied::Copied { .. })));
}

#[test]
fn renewal_by_a_copy_that_repeats_is_found_out_at_the_next() {
    // The copy has the key of the renewal as well, and asks elsewhere: both have the same certificate now, and the same number.
    let mut enrolment = joined();
    enrolment.renew(&renewal(1, 1, 2)).unwrap();
    enrolment.admit(id(1), key(2)).unwrap();
    enrolment.renew(&renewal(1, 1, 2)).unwrap();
    enrolment.renew(&renewal(2, 2, 3)).unwrap();
    assert!(matches!(enrolment.renew(&renewal(2, 2, 66)), Err(RenewalDenied::Copied { .. })));
}

#[test]
fn exclusion_is_never_weakened() {
    use EnrolmentStatus::{Active, Banned, Locked, Removed};
    for (before, asked, after) in [
        (Banned, Removed, Banned),
        (Banned, Locked, Banned),
        (Banned, Active, Banned),
        (Removed, Locked, Removed),
        (Removed, Active, Removed),
        (Locked, Active, Locked),
        (Locked, Removed, Removed),
        (Removed, Banned, Banned),
    ] {
        let mut enrolment = joined();
        enrolment.exclude_at_least(id(1), before).unwrap();
        let change = enrolment.exclude_at_least(id(1), asked).unwrap();
        assert_eq!(enrolment.worker(id(1)).unwrap().status, after, "{before:?}, then {asked:?}");
        assert_eq!(change == AdmissionChange::Changed, before != after);
    }
}

#[test]
fn exclusion_of_a_former_worker_leaves_its_successor() {
    let mut enrolment = joined();
    enrolment.exclude_at_least(id(1), EnrolmentStatus::Removed).unwrap();
    join(&mut enrolment, 0, key(1), 2).unwrap();
    enrolment.exclude_at_least(id(1), EnrolmentStatus::Banned).unwrap();
    assert_eq!(enrolment.active_with(key(1)), Some(id(2)));
}

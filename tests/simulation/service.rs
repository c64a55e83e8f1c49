//! The services behind the components: what a call brings, and after how long.

use std::sync::Arc;

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{CallOutcome, FilePayload, Lease, ProviderCall};
use deputy_core::{CallFailure, SecretBytes, Span, Timestamp, TokenExpiry, Tokens};
use deputy_test_support::payload_kind;
use fastrand::Rng;

use crate::generate::{millis, once_in};

/// The longest time that a call takes: then its limits end it.
pub(crate) const LONGEST_CALL: u64 = 60_000;

/// How a service behaves for a while.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    Good,
    Fails(CallFailure),
    Flaky,
    Hangs,
}

/// What a service says about how long its tokens live.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StatedExpiry {
    Life,
    Nothing,
    Past,
    Forever,
    Never,
    Moment,
}

/// What the world has for one instance, whatever the configuration says.
pub(crate) struct Instance {
    pub(crate) mood: Mood,
    pub(crate) life: u64,
    pub(crate) stated: StatedExpiry,
    /// After how long it has something newer, if it says so.
    pub(crate) rotation: Option<u64>,
    /// For how long it prolongs what it issued, if it says so.
    pub(crate) prolongs: Option<u64>,
    pub(crate) file: Option<FilePayload>,
    pub(crate) users: u32,
}

impl Instance {
    pub(crate) fn new(dice: &mut Rng) -> Self {
        let mood = if once_in(dice, 3) { mood(dice) } else { Mood::Good };
        let stated = [
            StatedExpiry::Life,
            StatedExpiry::Life,
            StatedExpiry::Life,
            StatedExpiry::Life,
            StatedExpiry::Nothing,
            StatedExpiry::Past,
            StatedExpiry::Never,
        ][dice.usize(..7)];
        let life = millis(dice, 20_000, 14_400_000);
        let rotation = once_in(dice, 4).then(|| millis(dice, 1000, life));
        let prolongs = once_in(dice, 4).then(|| millis(dice, life / 2, 10 * life));
        Self { mood, life, stated, rotation, prolongs, file: None, users: 0 }
    }

    /// What a call comes to, and after how many milliseconds. `right` is the service's own clock.
    pub(crate) fn answer(
        &self,
        dice: &mut Rng,
        work: &ProviderCall,
        right: Timestamp,
        payload: u64,
    ) -> (u64, CallOutcome) {
        let quick = millis(dice, 1, 2000);
        match self.mood {
            Mood::Hangs => (LONGEST_CALL, failed(CallFailure::new(FailureKind::OverLimit, ""))),
            Mood::Fails(ref failure) => (quick, failed(failure.clone())),
            Mood::Flaky if dice.bool() => (millis(dice, 1, LONGEST_CALL), failed(call_failure(dice))),
            Mood::Flaky if once_in(dice, 10) && matches!(work, ProviderCall::Obtain) => {
                (quick, CallOutcome::NotRequired)
            }
            Mood::Good | Mood::Flaky => match work {
                ProviderCall::Revoke(_) => (quick, CallOutcome::Revoked),
                ProviderCall::Renew(old) if once_in(dice, 5) => (quick, self.tokens(payload, Some(old), true, right)),
                ProviderCall::Renew(old) => (quick, self.tokens(payload, Some(old), false, right)),
                ProviderCall::Obtain => (quick, self.tokens(payload, None, false, right)),
            },
        }
    }

    fn tokens(&self, payload: u64, renewed: Option<&Lease>, ends_alike: bool, right: Timestamp) -> CallOutcome {
        let stated = match self.stated {
            StatedExpiry::Life => Some(right.plus(Span::millis(self.life))),
            StatedExpiry::Nothing => None,
            StatedExpiry::Past => Some(right.minus(Span::millis(self.life))),
            StatedExpiry::Never => None,
            StatedExpiry::Forever => Some(Timestamp::from_millis(u64::MAX - 1)),
            StatedExpiry::Moment => Some(right.plus(Span::millis(2100))),
        };
        let renewable_until = match renewed {
            Some(old) => old.renewable_until,
            None => self.prolongs.map(|span| right.plus(Span::millis(span))),
        };
        let same_end = renewed.filter(|_| ends_alike).map(|old| old.valid_until);
        let end = same_end.or(stated).map(|end| renewable_until.map_or(end, |most| end.min(most)));
        let expiry = match (end, self.stated) {
            (Some(end), _) => TokenExpiry::At(end),
            (None, StatedExpiry::Never) => TokenExpiry::Never,
            (None, _) => TokenExpiry::Unknown,
        };
        let next_at = self.rotation.map(|span| right.plus(Span::millis(span)));
        let tokens = Tokens::new(payload_kind(), bytes(payload));
        CallOutcome::Obtained(Tokens { expiry, next_at, renewable_until, ..tokens })
    }
}

pub(crate) fn bytes(payload: u64) -> SecretBytes {
    SecretBytes::new(payload.to_be_bytes().to_vec())
}

/// The number of a payload: the later ones are greater.
pub(crate) fn payload(lease: &Lease) -> u64 {
    number(&lease.payload)
}

pub(crate) fn number(payload: &SecretBytes) -> u64 {
    u64::from_be_bytes(payload.expose().try_into().unwrap())
}

fn failed(failure: CallFailure) -> CallOutcome {
    CallOutcome::Failed(failure)
}

fn call_failure(dice: &mut Rng) -> CallFailure {
    let kinds = FailureKind::ALL;
    let kind = if once_in(dice, 3) { FailureKind::Throttled } else { kinds[dice.usize(..kinds.len())] };
    let retry_after = match kind {
        FailureKind::Throttled if once_in(dice, 6) => Some(Span::secs(1_000_000)),
        FailureKind::Throttled => Some(Span::millis(millis(dice, 1, 200_000))),
        FailureKind::Attention if dice.bool() => Some(Span::millis(millis(dice, 1, 200_000))),
        _ => None,
    };
    CallFailure { retry_after, ..CallFailure::new(kind, "") }
}

pub(crate) fn mood(dice: &mut Rng) -> Mood {
    match dice.u8(..8) {
        0..=2 => Mood::Good,
        3..=4 => Mood::Flaky,
        5..=6 => Mood::Fails(call_failure(dice)),
        _ => Mood::Hangs,
    }
}

/// What a file holds now: something new, something old, or nothing that is good.
pub(crate) fn file(dice: &mut Rng, now: Timestamp, payload: u64) -> Option<FilePayload> {
    let age = Span::millis(millis(dice, 1, 3_600_000));
    let since = if dice.bool() { now } else { now.minus(age) };
    let life = Span::millis(millis(dice, 10_000, 7_200_000));
    let payload = Arc::new(bytes(payload));
    let digest = deputy_test_support::digest_of(payload.expose());
    let found = FilePayload { payload, digest, since, valid_until: since.plus(life) };
    (!once_in(dice, 4)).then_some(found)
}

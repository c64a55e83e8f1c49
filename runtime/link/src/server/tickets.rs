//! Tickets, with which a worker comes back at a fraction of the cost of its first handshake.
//!
//! A ticket is what TLS would otherwise remember of a worker, sealed with a key that follows from the authority's own and
//! the time of day. So nothing is kept: whoever serves as this authority, after a restart or beside another coordinator,
//! reads what the others gave out. A key seals for six hours and opens for six more, and none outlives its authority.
//!
//! A ticket says who somebody was. Whether it is still let in is asked of the book each time, and the connection's own keys
//! come from a fresh exchange (RFC 8446, 2.2: `psk_dhe_ke`): who learns a key of tickets reads no connection.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use deputy_core::time::Clock;

/// Seals and opens tickets.
pub(super) struct SessionTickets {
    root: Prk,
    clock: Arc<dyn Clock>,
    /// Those that were made, by their numbers: of the present period, and of the one before.
    keys: RwLock<BTreeMap<Number, Arc<LessSafeKey>>>,
}

/// How long a key seals, in seconds; and how long a worker is told that its ticket is good.
const PERIOD: u32 = 6 * 3600;

/// Which key a ticket is sealed with: the number of its period since 1970, the greatest byte first. What is sealed vouches
/// for it.
type Number = [u8; 8];

impl SessionTickets {
    /// With keys that follow from `secret`, which is as long as a key.
    pub(super) fn new(secret: &[u8], clock: Arc<dyn Clock>) -> Self {
        Self { root: Salt::new(HKDF_SHA256, &[]).extract(secret), clock, keys: RwLock::default() }
    }

    fn period(&self) -> u64 {
        self.clock.now().wall.as_secs() / u64::from(PERIOD)
    }

    fn key(&self, number: Number) -> Option<Arc<LessSafeKey>> {
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Some(Arc::clone(key));
        }
        let info: [&[u8]; 2] = [b"deputy ticket", &number];
        let key = Arc::new(LessSafeKey::new(self.root.expand(&info, &AES_256_GCM).ok()?.into()));
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(number, Arc::clone(&key));
        while keys.len() > 2 {
            keys.pop_first();
        }
        Some(key)
    }
}

impl ProducesTickets for SessionTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD
    }

    #[expect(clippy::disallowed_methods, reason = "no ticket may have another one's nonce")]
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let number = self.period().to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        // Of the right size from the start: what grows leaves copies behind.
        let mut ticket = Vec::with_capacity(number.len() + nonce.len() + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&number);
        ticket.extend_from_slice(&nonce);
        let (head, nonce) = (ticket.len(), Nonce::assume_unique_for_key(nonce));
        ticket.extend_from_slice(plain);
        let sealed = ticket.get_mut(head..)?;
        let tag = self.key(number)?.seal_in_place_separate_tag(nonce, Aad::from(&number), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (number, rest) = ticket.split_first_chunk::<{ size_of::<Number>() }>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let age = self.period().checked_sub(u64::from_be_bytes(*number))?;
        if age > 1 {
            return None;
        }
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key(*number)?.open_in_place(nonce, Aad::from(number), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl std::fmt::Debug for SessionTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tickets")
    }
}

#[cfg(test)]
mod tests {
    use deputy_core::Timestamp;
    use deputy_core::time::{MonotonicTime, Now};

    use super::*;

    const HOUR: u64 = 3600;

    fn by(secret: &[u8], hour: u64) -> SessionTickets {
        SessionTickets::new(
            secret,
            Arc::new(move || Now {
                mono: MonotonicTime::default(),
                wall: Timestamp::from_millis((60 + hour) * HOUR * 1000),
            }),
        )
    }

    /// Of one authority, at this hour since a period began.
    fn at(hour: u64) -> SessionTickets {
        by(&[7; 32], hour)
    }

    #[test]
    fn whoever_serves_as_the_same_authority_opens_a_ticket_and_nobody_else() {
        let ticket = at(0).encrypt(b"who it was").unwrap();
        assert_eq!(at(0).decrypt(&ticket).as_deref(), Some(&b"who it was"[..]));
        assert_eq!(by(&[8; 32], 0).decrypt(&ticket), None);
        assert!(!ticket.windows(10).any(|part| part == b"who it was"));
        assert_ne!(at(0).encrypt(b"who it was").unwrap(), ticket, "no two are alike");
    }

    #[test]
    fn a_ticket_is_good_in_its_period_and_in_the_next() {
        let ticket = at(0).encrypt(b"who it was").unwrap();
        for (hour, good) in [(5, true), (11, true), (12, false)] {
            assert_eq!(at(hour).decrypt(&ticket).is_some(), good, "{hour}");
        }
        let early = at(12).encrypt(b"who it was").unwrap();
        assert_eq!(at(0).decrypt(&early), None, "of a time that has not come");
    }

    #[test]
    fn a_ticket_that_was_changed_cut_or_given_another_number_opens_as_none() {
        let ticket = at(5).encrypt(b"who it was").unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(at(5).decrypt(&changed), None, "{place}");
            assert_eq!(at(5).decrypt(&ticket[..place]), None, "{place}");
        }
    }
}

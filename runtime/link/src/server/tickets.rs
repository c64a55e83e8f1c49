//! Session tickets, with which a worker reconnects at a fraction of the cost of its first handshake.
//!
//! A ticket holds the worker's session, sealed with a key that is derived from the authority's key and the time of day. So
//! the coordinator stores nothing, and every process that serves as this authority, after a restart or beside another
//! coordinator, reads the tickets of the others. A key seals for six hours and opens for six more. It does not outlive its
//! authority.
//!
//! A ticket only identifies a worker: each connection is admitted again. Its keys come from a fresh key exchange (RFC 8446,
//! 2.2: `psk_dhe_ke`), so a stolen ticket key decrypts no connection.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use deputy_support::RwLockUnpoisoned as _;
use rustls::server::ProducesTickets;

use deputy_core::time::Clock;

pub(super) struct SessionTickets {
    root: Prk,
    clock: Arc<dyn Clock>,
    /// The keys of the present period and of the one before.
    keys: RwLock<BTreeMap<KeyNumber, Arc<LessSafeKey>>>,
}

/// How long a key seals, and how long a ticket is valid, in seconds.
const PERIOD: u32 = 6 * 3600;

/// The number of a key: its period since 1970, in big-endian order. The seal authenticates it.
type KeyNumber = [u8; 8];

impl SessionTickets {
    /// Derives the keys from `secret`, which has the length of a key.
    pub(super) fn new(secret: &[u8], clock: Arc<dyn Clock>) -> Self {
        Self { root: Salt::new(HKDF_SHA256, &[]).extract(secret), clock, keys: RwLock::default() }
    }

    fn period(&self) -> u64 {
        self.clock.now().wall.as_secs() / u64::from(PERIOD)
    }

    fn key(&self, number: KeyNumber) -> Option<Arc<LessSafeKey>> {
        if let Some(key) = self.keys.read_unpoisoned().get(&number) {
            return Some(Arc::clone(key));
        }
        let info: [&[u8]; 2] = [b"deputy ticket", &number];
        let key = Arc::new(LessSafeKey::new(self.root.expand(&info, &AES_256_GCM).ok()?.into()));
        let mut keys = self.keys.write_unpoisoned();
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

    #[expect(clippy::disallowed_methods, reason = "each ticket needs a nonce of its own")]
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let number = self.period().to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        // With its final capacity, since reallocation leaves copies behind.
        let mut ticket = Vec::with_capacity(number.len() + nonce.len() + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&number);
        ticket.extend_from_slice(&nonce);
        let head = ticket.len();
        let nonce = Nonce::assume_unique_for_key(nonce);
        ticket.extend_from_slice(plain);
        let sealed = ticket.get_mut(head..)?;
        let tag = self.key(number)?.seal_in_place_separate_tag(nonce, Aad::from(&number), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (number, rest) = ticket.split_first_chunk::<{ size_of::<KeyNumber>() }>()?;
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
        f.write_str("SessionTickets")
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

    /// The tickets of one authority, `hour` hours after a period began.
    fn at(hour: u64) -> SessionTickets {
        by(&[7; 32], hour)
    }

    #[test]
    fn ticket_opens_under_the_same_authority_only() {
        let ticket = at(0).encrypt(b"session").unwrap();
        assert_eq!(at(0).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(by(&[8; 32], 0).decrypt(&ticket), None);
        assert!(!ticket.windows(7).any(|part| part == b"session"));
        assert_ne!(at(0).encrypt(b"session").unwrap(), ticket, "each ticket is unique");
    }

    #[test]
    fn ticket_is_valid_in_its_period_and_the_next() {
        let ticket = at(0).encrypt(b"session").unwrap();
        for (hour, good) in [(5, true), (11, true), (12, false)] {
            assert_eq!(at(hour).decrypt(&ticket).is_some(), good, "{hour}");
        }
        let early = at(12).encrypt(b"session").unwrap();
        assert_eq!(at(0).decrypt(&early), None, "the ticket is from the future");
    }

    #[test]
    fn ticket_that_was_changed_or_cut_does_not_open() {
        let ticket = at(5).encrypt(b"session").unwrap();
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(at(5).decrypt(&changed), None, "{place}");
            assert_eq!(at(5).decrypt(&ticket[..place]), None, "{place}");
        }
    }
}

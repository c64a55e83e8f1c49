//! Links that can be opened once, and the sessions that they become.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use deputy_coordinator::{PageUrl, PageUrls};
use deputy_core::time::{Clock, MonotonicTime};
use deputy_core::{Digest, Span};
use deputy_local::{ControlError, SCHEMA};
use deputy_store::Random;
use deputy_support::{LockUnpoisoned, hex, sha256};

use crate::page_address::PageAddress;

/// How long a URL can be opened.
const URL_LIFE: Span = Span::secs(300);

/// How long a session lasts.
const SESSION_LIFE: Span = Span::secs(12 * 3600);

/// Links that can be opened, and sessions, at once. Another one ends the oldest.
const MAX_URLS: usize = 16;
const MAX_SESSIONS: usize = 32;

/// Decides which browsers see the page. Keeps hashes alone, and nothing beyond the process.
pub struct PageAccess {
    pub(crate) address: PageAddress,
    random: Random,
    clock: Arc<dyn Clock>,
    state: Mutex<AccessState>,
}

#[derive(Default)]
struct AccessState {
    urls: Tokens,
    sessions: Tokens,
}

/// Hashes of tokens with their ends, the oldest first.
#[derive(Default)]
struct Tokens(VecDeque<(Digest, MonotonicTime)>);

impl PageAccess {
    /// The page at this address.
    pub fn new(address: PageAddress, random: Random, clock: Arc<dyn Clock>) -> Self {
        Self { address, random, clock, state: Mutex::default() }
    }

    /// Uses a URL up. Returns the token of a new session, unless it is unknown, used or too old.
    pub(crate) fn open(&self, token: &str) -> Option<String> {
        let session = self.token()?;
        let now = self.clock.now().mono;
        let mut state = self.state.lock_unpoisoned();
        if !state.urls.remove(&sha256(token.as_bytes()), now) {
            return None;
        }
        state.sessions.add(sha256(session.as_bytes()), now, SESSION_LIFE, MAX_SESSIONS);
        Some(session)
    }

    /// Whether a session has this token.
    pub(crate) fn admits(&self, session: &str) -> bool {
        let now = self.clock.now().mono;
        self.state.lock_unpoisoned().sessions.has(&sha256(session.as_bytes()), now)
    }

    /// 256 random bits.
    fn token(&self) -> Option<String> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes).ok()?;
        Some(hex(&bytes))
    }
}

impl PageUrls for PageAccess {
    fn url(&self) -> Result<PageUrl, ControlError> {
        if !self.address.is_open() {
            return Err(ControlError::new("misconfigured", &self.address.closed_reason()));
        }
        let token = self.token().ok_or_else(|| ControlError::new("internal", "no random numbers"))?;
        let now = self.clock.now().mono;
        self.state.lock_unpoisoned().urls.add(sha256(token.as_bytes()), now, URL_LIFE, MAX_URLS);
        Ok(PageUrl { schema: SCHEMA, url: self.address.url(&token), expires_in_ms: URL_LIFE.as_millis() })
    }
}

impl Tokens {
    fn add(&mut self, hash: Digest, now: MonotonicTime, life: Span, limit: usize) {
        self.forget_ended(now);
        while self.0.len() >= limit {
            self.0.pop_front();
        }
        self.0.push_back((hash, now.plus(life)));
    }

    fn has(&mut self, hash: &Digest, now: MonotonicTime) -> bool {
        self.forget_ended(now);
        self.0.iter().any(|(known, _)| known == hash)
    }

    fn remove(&mut self, hash: &Digest, now: MonotonicTime) -> bool {
        let is_known = self.has(hash, now);
        self.0.retain(|(known, _)| known != hash);
        is_known
    }

    fn forget_ended(&mut self, now: MonotonicTime) {
        self.0.retain(|(_, end)| now < *end);
    }
}

#[cfg(test)]
mod tests;

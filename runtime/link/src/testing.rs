//! What tests of both ends have in common: an authority, and workers that it knows.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::{Span, Timestamp};

use crate::client::{Client, Keep, Link, Options};
use crate::message::Certified;
use crate::name::WorkerId;
use crate::{Authority, Held, Identity, Key, Lives, Requested};

pub(crate) const LIVES: Lives = Lives { authority: Span::secs(864_000), worker: Span::secs(86_400) };

/// Keeps nothing.
pub(crate) struct Nowhere;

#[async_trait]
impl Keep for Nowhere {
    async fn keep(&self, _: &Identity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates of now")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}

/// What an authority answers to a request.
pub(crate) fn certified(authority: &Authority, now: Timestamp, sequence: u64, request: &[u8]) -> Certified {
    let worker = WorkerId::from_bytes([7; 8]);
    Certified {
        certificate: authority.certify(now, worker, &Requested::new(request).unwrap()).unwrap().to_vec(),
        worker: worker.to_string(),
        group: "analytics".to_owned(),
        sequence,
        authorities: authority.trusted().iter().map(|der| der.to_vec()).collect(),
    }
}

/// A worker that was certified at that time.
pub(crate) fn identity(authority: &Authority, now: Timestamp, address: String) -> Identity {
    let key = Key::new().unwrap();
    Identity::new(certified(authority, now, 0, &key.request().unwrap()), key, address).unwrap()
}

pub(crate) fn client(identity: Identity, keep: Arc<dyn Keep>) -> (Client, Link) {
    Client::new(Options {
        identity,
        keep,
        wanted: BTreeSet::new(),
        held: Held::default(),
        version: String::new(),
        host: String::new(),
        clock: now,
        seed: 1,
    })
}

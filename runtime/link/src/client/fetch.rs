//! Fetching components.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use deputy_core::Digest;
use deputy_support::sha256;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::message::ComponentChunk;
use crate::protocol_error::ProtocolError;

/// A component could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The coordinator refused.
    #[error("{0}")]
    Refused(ProtocolError),
    /// The bytes do not have the requested digest.
    #[error("the coordinator sent data that is not the component {0}")]
    Digest(Digest),
    /// The component is too large.
    #[error("the component {0} is larger than 256 MiB, the limit for a component")]
    Size(Digest),
    /// The coordinator is connected, and sends nothing of the component.
    #[error("the coordinator is connected but stopped sending the component {0}")]
    Stalled(Digest),
    /// The client has stopped.
    #[error("the connection to the coordinator closed")]
    Stopped,
}

/// Where a fetched component goes.
pub(super) type FetchReply = oneshot::Sender<Result<Bytes, FetchError>>;

const MAX_COMPONENT: u64 = 256 << 20;

/// How long a connected coordinator may send nothing of a requested component. The receiver cannot run meanwhile.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Fetches {
    by_digest: BTreeMap<Digest, Fetch>,
    chunk_timeout: Duration,
}

struct Fetch {
    bytes: Vec<u8>,
    waiting: Vec<FetchReply>,
    /// When it was requested, or when the last chunk arrived.
    last_progress: Instant,
}

impl Default for Fetches {
    fn default() -> Self {
        Self::new(CHUNK_TIMEOUT)
    }
}

impl Fetches {
    pub(super) fn new(chunk_timeout: Duration) -> Self {
        Self { by_digest: BTreeMap::new(), chunk_timeout }
    }

    /// Adds a request. Returns whether it is the first for this component, and must be sent.
    pub(super) fn add(&mut self, digest: Digest, reply: FetchReply, now: Instant) -> bool {
        let fetch = self.by_digest.entry(digest).or_insert_with(|| Fetch {
            bytes: Vec::new(),
            waiting: Vec::new(),
            last_progress: now,
        });
        fetch.waiting.push(reply);
        fetch.waiting.len() == 1
    }

    /// Starts all fetches again on a new connection. Returns what to request.
    pub(super) fn restart(&mut self, now: Instant) -> Vec<Digest> {
        for fetch in self.by_digest.values_mut() {
            fetch.bytes.clear();
            fetch.last_progress = now;
        }
        self.by_digest.keys().copied().collect()
    }

    /// When the next fetch expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.by_digest.values().map(|fetch| fetch.last_progress + self.chunk_timeout).min()
    }

    /// Ends fetches without progress.
    pub(super) fn expire(&mut self, now: Instant) {
        let stalled = self.by_digest.iter().filter(|(_, fetch)| now >= fetch.last_progress + self.chunk_timeout);
        let stalled: Vec<Digest> = stalled.map(|(digest, _)| *digest).collect();
        stalled.into_iter().for_each(|digest| self.end(digest, &Err(FetchError::Stalled(digest))));
    }

    pub(super) fn add_chunk(&mut self, chunk: &ComponentChunk, now: Instant) {
        let Ok(wanted) = <[u8; 32]>::try_from(chunk.digest.as_slice()).map(Digest::new) else { return };
        let Some(fetch) = self.by_digest.get_mut(&wanted) else { return };
        // An empty chunk is no progress.
        if !chunk.bytes.is_empty() {
            fetch.last_progress = now;
        }
        fetch.bytes.extend_from_slice(&chunk.bytes);
        let length = fetch.bytes.len() as u64;
        if length > chunk.size || chunk.size > MAX_COMPONENT {
            self.end(wanted, &Err(FetchError::Size(wanted)));
        } else if length == chunk.size {
            let bytes = Bytes::from(std::mem::take(&mut fetch.bytes));
            let same = sha256(&bytes) == wanted;
            self.end(wanted, &if same { Ok(bytes) } else { Err(FetchError::Digest(wanted)) });
        }
    }

    /// Ends the fetch that was refused. Returns whether the refusal was about a fetch.
    pub(super) fn refuse(&mut self, refusal: &ProtocolError) -> bool {
        let wanted = refusal.subject.parse().ok().filter(|digest| self.by_digest.contains_key(digest));
        if let Some(digest) = wanted {
            self.end(digest, &Err(FetchError::Refused(refusal.clone())));
        }
        wanted.is_some()
    }

    fn end(&mut self, digest: Digest, result: &Result<Bytes, FetchError>) {
        let waiting = self.by_digest.remove(&digest).map(|fetch| fetch.waiting).unwrap_or_default();
        for reply in waiting {
            // The requester may have stopped waiting.
            reply.send(result.clone()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_support::timer_now;

    const COMPONENT: &[u8] = b"component";

    fn wanted() -> Digest {
        sha256(COMPONENT)
    }

    fn chunk(bytes: &[u8]) -> ComponentChunk {
        ComponentChunk { digest: wanted().as_bytes().to_vec(), size: COMPONENT.len() as u64, bytes: bytes.to_vec() }
    }

    #[test]
    fn fetch_expires_after_a_minute_without_progress() {
        let start = timer_now();
        let mut fetches = Fetches::default();
        let at = |secs| start + Duration::from_secs(secs);
        let (reply, mut result) = oneshot::channel();
        assert_eq!(fetches.deadline(), None);
        assert!(fetches.add(wanted(), reply, start));
        assert_eq!(fetches.deadline(), Some(at(60)));
        fetches.expire(at(59));
        fetches.add_chunk(&chunk(b"comp"), at(59));
        fetches.add_chunk(&chunk(b""), at(100));
        assert_eq!(fetches.deadline(), Some(at(119)));
        fetches.expire(at(118));
        assert!(result.try_recv().is_err());
        fetches.expire(at(119));
        assert!(matches!(result.try_recv().unwrap(), Err(FetchError::Stalled(stalled)) if stalled == wanted()));
        assert_eq!(fetches.deadline(), None);
        // It can be requested again.
        let (reply, mut result) = oneshot::channel();
        assert!(fetches.add(wanted(), reply, at(200)));
        fetches.add_chunk(&chunk(COMPONENT), at(201));
        assert_eq!(result.try_recv().unwrap().unwrap(), COMPONENT);
    }

    #[test]
    fn fetch_timeout_starts_again_on_a_new_connection() {
        let start = timer_now();
        let mut fetches = Fetches::default();
        let (reply, mut result) = oneshot::channel();
        assert!(fetches.add(wanted(), reply, start));
        let later = start + Duration::from_secs(3600);
        assert_eq!(fetches.restart(later), [wanted()]);
        fetches.expire(later);
        assert!(result.try_recv().is_err());
        assert_eq!(fetches.deadline(), Some(later + Duration::from_secs(60)));
    }
}

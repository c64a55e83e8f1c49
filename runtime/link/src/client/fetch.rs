//! Components on their way to the worker.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use deputy_core::Digest;
use tokio::time::Instant;

use super::Answer;
use crate::message::ComponentChunk;
use crate::protocol_error::ProtocolError;

/// A component did not come.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The coordinator's word.
    #[error("{0}")]
    Refused(ProtocolError),
    /// What came is something else.
    #[error("the coordinator sent data that is not the component {0}")]
    Digest(Digest),
    /// It is larger than any component should be.
    #[error("the component {0} is larger than 256 MiB, the limit for a component")]
    Size(Digest),
    /// The coordinator is there, and nothing of it comes.
    #[error("the coordinator is connected but stopped sending the component {0}")]
    Stalled(Digest),
    /// The client has stopped.
    #[error("the connection to the coordinator closed")]
    Stopped,
}

const LARGEST: u64 = 256 << 20;

/// How long a coordinator that is there may send nothing of what was asked for. Who waits for it can do nothing else
/// meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// Those under way.
pub(super) struct Fetches {
    under_way: BTreeMap<Digest, Fetch>,
    patience: Duration,
}

struct Fetch {
    bytes: Vec<u8>,
    waiting: Vec<Answer>,
    /// When it was asked for, or when something of it came last.
    moved: Instant,
}

impl Default for Fetches {
    fn default() -> Self {
        Self::new(PATIENCE)
    }
}

impl Fetches {
    /// None yet.
    pub(super) fn new(patience: Duration) -> Self {
        Self { under_way: BTreeMap::new(), patience }
    }

    /// Somebody waits for it; whether it is to be asked for.
    pub(super) fn add(&mut self, digest: Digest, answer: Answer, now: Instant) -> bool {
        let fresh = || Fetch { bytes: Vec::new(), waiting: Vec::new(), moved: now };
        let fetch = self.under_way.entry(digest).or_insert_with(fresh);
        fetch.waiting.push(answer);
        fetch.waiting.len() == 1
    }

    /// On a new connection all begins anew: what is to be asked for.
    pub(super) fn restart(&mut self, now: Instant) -> Vec<Digest> {
        for fetch in self.under_way.values_mut() {
            fetch.bytes.clear();
            fetch.moved = now;
        }
        self.under_way.keys().copied().collect()
    }

    /// When the next one is given up, if nothing comes of it.
    pub(super) fn due(&self) -> Option<Instant> {
        self.under_way.values().map(|fetch| fetch.moved + self.patience).min()
    }

    /// Gives up those of which nothing came for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let stalled = self.under_way.iter().filter(|(_, fetch)| now >= fetch.moved + self.patience);
        let stalled: Vec<Digest> = stalled.map(|(digest, _)| *digest).collect();
        stalled.into_iter().for_each(|digest| self.end(digest, &Err(FetchError::Stalled(digest))));
    }

    /// A piece has come.
    pub(super) fn piece(&mut self, piece: &ComponentChunk, now: Instant) {
        let Ok(wanted) = <[u8; 32]>::try_from(piece.digest.as_slice()).map(Digest::new) else { return };
        let Some(fetch) = self.under_way.get_mut(&wanted) else { return };
        // Nothing is not a piece.
        if !piece.bytes.is_empty() {
            fetch.moved = now;
        }
        fetch.bytes.extend_from_slice(&piece.bytes);
        let length = fetch.bytes.len() as u64;
        if length > piece.size || piece.size > LARGEST {
            self.end(wanted, &Err(FetchError::Size(wanted)));
        } else if length == piece.size {
            let bytes = Bytes::from(std::mem::take(&mut fetch.bytes));
            let same = digest(&SHA256, &bytes).as_ref() == wanted.as_bytes();
            self.end(wanted, &if same { Ok(bytes) } else { Err(FetchError::Digest(wanted)) });
        }
    }

    /// The coordinator said no; whether that was to one of these.
    pub(super) fn refused(&mut self, refusal: &ProtocolError) -> bool {
        let wanted = refusal.subject.parse().ok().filter(|digest| self.under_way.contains_key(digest));
        if let Some(digest) = wanted {
            self.end(digest, &Err(FetchError::Refused(refusal.clone())));
        }
        wanted.is_some()
    }

    fn end(&mut self, digest: Digest, result: &Result<Bytes, FetchError>) {
        let waiting = self.under_way.remove(&digest).map(|fetch| fetch.waiting).unwrap_or_default();
        // Who asked may have gone.
        waiting.into_iter().for_each(|answer| drop(answer.send(result.clone())));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use deputy_support::timer_now;

    const COMPONENT: &[u8] = b"component";

    fn wanted() -> Digest {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, COMPONENT).as_ref());
        Digest::new(hash)
    }

    fn piece(bytes: &[u8]) -> ComponentChunk {
        ComponentChunk { digest: wanted().as_bytes().to_vec(), size: COMPONENT.len() as u64, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_component_is_given_up_when_nothing_of_it_came_for_a_minute_and_pieces_of_nothing_are_nothing() {
        let (begun, mut fetches) = (timer_now(), Fetches::default());
        let at = |secs| begun + Duration::from_secs(secs);
        let (answer, mut answered) = oneshot::channel();
        assert_eq!(fetches.due(), None);
        assert!(fetches.add(wanted(), answer, begun));
        assert_eq!(fetches.due(), Some(at(60)));
        fetches.expire(at(59));
        fetches.piece(&piece(b"comp"), at(59));
        fetches.piece(&piece(b""), at(100));
        assert_eq!(fetches.due(), Some(at(119)));
        fetches.expire(at(118));
        assert!(answered.try_recv().is_err());
        fetches.expire(at(119));
        assert!(matches!(answered.try_recv().unwrap(), Err(FetchError::Stalled(stalled)) if stalled == wanted()));
        assert_eq!(fetches.due(), None);
        // It can be asked for again.
        let (answer, mut answered) = oneshot::channel();
        assert!(fetches.add(wanted(), answer, at(200)));
        fetches.piece(&piece(COMPONENT), at(201));
        assert_eq!(answered.try_recv().unwrap().unwrap(), COMPONENT);
    }

    #[test]
    fn the_time_without_a_coordinator_does_not_count() {
        let (begun, mut fetches) = (timer_now(), Fetches::default());
        let (answer, mut answered) = oneshot::channel();
        assert!(fetches.add(wanted(), answer, begun));
        let later = begun + Duration::from_secs(3600);
        assert_eq!(fetches.restart(later), [wanted()]);
        fetches.expire(later);
        assert!(answered.try_recv().is_err());
        assert_eq!(fetches.due(), Some(later + Duration::from_secs(60)));
    }
}

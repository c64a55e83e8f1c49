//! Components on their way to the worker.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use deputy_core::Digest;

use super::Answer;
use crate::message::Piece;
use crate::refusal::Refusal;

/// A component did not come.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The coordinator's word.
    #[error("{0}")]
    Refused(Refusal),
    /// What came is something else.
    #[error("the coordinator sent something else than the component {0}")]
    Digest(Digest),
    /// It is larger than any component should be.
    #[error("the component {0} is larger than 256 MiB, which no component needs")]
    Size(Digest),
    /// The client has stopped.
    #[error("there is no connection to the coordinator any more")]
    Stopped,
}

const LARGEST: u64 = 256 << 20;

/// Those under way.
#[derive(Default)]
pub(super) struct Fetches(BTreeMap<Digest, Fetch>);

#[derive(Default)]
struct Fetch {
    bytes: Vec<u8>,
    waiting: Vec<Answer>,
}

impl Fetches {
    /// Somebody waits for it; whether it is to be asked for.
    pub(super) fn add(&mut self, digest: Digest, answer: Answer) -> bool {
        let fetch = self.0.entry(digest).or_default();
        fetch.waiting.push(answer);
        fetch.waiting.len() == 1
    }

    /// On a new connection all begins anew: what is to be asked for.
    pub(super) fn restart(&mut self) -> Vec<Digest> {
        self.0.values_mut().for_each(|fetch| fetch.bytes.clear());
        self.0.keys().copied().collect()
    }

    /// A piece has come.
    pub(super) fn piece(&mut self, piece: &Piece) {
        let Ok(wanted) = <[u8; 32]>::try_from(piece.digest.as_slice()).map(Digest::new) else { return };
        let Some(fetch) = self.0.get_mut(&wanted) else { return };
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
    pub(super) fn refused(&mut self, refusal: &Refusal) -> bool {
        let wanted = refusal.subject.parse().ok().filter(|digest| self.0.contains_key(digest));
        if let Some(digest) = wanted {
            self.end(digest, &Err(FetchError::Refused(refusal.clone())));
        }
        wanted.is_some()
    }

    fn end(&mut self, digest: Digest, result: &Result<Bytes, FetchError>) {
        let waiting = self.0.remove(&digest).map(|fetch| fetch.waiting).unwrap_or_default();
        // Who asked may have gone.
        waiting.into_iter().for_each(|answer| drop(answer.send(result.clone())));
    }
}

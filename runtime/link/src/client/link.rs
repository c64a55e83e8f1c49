//! What a worker or an engine uses of a running client.

use std::sync::Arc;

use bytes::Bytes;
use deputy_core::time::Clock;
use deputy_core::{AdvertisedAddresses, Digest, HostPort, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use super::fetch::{FetchError, FetchReply};
use crate::delivered_state::{DeliveredState, DeliveryReport};
use crate::protocol_error::ProtocolError;

/// The handle of a [client](super::LinkClient). Cheap to clone.
#[derive(Clone)]
pub struct Link {
    /// What the coordinator delivered.
    pub held: watch::Receiver<Arc<DeliveredState>>,
    /// The state of the connection.
    pub state: watch::Receiver<LinkState>,
    /// Takes reports about applied leases.
    pub reports: mpsc::Sender<DeliveryReport>,
    /// The clock that decides whether a lease has expired.
    pub clock: Arc<dyn Clock>,
    pub(super) fetch_requests: mpsc::Sender<(Digest, FetchReply)>,
}

/// The state of the connection.
#[derive(Debug, Clone)]
pub struct LinkState {
    /// What the client does.
    pub phase: LinkPhase,
    /// The address that the client is connected to, or tried last.
    pub address: Option<HostPort>,
    /// All addresses that it knows.
    pub addresses: AdvertisedAddresses,
    /// When the phase began.
    pub since: Timestamp,
    /// When the last message of the coordinator arrived.
    pub last_message: Option<Timestamp>,
    /// Why the last connection ended or failed.
    pub error: Option<String>,
    /// Failed attempts since the last connection.
    pub failures: u32,
    /// The end of the worker's certificate.
    pub certificate_ends: Timestamp,
    /// What the coordinator refused on the present connection.
    pub refusals: Vec<ProtocolError>,
}

/// What the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPhase {
    /// It connects, or waits before the next attempt.
    Connecting,
    /// It is connected and has the whole snapshot.
    Connected,
    /// The coordinator does not admit it, or its certificate has expired: it has to join again.
    Rejected,
}

impl Link {
    /// Fetches the component with this digest. Waits for a coordinator that is away, but not for long for one that is
    /// connected and sends nothing of it.
    ///
    /// # Errors
    /// If the coordinator refuses, sends something else, or the client has stopped.
    pub async fn fetch(&self, digest: Digest) -> Result<Bytes, FetchError> {
        let (reply, result) = oneshot::channel();
        self.fetch_requests.send((digest, reply)).await.map_err(|_| FetchError::Stopped)?;
        result.await.map_err(|_| FetchError::Stopped)?
    }
}

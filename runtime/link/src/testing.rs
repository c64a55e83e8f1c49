//! Helpers for tests of both sides: an authority and workers that it certified.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use deputy_core::time::Clock;
use deputy_core::{AdvertisedAddresses, HostPort, Span, Timestamp};
use deputy_support::SystemClock;

pub(crate) use crate::client::NoIdentityStore;
use crate::client::{ClientOptions, IdentityStore, Link, LinkClient};
use crate::message::Certified;
use crate::name::WorkerId;
use crate::{Authority, CertificateLifetimes, CertificateRequest, DeliveredState, WorkerIdentity, WorkerKey};

pub(crate) const LIVES: CertificateLifetimes =
    CertificateLifetimes { authority: Span::secs(864_000), worker: Span::secs(86_400) };

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

pub(crate) fn now() -> Timestamp {
    SystemClock::wall()
}

/// An authority's answer to a certificate request of the usual worker.
pub(crate) fn certified(authority: &Authority, now: Timestamp, sequence: u64, request: &[u8]) -> Certified {
    certified_worker(authority, now, sequence, request, WorkerId::from_bytes([7; 8]))
}

fn certified_worker(
    authority: &Authority,
    now: Timestamp,
    sequence: u64,
    request: &[u8],
    worker: WorkerId,
) -> Certified {
    Certified {
        certificate: authority.certify(now, worker, &CertificateRequest::new(request).unwrap()).unwrap().to_vec(),
        worker: worker.to_string(),
        group: "analytics".to_owned(),
        sequence,
        authorities: authority.trusted().iter().map(|der| der.to_vec()).collect(),
    }
}

/// What a worker knows that finds coordinators here.
pub(crate) fn addresses(addresses: &[SocketAddr]) -> AdvertisedAddresses {
    AdvertisedAddresses::new(addresses.iter().map(|address| HostPort::of(*address).unwrap()).collect()).unwrap()
}

/// One of many workers.
pub(crate) fn numbered_identity(authority: &Authority, number: u8, addresses: AdvertisedAddresses) -> WorkerIdentity {
    let (key, worker) = (WorkerKey::new().unwrap(), WorkerId::from_bytes([number; 8]));
    let certified = certified_worker(authority, now(), 0, &key.request().unwrap(), worker);
    WorkerIdentity::new(certified, key, addresses).unwrap()
}

/// A worker that was certified at `now`.
pub(crate) fn identity(authority: &Authority, now: Timestamp, addresses: AdvertisedAddresses) -> WorkerIdentity {
    let key = WorkerKey::new().unwrap();
    WorkerIdentity::new(certified(authority, now, 0, &key.request().unwrap()), key, addresses).unwrap()
}

pub(crate) fn client(identity: WorkerIdentity, identity_store: Arc<dyn IdentityStore>) -> (LinkClient, Link) {
    LinkClient::new(ClientOptions {
        identity,
        identity_store,
        instances: BTreeSet::new(),
        held: DeliveredState::default(),
        version: String::new(),
        host: String::new(),
        clock: clock(),
        seed: 1,
    })
}

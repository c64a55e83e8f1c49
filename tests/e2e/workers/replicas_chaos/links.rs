//! Workers that are a link alone, many in one process: the product's own client, which reports what it was given as applied.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use deputy_core::grant::Host;
use deputy_core::{Delivery, InstanceName, LeaseVersion};
use deputy_link::client::{ClientOptions, IdentityStore, Link, LinkClient, LinkPhase, join_until};
use deputy_link::{DeliveredState, DeliveryReport, JoinString, WorkerIdentity, WorkerKey};
use deputy_support::SystemClock;
use deputy_test_harness::PATIENCE;
use tokio::runtime::{Builder, Runtime};

use super::history::Credential;
use crate::workers::unit::Payload;

/// All of them. They end with this.
pub(super) struct LinkWorkers {
    links: Vec<LinkWorker>,
    runtime: Runtime,
}

pub(super) struct LinkWorker(Link);

/// They run for as long as the test.
struct NoStore;

#[async_trait]
impl IdentityStore for NoStore {
    async fn save(&self, _: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

impl LinkWorkers {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { links: Vec::new(), runtime }
    }

    /// Has another one join, and stay connected.
    pub(super) fn join(&mut self, name: &str, string: &str) {
        let string: JoinString = string.trim().parse().unwrap();
        let seed = self.links.len() as u64;
        let key = WorkerKey::new().unwrap();
        let identity = self.runtime.block_on(join_until(&string, &key, Some(PATIENCE), seed, |_| {})).unwrap();
        let (client, link) = LinkClient::new(ClientOptions {
            identity,
            identity_store: Arc::new(NoStore),
            instances: [].into(),
            held: DeliveredState::default(),
            version: "chaos".to_owned(),
            host: name.to_owned(),
            clock: Arc::new(SystemClock::default()),
            seed,
        });
        self.runtime.spawn(client.run());
        self.runtime.spawn(report(link.clone()));
        self.links.push(LinkWorker(link));
    }

    pub(super) fn all(&self) -> &[LinkWorker] {
        &self.links
    }
}

/// Reports each lease once, as an engine does that uses it.
async fn report(mut link: Link) {
    let mut reported: BTreeMap<InstanceName, LeaseVersion> = BTreeMap::new();
    while link.held.changed().await.is_ok() {
        let held = link.held.borrow_and_update().clone();
        for Delivery { instance, stamp, .. } in held.deliveries.values() {
            let (instance, stamp) = (instance.clone(), *stamp);
            if reported.insert(instance.clone(), stamp) != Some(stamp)
                && link.reports.send(DeliveryReport { instance, stamp, result: Ok(()) }).await.is_err()
            {
                return;
            }
        }
    }
}

impl LinkWorker {
    /// The machine of the coordinator that it is connected to.
    pub(super) fn host(&self) -> Option<Ipv4Addr> {
        let state = self.0.state.borrow();
        match state.address.as_ref().filter(|_| state.phase == LinkPhase::Connected)?.host {
            Host::Address(IpAddr::V4(address)) => Some(address),
            _ => None,
        }
    }

    /// What it holds of each instance.
    pub(super) fn credentials(&self) -> BTreeMap<String, Credential> {
        let held = self.0.held.borrow().clone();
        held.deliveries.values().map(|delivery| (delivery.instance.to_string(), credential(delivery))).collect()
    }
}

fn credential(delivery: &Delivery) -> Credential {
    let text = std::str::from_utf8(delivery.payload.expose()).unwrap();
    let payload = Payload::parsed(text).filter(|payload| payload.instance == delivery.instance.to_string()).unwrap();
    let revision = Some(delivery.stamp.revision.0);
    Credential { number: payload.number, until: u64::try_from(payload.until).unwrap(), revision }
}

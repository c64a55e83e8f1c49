//! The state of a coordinator, filled with the records of workers.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use deputy_core::{SecretBytes, Span};
use deputy_etcd::{EtcdClient, EtcdOptions};
use deputy_link::{EnrolledWorker, EnrolmentStatus, KeyDigest, RenewalCount, TokenId, WorkerId};
use deputy_store::{
    DirectoryStore, EtcdStore, ExpectedVersion, MasterKey, Namespace, Random, Store, StoreKey, WriteRight,
};
use deputy_support::{SystemClock, sha256};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{Place, StoreKind};
use crate::Result;

/// As many as enrolment writes at once.
const CONCURRENT_WRITES: usize = 16;

const WORKER: Namespace = Namespace::new("worker");

/// The group of all workers.
pub(crate) const GROUP: &str = "bench";

pub(crate) async fn open(place: &Place) -> Result<Arc<dyn Store>> {
    let random: Random = Arc::new(SystemRandom::new());
    let master = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8))?;
    Ok(match place.kind {
        StoreKind::Directory => Arc::new(DirectoryStore::open(Path::new(&place.at), master, random).await?),
        StoreKind::Etcd => {
            let endpoints = vec![place.at.parse()?];
            let client = EtcdClient::new(EtcdOptions { endpoints, tls: None, login: None });
            Arc::new(EtcdStore::open(client, "deputy/".parse()?, master, random).await?)
        }
    })
}

/// Writes the records of the workers with these numbers.
pub(crate) async fn fill(store: &dyn Store, numbers: Range<usize>) -> Result {
    let writes = numbers.map(|number| async move {
        let worker = worker(number)?;
        let key = StoreKey::new(&WORKER, &worker.id.to_string())?;
        let value = SecretBytes::new(serde_json::to_vec(&worker)?);
        store.put(&key, &value, ExpectedVersion::Absent, WriteRight::shared(store.write_id()?)).await?;
        Result::Ok(())
    });
    stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).try_collect().await
}

/// As a join leaves it.
fn worker(number: usize) -> Result<EnrolledWorker> {
    let digest = *sha256(&number.to_be_bytes()).as_bytes();
    let id = digest.first_chunk().ok_or("no digest")?;
    let now = SystemClock::wall();
    Ok(EnrolledWorker {
        id: WorkerId::from_bytes(*id),
        group: GROUP.parse()?,
        token: TokenId::from_bytes(*b"the-only"),
        joined_ms: now.as_millis(),
        key: KeyDigest(digest),
        previous: None,
        sequence: RenewalCount(0),
        ends_ms: now.plus(Span::secs(86_400)).as_millis(),
        status: EnrolmentStatus::Active,
    })
}

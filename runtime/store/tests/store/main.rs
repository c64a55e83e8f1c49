//! The same cases against both stores, what only etcd can do (lose its leader, its quorum, its space or its history), and
//! the writer of keys.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what fails here is a failed test")]
#![expect(clippy::disallowed_methods, reason = "a test has its own random numbers, files and times")]
#![expect(clippy::print_stdout, reason = "how long it took is of interest")]

mod conformance;
mod etcd_auth;
mod etcd_cluster;
mod etcd_single;
mod etcd_watch;
mod key_writer;

use std::sync::Arc;

use deputy_core::SecretBytes;
use deputy_etcd::{EtcdClient, EtcdOptions};
use deputy_store::{
    DirectoryStore, EtcdStore, ExpectedVersion, MasterKey, Random, Store, StoreError, StoreKey, Version, WriteRight,
};

fn random() -> Random {
    Arc::new(aws_lc_rs::rand::SystemRandom::new())
}

fn master(first: u8) -> MasterKey {
    MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8 ^ first)).unwrap()
}

fn key(text: &str) -> StoreKey {
    text.parse().unwrap()
}

fn value(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn client(endpoints: &[String]) -> EtcdClient {
    let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    EtcdClient::new(EtcdOptions { endpoints, tls: None, login: None })
}

async fn open_etcd(endpoints: &[String], prefix: &str) -> Result<EtcdStore, StoreError> {
    EtcdStore::open(client(endpoints), prefix.parse().unwrap(), master(0), random()).await
}

async fn open_directory(folder: &tempfile::TempDir) -> DirectoryStore {
    DirectoryStore::open(&folder.path().join("state"), master(0), random()).await.unwrap()
}

async fn put(store: &dyn Store, name: &str, text: &str, expected: ExpectedVersion) -> Result<Version, StoreError> {
    store.put(&key(name), &value(text), expected, WriteRight::shared(store.write_id()?)).await
}

/// Writes whatever is there now.
async fn write(store: &dyn Store, name: &str, text: &str) -> Version {
    let found = store.get(&key(name)).await.unwrap().map(|found| found.version);
    put(store, name, text, found.map_or(ExpectedVersion::Absent, ExpectedVersion::Version)).await.unwrap()
}

async fn text(store: &dyn Store, name: &str) -> Option<String> {
    let found = store.get(&key(name)).await.unwrap()?;
    Some(String::from_utf8(found.value.expose().to_vec()).unwrap())
}

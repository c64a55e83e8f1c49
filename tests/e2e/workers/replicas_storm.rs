//! Many workers that join at several coordinators at once with one token.

use std::collections::BTreeSet;
use std::fs;

use deputy_coordinator::WorkerStatus;
use deputy_link::client::{JoinFailure, join_until};
use deputy_link::{ErrorCode, JoinString, WorkerIdentity, WorkerKey};
use deputy_test_harness::{PATIENCE, exit};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::replicas::{Replica, site};
use super::site::GROUP;
use crate::servers;

const WORKERS: usize = 300;
const USES: usize = 100;

/// Every worker asks one of the coordinators, and asks it again while it is to try again.
async fn storm(strings: &[JoinString]) -> Vec<Result<WorkerIdentity, JoinFailure>> {
    let mut joins = JoinSet::new();
    for (seed, string) in (0..WORKERS as u64).zip(strings.iter().cycle()) {
        let (text, key) = (string.reveal().to_string(), WorkerKey::new().unwrap());
        joins.spawn(async move {
            let string = text.parse::<JoinString>().unwrap();
            join_until(&string, &key, Some(PATIENCE), seed, |_| {}).await
        });
    }
    joins.join_all().await
}

fn ids(workers: Vec<WorkerStatus>) -> BTreeSet<String> {
    workers.into_iter().map(|worker| worker.id).collect()
}

#[test]
fn replicas_joining_storm_spends_each_use_once() {
    let site = site(&servers::etcd().endpoints(), "storm");
    let (second, third) = (Replica::new(&site, "second"), Replica::new(&site, "third"));
    let leader = site.coordinator();
    let following = (second.start(&site, "following"), third.start(&site, "following"));
    let token = site.token(GROUP, &["--uses", &USES.to_string()]);
    let text = fs::read_to_string(&token).unwrap();
    let strings = [site.address(), second.address(), third.address()].map(|address| {
        let mut string = text.parse::<JoinString>().unwrap();
        string.addresses = address.parse().unwrap();
        string
    });

    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut admitted = BTreeSet::new();
    for joined in runtime.block_on(storm(&strings)) {
        match joined {
            Ok(identity) => assert!(admitted.insert(identity.worker.to_string()), "two workers with one id"),
            Err(JoinFailure::Refused(refused)) => assert_eq!(refused.code, ErrorCode::BadJoin, "{refused}"),
            Err(failure) => panic!("{failure}"),
        }
    }
    assert_eq!(admitted.len(), USES);
    leader.wait_until("all list those that were admitted", || {
        [site.workers(), second.workers(), third.workers()].into_iter().map(ids).all(|listed| listed == admitted)
    });
    assert_eq!(leader.stop(), Some(exit::OK));
    assert_eq!(following.0.stop(), Some(exit::OK));
    assert_eq!(following.1.stop(), Some(exit::OK));
}

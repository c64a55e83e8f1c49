//! Lists of more workers than enrolment hands out at once.

use deputy_link::{EnrolledWorker, KeyDigest, RenewalCount};
use deputy_store::{ExpectedVersion, WriteRight};
use futures::future::join_all;

use super::*;
use crate::workers::status::{WorkerCondition, WorkerQuery};

const WORKERS: u16 = 600;

/// Every third worker is banned, and every second one is of another group.
fn enrolled(number: u16) -> EnrolledWorker {
    let [high, low] = number.to_be_bytes();
    EnrolledWorker {
        id: WorkerId::from_bytes([0, 0, 0, 0, 0, 0, high, low]),
        group: group(if number.is_multiple_of(2) { "etl" } else { "web" }),
        token: TokenId::from_bytes(*b"the-only"),
        joined_ms: wall().as_millis(),
        key: KeyDigest([low; 32].map(|byte: u8| byte.wrapping_add(high))),
        previous: None,
        sequence: RenewalCount(0),
        ends_ms: wall().plus(DAY).as_millis(),
        status: if number.is_multiple_of(3) { EnrolmentStatus::Banned } else { EnrolmentStatus::Active },
    }
}

async fn write(store: &DirectoryStore, worker: EnrolledWorker) {
    let key = format!("worker/{}", worker.id).parse().unwrap();
    let value = SecretBytes::new(serde_json::to_vec(&worker).unwrap());
    store.put(&key, &value, ExpectedVersion::Absent, WriteRight::shared(store.write_id().unwrap())).await.unwrap();
}

async fn page(coordinator: &TestCoordinator, query: &WorkerQuery) -> (Vec<String>, Option<WorkerId>) {
    let page = coordinator.workers.worker_page(query).await.unwrap();
    (page.workers.into_iter().map(|worker| worker.id).collect(), page.next)
}

#[tokio::test]
async fn workers_are_listed_in_pages_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let key = MasterKey::parse(&(0..32).map(|byte| byte * 7).collect::<Vec<u8>>()).unwrap();
    let store = DirectoryStore::open(&folder.path().join("state"), key, random()).await.unwrap();
    join_all((1..=WORKERS).map(|number| write(&store, enrolled(number)))).await;
    drop(store);
    let listen = "127.0.0.1:0".parse().unwrap();
    let coordinator = start_coordinator_in(folder, listen, TestOptions::default()).await;
    let all: Vec<String> = (1..=WORKERS).map(|number| enrolled(number).id.to_string()).collect();
    let listed = coordinator.workers.workers().await.unwrap();
    assert_eq!(listed.into_iter().map(|worker| worker.id).collect::<Vec<_>>(), all);
    let mut query = WorkerQuery { limit: Some(170), ..WorkerQuery::default() };
    let mut pages = Vec::new();
    loop {
        let (page, next) = page(&coordinator, &query).await;
        pages.extend(page);
        query.after = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(pages, all);
    // Few that are selected, far behind the first, and a page that is just full.
    let query = WorkerQuery {
        after: Some(enrolled(290).id),
        limit: Some(52),
        group: Some(group("etl")),
        state: Some(WorkerCondition::Banned),
        ..WorkerQuery::default()
    };
    let (page, next) = page(&coordinator, &query).await;
    let wanted =
        (291..=WORKERS).filter(|number| number.is_multiple_of(6)).map(|number| enrolled(number).id.to_string());
    assert_eq!((page, next), (wanted.collect(), None));
    let counts = coordinator.workers.group_counts().await.unwrap();
    assert_eq!((counts[&group("etl")].away, counts[&group("web")].away), (200, 200));
    coordinator.stop().await;
}

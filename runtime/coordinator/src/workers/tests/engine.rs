//! Engines that are workers by themselves, against the coordinator's side of the link.

use deputy_link::client::{Engine, EngineError};

use super::*;

/// A disk that is full.
struct Full;

#[async_trait::async_trait]
impl IdentityStore for Full {
    async fn save(&self, _: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("no space left on device".into())
    }
}

async fn wait_for_lease(link: &Link, name: &str) {
    let name: InstanceName = name.parse().unwrap();
    let mut held = link.held.clone();
    in_time(held.wait_for(|held| held.complete && held.deliveries.contains_key(&name))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_with_a_saved_identity_stays_the_same_worker() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("engines", &["s3-prod", "s3-lab"])]);
    coordinator.publish("s3-prod", 1);
    coordinator.publish("s3-lab", 1);
    let kept = Arc::new(SavedIdentity::default());
    let engine = || Engine::new("engine-1.0").with_host("machine").with_instance("s3-prod".parse().unwrap());
    let string = coordinator.token("engines", 1).await;
    let link = engine().with_identity_store(Arc::clone(&kept) as _).join(&string).await.unwrap();
    wait_for_lease(&link, "s3-prod").await;
    assert_eq!(link.held.borrow().deliveries.len(), 1, "it wanted one of the two");
    drop(link);
    let connected =
        async || coordinator.workers.workers().await.unwrap().iter().filter(|worker| worker.connected).count();
    wait_until(async || connected().await == 0).await;

    let identity = kept.0.lock().unwrap().clone().unwrap();
    let link = engine().with_identity_store(kept).resume(identity);
    wait_for_lease(&link, "s3-prod").await;
    let workers = coordinator.workers.workers().await.unwrap();
    assert_eq!(workers.len(), 1);
    assert_eq!((workers[0].version.as_deref(), workers[0].host.as_deref()), (Some("engine-1.0"), Some("machine")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_that_cannot_save_its_identity_stops() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[]);
    let string = coordinator.token("engines", 1).await;
    let error = Engine::new("engine-1.0").with_identity_store(Arc::new(Full)).join(&string).await.err().unwrap();
    assert!(matches!(&error, EngineError::Save(cause) if cause.to_string().contains("no space")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_with_an_invalid_join_string_fails_at_once() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[]);
    let string = coordinator.token("engines", 1).await;
    let _link = in_time(Engine::new("engine-1.0").join(&string)).await.unwrap();
    let error = in_time(Engine::new("engine-2.0").join(&string)).await.err().unwrap();
    assert!(
        matches!(&error, EngineError::Join(JoinFailure::Refused(refusal)) if refusal.code == ErrorCode::BadJoin),
        "{error}"
    );
    assert_eq!(coordinator.workers.workers().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_waits_for_the_coordinator() {
    let before = start_coordinator(TestOptions::default()).await;
    let string = before.token("engines", 1).await;
    let address = before.workers.address();
    let folder = before.stop().await;
    let starting = async {
        pause(700).await;
        let coordinator = start_coordinator_in(folder, address, TestOptions::default()).await;
        // The link serves no worker before the deliveries of each group are known.
        coordinator.deliver(&[("engines", &["s3-prod"])]);
        coordinator.publish("s3-prod", 1);
        coordinator
    };
    let (coordinator, joined) = tokio::join!(starting, in_time(Engine::new("engine-1.0").join(&string)));
    wait_for_lease(&joined.unwrap(), "s3-prod").await;
    assert_eq!(coordinator.workers.workers().await.unwrap().len(), 1, "a token is not spent twice");
}

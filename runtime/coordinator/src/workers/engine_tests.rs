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

async fn has(link: &Link, name: &str) {
    let name: InstanceName = name.parse().unwrap();
    let mut held = link.held.clone();
    soon(held.wait_for(|held| held.complete && held.deliveries.contains_key(&name))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_keeps_its_identity_is_the_same_worker_after_a_restart() {
    let site = site(How::default()).await;
    site.deliver(&[("engines", &["s3-prod", "s3-lab"])]);
    site.publish("s3-prod", 1);
    site.publish("s3-lab", 1);
    let kept = Arc::new(Kept::default());
    let engine = || Engine::new("engine-1.0").with_host("machine").with_instance("s3-prod".parse().unwrap());
    let string = site.token("engines", 1).await;
    let link = engine().with_identity_store(Arc::clone(&kept) as _).join(&string).await.unwrap();
    has(&link, "s3-prod").await;
    assert_eq!(link.held.borrow().deliveries.len(), 1, "it wanted one of the two");
    drop(link);
    let connected = async || site.workers.workers().await.unwrap().iter().filter(|worker| worker.connected).count();
    until(async || connected().await == 0).await;

    let identity = kept.0.lock().unwrap().clone().unwrap();
    let link = engine().with_identity_store(kept).resume(identity);
    has(&link, "s3-prod").await;
    let workers = site.workers.workers().await.unwrap();
    assert_eq!(workers.len(), 1);
    assert_eq!((workers[0].version.as_deref(), workers[0].host.as_deref()), (Some("engine-1.0"), Some("machine")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_cannot_keep_its_identity_does_not_go_on() {
    let site = site(How::default()).await;
    site.deliver(&[]);
    let string = site.token("engines", 1).await;
    let error = Engine::new("engine-1.0").with_identity_store(Arc::new(Full)).join(&string).await.err().unwrap();
    assert!(matches!(&error, EngineError::Save(cause) if cause.to_string().contains("no space")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_with_a_join_string_that_is_no_good_is_told_so_at_once() {
    let site = site(How::default()).await;
    site.deliver(&[]);
    let string = site.token("engines", 1).await;
    let _link = soon(Engine::new("engine-1.0").join(&string)).await.unwrap();
    let error = soon(Engine::new("engine-2.0").join(&string)).await.err().unwrap();
    assert!(
        matches!(&error, EngineError::Join(JoinFailure::Refused(refusal)) if refusal.code == ErrorCode::BadJoin),
        "{error}"
    );
    assert_eq!(site.workers.workers().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_waits_for_a_coordinator_that_is_not_there_yet() {
    let before = site(How::default()).await;
    let string = before.token("engines", 1).await;
    let address = before.workers.address();
    let folder = before.end().await;
    let starting = async {
        pause(700).await;
        let site = site_in(folder, address, How::default()).await;
        // Nobody is served before it is known what each group gets.
        site.deliver(&[("engines", &["s3-prod"])]);
        site.publish("s3-prod", 1);
        site
    };
    let (site, joined) = tokio::join!(starting, soon(Engine::new("engine-1.0").join(&string)));
    has(&joined.unwrap(), "s3-prod").await;
    assert_eq!(site.workers.workers().await.unwrap().len(), 1, "a token is not spent twice");
}

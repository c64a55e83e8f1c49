//! What a coordinator that comes back has forgotten.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_been_gone_for_long_is_forgotten_and_who_is_banned_is_not() {
    // Each start of an engine that keeps its identity in memory is a new worker.
    let lives = Lives { worker: Span::secs(60), ..How::default().lives };
    let site = site(How { lives, ..How::default() }).await;
    let (gone, banned) = (site.worker("analytics").await, site.worker("analytics").await);
    gone.is(Phase::Connected).await;
    banned.is(Phase::Connected).await;
    site.workers.shut_out(banned.id(), Standing::Banned).await.unwrap();
    let (gone_id, banned_id) = (gone.id(), banned.id());
    drop(gone);
    let count = async || site.workers.workers().await.unwrap().len();
    until(async || site.workers.workers().await.unwrap().iter().all(|worker| !worker.connected)).await;
    site.clock.millis.store(6 * DAY.as_millis(), Ordering::Relaxed);
    // Whatever is asked has it look at the clock.
    site.token("analytics", 1).await;
    assert_eq!((count().await, site.workers.roster.all().len()), (2, 2));
    site.clock.millis.store(8 * DAY.as_millis(), Ordering::Relaxed);
    site.token("analytics", 1).await;
    assert_eq!((count().await, site.workers.roster.all().len()), (1, 1));
    assert!(matches!(
        site.workers.shut_out(gone_id, Standing::Removed).await,
        Err(WorkerAskError::UnknownWorker(worker)) if worker == gone_id
    ));

    let folder = site.end().await;
    let site = site_in(folder, "127.0.0.1:0".parse().unwrap(), How::default()).await;
    let kept = site.workers.workers().await.unwrap();
    assert_eq!(kept.iter().map(|worker| worker.id.clone()).collect::<Vec<_>>(), [banned_id.to_string()]);
}

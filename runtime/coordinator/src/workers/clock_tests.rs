//! A coordinator whose wall clock is wrong for a while.

use super::*;

const HOURS: i64 = 13 * 3_600_000;
const DAYS: i64 = 200 * 86_400_000;

impl Site {
    /// Sets the wall clock ahead or back, and has the coordinator look at it.
    async fn set(&self, millis: i64) {
        self.clock.set.store(millis, Ordering::Relaxed);
        self.look().await;
    }

    /// Both clocks go on.
    async fn go_on(&self, millis: u64) {
        self.clock.millis.fetch_add(millis, Ordering::Relaxed);
        self.look().await;
    }

    /// Whatever is asked has the coordinator compare its clocks: here, for a token that there is not.
    async fn look(&self) {
        drop(self.workers.revoke_token(TokenId::from_bytes([0; 8])).await);
    }

    /// A worker that joins and connects.
    async fn connects(&self) {
        soon(self.worker("analytics").await.is(LinkPhase::Connected)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_was_wrong_for_a_moment_keeps_nobody_out() {
    let site = site(How::default()).await;
    let before = site.worker("analytics").await;
    before.is(LinkPhase::Connected).await;
    let authority = site.token("analytics", 1).await.authority;
    // A process that has just begun has nothing to hold the clock against, and makes certificates by it.
    for wrong in [HOURS, DAYS] {
        site.set(wrong).await;
        site.set(0).await;
        site.connects().await;
        Worker::start(before.identity(), &[]).is(LinkPhase::Connected).await;
        assert_eq!(site.token("analytics", 1).await.authority, authority);
    }
    // One that has seen it steady issues no certificate by it, and lets in whom it knows.
    const STEADY: i64 = -350_000;
    site.set(STEADY).await;
    site.go_on(350_000).await;
    for wrong in [HOURS, DAYS] {
        site.set(STEADY + wrong).await;
        let string = site.token("analytics", 1).await;
        let key = WorkerKey::new().unwrap();
        let refused = join(&string, key.clone()).await.unwrap_err();
        assert!(matches!(&refused, JoinFailure::Refused(refusal) if refusal.code == ErrorCode::Clock), "{refused}");
        assert!(refused.is_transient());
        Worker::start(before.identity(), &[]).is(LinkPhase::Connected).await;
        site.set(STEADY).await;
        let joined = Worker::start(join(&string, key).await.unwrap(), &[]);
        joined.is(LinkPhase::Connected).await;
        assert_eq!(site.token("analytics", 1).await.authority, authority);
    }
    // Tokens are as good as they were.
    assert!(!site.workers.tokens().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_stays_as_it_was_set_is_followed() {
    let site = site(How::default()).await;
    site.go_on(600_000).await;
    let authority = site.token("analytics", 1).await.authority;
    site.set(DAYS).await;
    site.go_on(301_000).await;
    let token = async || site.token("analytics", 1).await;
    assert_eq!(token().await.authority, authority, "an authority is not replaced at once");
    site.go_on(3_599_000).await;
    assert_eq!(token().await.authority, authority);
    site.go_on(2000).await;
    site.look().await;
    assert_ne!(token().await.authority, authority, "it has ended");
}

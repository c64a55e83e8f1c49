//! A coordinator whose wall clock is wrong for a while.

use super::*;

const HOURS: i64 = 13 * 3_600_000;
const DAYS: i64 = 200 * 86_400_000;

impl TestCoordinator {
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
        in_time(self.start_worker("analytics").await.wait_for_phase(LinkPhase::Connected)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_is_wrong_for_a_moment_excludes_no_worker() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let before = coordinator.start_worker("analytics").await;
    before.wait_for_phase(LinkPhase::Connected).await;
    let authority = coordinator.token("analytics", 1).await.authority;
    // A process that has just begun has nothing to hold the clock against, and makes certificates by it.
    for wrong in [HOURS, DAYS] {
        coordinator.set(wrong).await;
        coordinator.set(0).await;
        coordinator.connects().await;
        TestWorker::start(before.identity(), &[]).wait_for_phase(LinkPhase::Connected).await;
        assert_eq!(coordinator.token("analytics", 1).await.authority, authority);
    }
    // One that has seen it steady issues no certificate by it, and lets in whom it knows.
    const STEADY: i64 = -350_000;
    coordinator.set(STEADY).await;
    coordinator.go_on(350_000).await;
    for wrong in [HOURS, DAYS] {
        coordinator.set(STEADY + wrong).await;
        let string = coordinator.token("analytics", 1).await;
        let key = WorkerKey::new().unwrap();
        let refused = join(&string, key.clone()).await.unwrap_err();
        assert!(matches!(&refused, JoinFailure::Refused(refusal) if refusal.code == ErrorCode::Clock), "{refused}");
        assert!(refused.is_transient());
        TestWorker::start(before.identity(), &[]).wait_for_phase(LinkPhase::Connected).await;
        coordinator.set(STEADY).await;
        let joined = TestWorker::start(join(&string, key).await.unwrap(), &[]);
        joined.wait_for_phase(LinkPhase::Connected).await;
        assert_eq!(coordinator.token("analytics", 1).await.authority, authority);
    }
    // Tokens are as good as they were.
    assert!(!coordinator.workers.tokens().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_stays_set_is_trusted() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.go_on(600_000).await;
    let authority = coordinator.token("analytics", 1).await.authority;
    coordinator.set(DAYS).await;
    coordinator.go_on(301_000).await;
    let token = async || coordinator.token("analytics", 1).await;
    assert_eq!(token().await.authority, authority, "an authority is not replaced at once");
    coordinator.go_on(3_599_000).await;
    assert_eq!(token().await.authority, authority);
    coordinator.go_on(2000).await;
    coordinator.look().await;
    assert_ne!(token().await.authority, authority, "it has ended");
}

/// Its join tokens live for ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_was_ahead_makes_no_join_token_live_longer() {
    let coordinator = start_coordinator(TestOptions { clock_ahead: DAYS, ..TestOptions::default() }).await;
    let strings = [coordinator.token("analytics", 1).await, coordinator.token("analytics", 1).await];
    let join = async |string| join(string, WorkerKey::new().unwrap()).await;
    // The clock is right, and five minutes later both clocks of the test agree on the time of a join.
    coordinator.set(-301_000).await;
    coordinator.go_on(301_000).await;
    assert_eq!(coordinator.workers.tokens().await.unwrap().len(), 2);
    join(&strings[0]).await.unwrap();
    coordinator.go_on(601_000).await;
    assert!(coordinator.workers.tokens().await.unwrap().is_empty());
    let refused = join(&strings[1]).await.unwrap_err();
    assert!(matches!(&refused, JoinFailure::Refused(refusal) if refusal.code == ErrorCode::BadJoin), "{refused}");
}

/// Years behind, as a machine without a battery starts, and ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_was_years_off_at_boot_excludes_no_worker_later() {
    const YEARS: i64 = 4 * 365 * 86_400_000;
    for wrong in [-YEARS, YEARS] {
        let options = TestOptions { clock_ahead: wrong, ..TestOptions::default() };
        let coordinator = start_coordinator(options).await;
        let string = coordinator.token("analytics", 1).await;
        coordinator.set(0).await;
        assert_eq!(coordinator.token("analytics", 1).await.authority, string.authority, "the join strings stay valid");
        coordinator.connects().await;
        // Ten minutes later both clocks of the test agree again.
        coordinator.set(-600_000).await;
        coordinator.go_on(600_000).await;
        coordinator.connects().await;
    }
}

//! Who a worker is: joining, renewing, and being shut out.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_string_that_is_stolen_or_repeated_adds_no_worker() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let string = coordinator.token("analytics", 1).await;
    let key = WorkerKey::new().unwrap();
    let first = join(&string, key.clone()).await.unwrap();
    assert_eq!(join(&string, key).await.unwrap().worker, first.worker);
    let thief = join(&string, WorkerKey::new().unwrap()).await.unwrap_err();
    assert!(matches!(&thief, JoinFailure::Refused(refusal) if refusal.code == ErrorCode::BadJoin), "{thief}");
    assert!(!thief.is_transient());
    let events = coordinator.events("join");
    assert_eq!(events.iter().map(|event| event.code.as_deref()).collect::<Vec<_>>(), [None, None, Some("bad-join")]);

    let string = coordinator.token("analytics", 1).await;
    coordinator.workers.revoke_token(string.token).await.unwrap();
    assert!(join(&string, WorkerKey::new().unwrap()).await.is_err());
    assert!(matches!(coordinator.workers.revoke_token(string.token).await, Err(WorkerRequestError::UnknownToken(_))));
    assert_eq!(coordinator.workers.workers().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_refuses_a_coordinator_of_another_authority() {
    let (coordinator, other) =
        (start_coordinator(TestOptions::default()).await, start_coordinator(TestOptions::default()).await);
    let mut string = coordinator.token("analytics", 1).await;
    string.addresses = other.workers.address().to_string().parse().unwrap();
    let error = join(&string, WorkerKey::new().unwrap()).await.unwrap_err();
    assert!(matches!(error, JoinFailure::WrongAuthority(_)), "{error}");
    assert!(other.events("join").is_empty(), "the secret was not shown");

    // A worker of one is a stranger to the other.
    let string = coordinator.token("analytics", 1).await;
    let mut identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    identity.addresses = other.workers.address().to_string().parse().unwrap();
    let worker = TestWorker::start(identity, &[]);
    wait_until(async || worker.link.state.borrow().failures > 0).await;
    assert!(other.events("connect").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_worker_is_disconnected_and_may_join_again() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    coordinator.publish("s3-prod", 1);
    let worker = coordinator.start_worker("analytics").await;
    worker.wait_for_lease("s3-prod", 1).await;
    coordinator.workers.exclude(worker.id(), EnrolmentStatus::Removed).await.unwrap();
    coordinator.publish("s3-prod", 2);
    assert!(worker.wait_until_stopped().await.contains("was removed: it must join again"));
    worker.wait_for_lease("s3-prod", 1).await;
    let again = TestWorker::start(worker.identity(), &[]);
    assert!(again.wait_until_stopped().await.contains("was removed"));
    let string = coordinator.token("analytics", 1).await;
    let back = TestWorker::start(join(&string, WorkerKey::new().unwrap()).await.unwrap(), &[]);
    back.wait_for_lease("s3-prod", 2).await;
    assert!(matches!(
        coordinator.workers.exclude(WorkerId::from_bytes([9; 8]), EnrolmentStatus::Removed).await,
        Err(WorkerRequestError::UnknownWorker(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn banned_key_is_refused_for_good() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let string = coordinator.token("analytics", 2).await;
    let key = WorkerKey::new().unwrap();
    let worker = TestWorker::start(join(&string, key.clone()).await.unwrap(), &[]);
    worker.wait_for_phase(LinkPhase::Connected).await;
    coordinator.workers.exclude(worker.id(), EnrolmentStatus::Banned).await.unwrap();
    assert!(worker.wait_until_stopped().await.contains("is banned"));
    assert!(join(&string, key).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_with_a_copied_identity_locks_the_worker() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(4) };
    let coordinator = start_coordinator(TestOptions { lives, ..TestOptions::default() }).await;
    let string = coordinator.token("analytics", 1).await;
    let stolen = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    let worker = TestWorker::start(stolen.clone(), &[]);
    wait_until(async || coordinator.status(&worker).await.renewals > 0).await;
    wait_until(async || worker.identity().ends() > stolen.ends()).await;

    // The copy has the first key, which the coordinator knows until the second was used, and renews with it, too.
    let copy = TestWorker::start(stolen, &[]);
    let said = copy.wait_until_stopped().await;
    assert!(said.contains("used twice"), "{said}");
    wait_until(async || coordinator.status(&worker).await.standing == EnrolmentStatus::Locked).await;
    let said = worker.wait_until_stopped().await;
    assert!(
        said.contains("used twice") || said.contains("must join again") || said.contains("another connection"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_certificate_error_says_how_to_enrol_again() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(1) };
    let coordinator = start_coordinator(TestOptions { lives, ..TestOptions::default() }).await;
    let string = coordinator.token("analytics", 1).await;
    let identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    pause(1500).await;
    let worker = TestWorker::start(identity, &[]);
    worker.wait_for_phase(LinkPhase::Rejected).await;
    let said = worker.link.state.borrow().error.clone().unwrap();
    assert!(said.contains("deputy token create") && said.contains("join again"), "{said}");
    // A clock that was wrong may be set right.
    assert!(worker.out.lock().unwrap().is_none());
}

/// The clock of a worker that does not know options late it is.
fn behind() -> Arc<dyn Clock> {
    let clock = SystemClock::default();
    Arc::new(move || {
        let Now { mono, wall } = clock.now();
        Now { mono, wall: wall.minus(Span::secs(3600)) }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_certificate_is_refused_by_the_coordinators_clock() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(3) };
    let coordinator =
        start_coordinator(TestOptions { lives, heartbeat: Span::millis(200), ..TestOptions::default() }).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    let string = coordinator.token("analytics", 1).await;
    let identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    let worker = TestWorker::start_by(behind(), identity.clone(), &[]);
    worker.wait_for_phase(LinkPhase::Connected).await;

    // The connection ends with its certificate, and no lease comes after that.
    let ended = |state: &deputy_link::client::LinkState| {
        state.phase == LinkPhase::Connecting
            && state.error.as_ref().is_some_and(|error| error.contains("compare the clocks"))
    };
    in_time(worker.link.state.clone().wait_for(ended)).await.unwrap();
    coordinator.publish("s3-prod", 1);
    // A worker with a ticket reaches the enrolment check; one without does not get through the handshake.
    let again = TestWorker::start_by(behind(), identity, &[]);
    in_time(again.link.state.clone().wait_for(ended)).await.unwrap();
    assert!(again.link.held.borrow().deliveries.is_empty() && worker.link.held.borrow().deliveries.is_empty());
    // They try again, and each attempt counts.
    wait_until(async || coordinator.link_faults() >= 2).await;
    // Neither is out for good: it comes back when the clocks agree.
    assert!(again.out.lock().unwrap().is_none() && worker.out.lock().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authority_rotates_while_workers_stay_connected() {
    // Half life is at 10 s; the next one signs at 18 s, when certificates have been renewed several times.
    let lives = CertificateLifetimes { authority: Span::secs(20), worker: Span::secs(4) };
    let coordinator = start_coordinator(TestOptions { lives, ..TestOptions::default() }).await;
    coordinator.deliver(&[("analytics", &["s3-prod"])]);
    let first = coordinator.token("analytics", 1).await;
    let worker = TestWorker::start(join(&first, WorkerKey::new().unwrap()).await.unwrap(), &[]);
    worker.wait_for_phase(LinkPhase::Connected).await;
    let mut now = first.authority;
    for revision in 1.. {
        coordinator.publish("s3-prod", revision);
        worker.wait_for_lease("s3-prod", revision).await;
        now = coordinator.token("analytics", 1).await.authority;
        if now != first.authority || revision > 60 {
            break;
        }
        pause(500).await;
    }
    assert_ne!(now, first.authority, "another one signs");
    assert!(worker.out.lock().unwrap().is_none(), "{:?}", worker.out.lock().unwrap());
    // A returning worker meets a certificate of the new authority, and knows it.
    let again = TestWorker::start(worker.identity(), &[]);
    again.wait_for_phase(LinkPhase::Connected).await;
    let new = coordinator.start_worker("analytics").await;
    new.wait_for_phase(LinkPhase::Connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_that_is_cut_off_is_completed_by_a_retry() {
    let coordinator = start_coordinator(TestOptions::default()).await;
    let string = coordinator.token("analytics", 1).await;
    let key = WorkerKey::new().unwrap();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    for (sent, stays) in [(10, false), (usize::MAX, false), (usize::MAX, true)] {
        let join = deputy_link::message::Join {
            token: string.token.as_bytes().to_vec(),
            secret: string.secret.expose().to_vec(),
            request: key.request().unwrap(),
        };
        let frame = deputy_link::encode(&deputy_link::message::ClientMessage::from(
            deputy_link::message::ClientMessageKind::Join(join),
        ));
        let mut stream =
            tls(&[&rustls::version::TLS13]).connect(name.clone(), connect(&coordinator).await).await.unwrap();
        stream.write_all(&frame[..sent.min(frame.len())]).await.unwrap();
        stream.flush().await.unwrap();
        // Gone before it is decided, unless that was fast, or before the answer is read.
        if stays {
            wait_until(async || coordinator.workers.workers().await.unwrap().len() == 1).await;
        }
        drop(stream);
    }
    assert!(coordinator.workers.tokens().await.unwrap().is_empty(), "its one use is spent");
    let identity = join(&string, key).await.unwrap();
    assert_eq!(identity.worker.to_string(), coordinator.workers.workers().await.unwrap()[0].id);
    let worker = TestWorker::start(identity, &[]);
    worker.wait_for_phase(LinkPhase::Connected).await;
}

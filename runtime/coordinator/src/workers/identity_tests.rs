//! Who a worker is: joining, renewing, and being shut out.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_join_string_is_of_no_use_and_who_repeats_itself_is_who_it_was() {
    let site = site(How::default()).await;
    let string = site.token("analytics", 1).await;
    let key = WorkerKey::new().unwrap();
    let first = join(&string, key.clone()).await.unwrap();
    assert_eq!(join(&string, key).await.unwrap().worker, first.worker);
    let thief = join(&string, WorkerKey::new().unwrap()).await.unwrap_err();
    assert!(matches!(&thief, JoinFailure::Refused(refusal) if refusal.code == ErrorCode::BadJoin), "{thief}");
    assert!(!thief.is_transient());
    let events = site.events("join");
    assert_eq!(events.iter().map(|event| event.code.as_deref()).collect::<Vec<_>>(), [None, None, Some("bad-join")]);

    let string = site.token("analytics", 1).await;
    site.workers.revoke_token(string.token).await.unwrap();
    assert!(join(&string, WorkerKey::new().unwrap()).await.is_err());
    assert!(matches!(site.workers.revoke_token(string.token).await, Err(WorkerRequestError::UnknownToken(_))));
    assert_eq!(site.workers.workers().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_of_another_authority_is_not_spoken_to() {
    let (site, other) = (site(How::default()).await, site(How::default()).await);
    let mut string = site.token("analytics", 1).await;
    string.address = other.workers.address().to_string();
    let error = join(&string, WorkerKey::new().unwrap()).await.unwrap_err();
    assert!(matches!(error, JoinFailure::WrongAuthority(_)), "{error}");
    assert!(other.events("join").is_empty(), "the secret was not shown");

    // A worker of one is a stranger to the other.
    let string = site.token("analytics", 1).await;
    let mut identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    identity.address = other.workers.address().to_string();
    let worker = Worker::start(identity, &[]);
    until(async || worker.link.state.borrow().failures > 0).await;
    assert!(other.events("connect").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_worker_is_cut_off_at_once_and_may_join_again() {
    let site = site(How::default()).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    site.publish("s3-prod", 1);
    let worker = site.worker("analytics").await;
    worker.has("s3-prod", 1).await;
    site.workers.exclude(worker.id(), EnrolmentStatus::Removed).await.unwrap();
    site.publish("s3-prod", 2);
    assert!(worker.out().await.contains("was removed: it must join again"));
    worker.has("s3-prod", 1).await;
    let again = Worker::start(worker.identity(), &[]);
    assert!(again.out().await.contains("was removed"));
    let string = site.token("analytics", 1).await;
    let back = Worker::start(join(&string, WorkerKey::new().unwrap()).await.unwrap(), &[]);
    back.has("s3-prod", 2).await;
    assert!(matches!(
        site.workers.exclude(WorkerId::from_bytes([9; 8]), EnrolmentStatus::Removed).await,
        Err(WorkerRequestError::UnknownWorker(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_key_never_comes_back() {
    let site = site(How::default()).await;
    let string = site.token("analytics", 2).await;
    let key = WorkerKey::new().unwrap();
    let worker = Worker::start(join(&string, key.clone()).await.unwrap(), &[]);
    worker.is(LinkPhase::Connected).await;
    site.workers.exclude(worker.id(), EnrolmentStatus::Banned).await.unwrap();
    assert!(worker.out().await.contains("is banned"));
    assert!(join(&string, key).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_on_the_link_and_a_copy_of_an_older_one_locks_the_worker() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(4) };
    let site = site(How { lives, ..How::default() }).await;
    let string = site.token("analytics", 1).await;
    let stolen = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    let worker = Worker::start(stolen.clone(), &[]);
    until(async || site.status(&worker).await.renewals > 0).await;
    until(async || worker.identity().ends() > stolen.ends()).await;

    // The copy has the first key, which the coordinator knows until the second was used, and renews with it, too.
    let copy = Worker::start(stolen, &[]);
    let said = copy.out().await;
    assert!(said.contains("used twice"), "{said}");
    until(async || site.status(&worker).await.standing == EnrolmentStatus::Locked).await;
    let said = worker.out().await;
    assert!(
        said.contains("used twice") || said.contains("must join again") || said.contains("another connection"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_certificate_ended_says_how_to_come_back() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(1) };
    let site = site(How { lives, ..How::default() }).await;
    let string = site.token("analytics", 1).await;
    let identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    pause(1500).await;
    let worker = Worker::start(identity, &[]);
    worker.is(LinkPhase::Rejected).await;
    let said = worker.link.state.borrow().error.clone().unwrap();
    assert!(said.contains("deputy token create") && said.contains("join again"), "{said}");
    // A clock that was wrong may be set right.
    assert!(worker.out.lock().unwrap().is_none());
}

/// The clock of a worker that does not know how late it is.
fn behind() -> Arc<dyn Clock> {
    let clock = SystemClock::default();
    Arc::new(move || {
        let Now { mono, wall } = clock.now();
        Now { mono, wall: wall.minus(Span::secs(3600)) }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_coordinator_s_clock_a_certificate_ends_on_a_connection_with_a_ticket_and_in_a_handshake() {
    let lives = CertificateLifetimes { authority: Span::secs(3600), worker: Span::secs(3) };
    let site = site(How { lives, heartbeat: Span::millis(200) }).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    let string = site.token("analytics", 1).await;
    let identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    let worker = Worker::start_by(behind(), identity.clone(), &[]);
    worker.is(LinkPhase::Connected).await;

    // The connection ends with its certificate, and no lease comes after that.
    let ended = |state: &deputy_link::client::LinkState| {
        state.phase == LinkPhase::Connecting
            && state.error.as_ref().is_some_and(|error| error.contains("compare the clocks"))
    };
    soon(worker.link.state.clone().wait_for(ended)).await.unwrap();
    site.publish("s3-prod", 1);
    let left = wall();
    // Who has a ticket comes as far as to be asked who it is; who has none does not get through the handshake.
    let again = Worker::start_by(behind(), identity, &[]);
    soon(again.link.state.clone().wait_for(ended)).await.unwrap();
    assert!(again.link.held.borrow().deliveries.is_empty() && worker.link.held.borrow().deliveries.is_empty());
    assert!(site.metrics.encode(&[], &[]).unwrap().contains("deputy_link_faults_total 2"), "{left}");
    // Neither is out for good: it comes back when the clocks agree.
    assert!(again.out.lock().unwrap().is_none() && worker.out.lock().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_replaced_while_workers_stay() {
    // Half life is at 10 s; the next one signs at 18 s, when certificates have been renewed several times.
    let lives = CertificateLifetimes { authority: Span::secs(20), worker: Span::secs(4) };
    let site = site(How { lives, ..How::default() }).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    let first = site.token("analytics", 1).await;
    let worker = Worker::start(join(&first, WorkerKey::new().unwrap()).await.unwrap(), &[]);
    worker.is(LinkPhase::Connected).await;
    let mut now = first.authority;
    for revision in 1.. {
        site.publish("s3-prod", revision);
        worker.has("s3-prod", revision).await;
        now = site.token("analytics", 1).await.authority;
        if now != first.authority || revision > 60 {
            break;
        }
        pause(500).await;
    }
    assert_ne!(now, first.authority, "another one signs");
    assert!(worker.out.lock().unwrap().is_none(), "{:?}", worker.out.lock().unwrap());
    // Who comes back meets a coordinator whose certificate is of the new one, and knows it.
    let again = Worker::start(worker.identity(), &[]);
    again.is(LinkPhase::Connected).await;
    let new = site.worker("analytics").await;
    new.is(LinkPhase::Connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_whose_connection_drops_midway_is_finished_by_who_asks_again() {
    let site = site(How::default()).await;
    let string = site.token("analytics", 1).await;
    let key = WorkerKey::new().unwrap();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    for sent in [10, usize::MAX] {
        let join = deputy_link::message::Join {
            token: string.token.as_bytes().to_vec(),
            secret: string.secret.expose().to_vec(),
            request: key.request().unwrap(),
        };
        let frame = deputy_link::encode(&deputy_link::message::ClientMessage::from(
            deputy_link::message::ClientMessageKind::Join(join),
        ));
        let mut stream = tls(&[&rustls::version::TLS13]).connect(name.clone(), connect(&site).await).await.unwrap();
        stream.write_all(&frame[..sent.min(frame.len())]).await.unwrap();
        stream.flush().await.unwrap();
        // Gone before the answer is there.
        drop(stream);
    }
    until(async || site.workers.workers().await.unwrap().len() == 1).await;
    assert!(site.workers.tokens().await.unwrap().is_empty(), "its one use is spent");
    let identity = join(&string, key).await.unwrap();
    assert_eq!(identity.worker.to_string(), site.workers.workers().await.unwrap()[0].id);
    let worker = Worker::start(identity, &[]);
    worker.is(LinkPhase::Connected).await;
}

//! KDCs that are away, silent, or dead beside one that is not.

use deputy_core::Span;
use deputy_kerberos::{FaultCause, LoginConfig};
use deputy_test_servers::{Kdc, free_ports};
use std::time::{Duration, Instant};

use crate::setup::{Realm, assert_cause, config, config_with, established, principal, refusal, start, until};

#[tokio::test]
async fn kerberos_tickets_serve_while_the_kdc_is_away() {
    let mut realm = Realm::new();
    realm.kdc.add("other/localhost").unwrap();
    let (login, target) = (realm.login(), realm.target());
    drop(established(&login, &target, &realm.service).await);
    realm.kdc.stop();
    established(&login, &target, &realm.service).await;
    let other = principal("other/localhost@TEST.LOCAL");
    assert_cause(&login.begin(&other).await.err().unwrap(), FaultCause::KdcUnreachable, "TEST.LOCAL");
    realm.kdc.restart().unwrap();
    login.begin(&other).await.unwrap();
}

#[tokio::test]
async fn kerberos_login_succeeds_once_the_kdc_is_back() {
    let mut realm = Realm::new();
    realm.kdc.stop();
    let login = realm.login();
    assert_cause(&login.ready().await.unwrap_err(), FaultCause::KdcUnreachable, "Cannot contact any KDC");
    realm.kdc.restart().unwrap();
    until(&login, "logged in", |status| status.expiry.is_some() && status.fault.is_none()).await;
}

#[tokio::test]
async fn kerberos_silent_kdc_delays_its_own_login_alone() {
    let (silent, lively) = (Realm::new(), Realm::new());
    for number in 0..20 {
        silent.kdc.add(&format!("s{number}/localhost")).unwrap();
    }
    let wait = Span::secs(2);
    let login = start(LoginConfig { wait, ..config(&silent.kdc, &silent.alice) });
    let (mut context, service) = established(&login, &silent.target(), &silent.service).await;
    silent.kdc.pause().unwrap();
    let begun = Instant::now();
    // More callers than the process has threads for them.
    let targets = (0..20).map(|number| principal(&format!("s{number}/localhost@TEST.LOCAL")));
    let callers: Vec<_> = targets.collect();
    let waits = callers.iter().map(|target| login.begin(target));
    for outcome in futures::future::join_all(waits).await {
        assert_cause(&outcome.err().unwrap(), FaultCause::KdcTimeout, "2s");
    }
    // Four at a time would take ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(login.status().stuck, 4, "half of its threads: the others are for tickets at hand");
    // What is established goes on, a context whose ticket is at hand begins, and so does the other login.
    established(&login, &silent.target(), &silent.service).await;
    let token = context.wrap(b"meanwhile".to_vec(), true).await.unwrap();
    assert_eq!(service.unwrap(&token), Ok((b"meanwhile".to_vec(), true)));
    let begun = Instant::now();
    established(&lively.login(), &lively.target(), &lively.service).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    silent.kdc.resume().unwrap();
    until(&login, "unstuck", |status| status.stuck == 0).await;
    login.begin(&principal("s19/localhost@TEST.LOCAL")).await.unwrap();
}

#[tokio::test]
async fn kerberos_log_in_at_a_silent_kdc_ends_in_time() {
    let realm = Realm::new();
    realm.kdc.pause().unwrap();
    let login = start(LoginConfig { wait: Span::secs(1), ..config(&realm.kdc, &realm.alice) });
    let begun = Instant::now();
    assert_cause(&login.begin(&realm.target()).await.err().unwrap(), FaultCause::KdcTimeout, "1s");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    until(&login, "said", |status| status.fault.as_ref().is_some_and(|it| it.cause == FaultCause::KdcTimeout)).await;
    realm.kdc.resume().unwrap();
    until(&login, "logged in", |status| status.expiry.is_some() && status.fault.is_none()).await;
}

#[tokio::test]
async fn kerberos_second_kdc_is_asked_if_the_first_is_dead_or_silent() {
    let realm = Realm::new();
    let [closed] = free_ports().unwrap();
    let silent = Kdc::start().unwrap();
    silent.pause().unwrap();
    for first in [format!("127.0.0.1:{closed}"), silent.address()] {
        let own = config(&realm.kdc, &realm.alice);
        let login = start(config_with("TEST.LOCAL", vec![first, realm.kdc.address()], own.source));
        established(&login, &realm.target(), &realm.service).await;
    }
}

#[tokio::test]
async fn kerberos_realm_without_a_kdc_is_named() {
    let realm = Realm::new();
    let own = config(&realm.kdc, &realm.alice);
    let fault = refusal(config_with("TEST.LOCAL", Vec::new(), own.source)).await;
    assert_cause(&fault, FaultCause::NoKdc, "TEST.LOCAL");
}

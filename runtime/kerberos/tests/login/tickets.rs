//! Tickets: one for all, kept fresh, and right although a clock is wrong.

use std::time::Duration;

use deputy_kerberos::{FaultCause, Login};
use deputy_test_servers::{Realm as Options, tool};

use crate::setup::{Realm, assert_cause, config, established, program, until};

#[tokio::test]
async fn kerberos_contexts_of_a_login_share_its_tickets() {
    let realm = Realm::new();
    let (login, target) = (realm.login(), realm.target());
    let begins = (0..200).map(|_| login.begin(&target));
    for begun in futures::future::join_all(begins).await {
        assert!(begun.unwrap().1.token.len() > 300);
    }
    assert_eq!(realm.kdc.issued("AS_REQ", "alice@TEST.LOCAL"), 1);
    assert_eq!(realm.kdc.issued("TGS_REQ", "alice@TEST.LOCAL"), 1);
}

#[tokio::test]
async fn kerberos_ticket_is_replaced_at_half_of_its_life() {
    let realm = Realm::of(Options {
        ticket_life: Duration::from_secs(6),
        clock_skew: Duration::from_secs(1),
        ..Options::default()
    });
    let (login, target) = (realm.login(), realm.target());
    let mut last = None;
    for round in 1..=3 {
        let status = until(&login, "fresh", |it| it.last_login.is_some() && it.last_login != last).await;
        last = status.last_login;
        let life = status.expiry.unwrap().since(last.unwrap());
        assert!((5..=6).contains(&life.duration().as_secs()), "{life}");
        assert_eq!(realm.kdc.issued("AS_REQ", "alice@TEST.LOCAL"), round);
        established(&login, &target, &realm.service).await;
    }
}

#[tokio::test]
async fn kerberos_failed_renewal_shows_while_the_ticket_serves() {
    let options = Options { ticket_life: Duration::from_secs(12), ..Options::default() };
    let realm = Realm::of(Options { clock_skew: Duration::from_secs(1), ..options });
    let login = realm.login();
    login.ready().await.unwrap();
    realm.kdc.lock("alice").unwrap();
    let status = until(&login, "refused", |status| status.fault.is_some()).await;
    assert_cause(status.fault.as_ref().unwrap(), FaultCause::Locked, "revoked");
    // The ticket-granting ticket is valid, and so is the one for the service until then.
    assert!(status.expiry.is_some());
    established(&login, &realm.target(), &realm.service).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let fault = login.begin(&realm.target()).await.err().unwrap();
    assert_cause(&fault, FaultCause::Locked, "revoked");
}

#[tokio::test]
async fn kerberos_login_works_by_a_clock_that_is_ten_minutes_off() {
    for offset in ["+600", "-600"] {
        let realm = Realm::new();
        let mut program = program();
        program.environment.push(("LD_PRELOAD".into(), tool("libfaketime.so").unwrap().into()));
        program.environment.push(("FAKETIME".into(), offset.into()));
        program.environment.push(("DONT_FAKE_MONOTONIC".into(), "1".into()));
        let login = Login::start(config(&realm.kdc, &realm.alice), program, 7);
        established(&login, &realm.target(), &realm.service).await;
        let ahead = login.status().clock_offset_seconds;
        let expected: i32 = offset.parse().unwrap();
        assert!((ahead + expected).abs() <= 2, "{offset}: the KDC's clock is {ahead} s ahead");
    }
}

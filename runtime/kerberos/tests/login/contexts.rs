//! Contexts: both protections in both directions, key types, their order, their number.

use deputy_core::Span;
use deputy_kerberos::{FaultCause, LoginConfig, negotiate_token};
use deputy_test_servers::{AES_SHA1, AES_SHA2, Acceptor};
use rustix::process::{Pid, Signal, kill_process};

use crate::setup::{Realm, assert_cause, config, established, start, until};

#[tokio::test]
async fn kerberos_context_protects_messages_with_sha1_and_sha2_keys() {
    for key_types in [AES_SHA1, AES_SHA2] {
        let realm = Realm::of(deputy_test_servers::Realm { key_types: key_types.to_owned(), ..Default::default() });
        let login = realm.login();
        let (mut context, service) = established(&login, &realm.target(), &realm.service).await;
        assert_eq!(service.client(), "alice@TEST.LOCAL");
        for confidential in [false, true] {
            let token = context.wrap(b"to the service".to_vec(), confidential).await.unwrap();
            assert_eq!(token.windows(14).any(|part| part == b"to the service"), !confidential);
            assert_eq!(service.unwrap(&token), Ok((b"to the service".to_vec(), confidential)));
            let opened = context.unwrap(service.wrap(b"from the service", confidential)).await.unwrap();
            assert_eq!((opened.message.as_slice(), opened.sealed), (&b"from the service"[..], confidential));
        }
        let large = vec![7; deputy_kerberos::LONGEST_MESSAGE];
        let token = context.wrap(large.clone(), true).await.unwrap();
        assert_eq!(service.unwrap(&token), Ok((large, true)));
    }
}

#[tokio::test]
async fn kerberos_first_token_is_accepted_within_spnego() {
    let realm = Realm::new();
    let login = realm.login();
    let (_context, first) = login.begin(&realm.target()).await.unwrap();
    let mut service = Acceptor::new(&realm.service);
    service.accept(&negotiate_token(&first.token)).unwrap();
    assert_eq!(service.client(), "alice@TEST.LOCAL");
}

#[tokio::test]
async fn kerberos_context_refuses_calls_out_of_order() {
    let realm = Realm::new();
    let login = realm.login();
    let (mut context, first) = login.begin(&realm.target()).await.unwrap();
    let wrong = |fault: deputy_kerberos::Fault| assert_eq!(fault.cause, FaultCause::WrongState);
    wrong(context.wrap(b"early".to_vec(), false).await.unwrap_err());
    wrong(context.unwrap(first.token.clone()).await.unwrap_err());
    let mut service = Acceptor::new(&realm.service);
    let answer = service.accept(&first.token).unwrap();
    context.step(answer.clone()).await.unwrap();
    wrong(context.step(answer).await.unwrap_err());
}

#[tokio::test]
async fn kerberos_login_has_a_bound_on_contexts() {
    let realm = Realm::new();
    let login = realm.login();
    let mut contexts = Vec::new();
    let fault = loop {
        match login.begin(&realm.target()).await {
            Ok((context, _)) => contexts.push(context),
            Err(fault) => break fault,
        }
    };
    assert_eq!((fault.cause, contexts.len()), (FaultCause::TooMany, 1024));
    assert_eq!(login.status().contexts, 1024);
    contexts.truncate(1);
    until(&login, "one context", |status| status.contexts == 1).await;
    contexts.push(login.begin(&realm.target()).await.unwrap().0);
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn kerberos_process_that_is_stuck_is_replaced() {
    let realm = Realm::new();
    let limits = LoginConfig { wait: Span::secs(1), give_up: Span::secs(3), ..config(&realm.kdc, &realm.alice) };
    let login = start(limits);
    let (mut context, _) = established(&login, &realm.target(), &realm.service).await;
    let process = login.status().process.unwrap();
    signal(process, Signal::STOP);
    // The signal takes effect a little later.
    let fault = loop {
        if let Err(fault) = context.wrap(b"late".to_vec(), false).await {
            break fault;
        }
    };
    assert_cause(&fault, FaultCause::Process, "within 1s");
    assert_eq!(login.status().stuck, 1);
    until(&login, "another process", |status| status.process.is_some_and(|new| new != process)).await;
    established(&login, &realm.target(), &realm.service).await;
}

#[tokio::test]
async fn kerberos_process_that_is_killed_costs_its_contexts_alone() {
    let realm = Realm::new();
    let login = realm.login();
    let (mut context, _) = established(&login, &realm.target(), &realm.service).await;
    let process = login.status().process.unwrap();
    signal(process, Signal::KILL);
    let fault = context.wrap(b"late".to_vec(), false).await.unwrap_err();
    assert_eq!(fault.cause, FaultCause::Process);
    until(&login, "logged in again", |status| status.process.is_some_and(|new| new != process)).await;
    established(&login, &realm.target(), &realm.service).await;
}

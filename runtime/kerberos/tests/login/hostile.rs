//! A hostile peer: tokens that are replayed, reordered, altered, too long, or none.

use deputy_kerberos::{Fault, FaultCause, LONGEST_MESSAGE, LONGEST_STEP};
use deputy_test_servers::Acceptor;

use crate::setup::{Realm, established};

fn bad(fault: &Fault) {
    assert_eq!(fault.cause, FaultCause::BadToken, "{fault}");
}

#[tokio::test]
async fn kerberos_message_that_is_replayed_or_reordered_is_refused() {
    let realm = Realm::new();
    let login = realm.login();
    let (mut context, service) = established(&login, &realm.target(), &realm.service).await;
    let [first, second, third] = ["1", "2", "3"].map(|text| service.wrap(text.as_bytes(), true));
    context.unwrap(first.clone()).await.unwrap();
    bad(&context.unwrap(first).await.unwrap_err());
    bad(&context.unwrap(third).await.unwrap_err());
    bad(&context.unwrap(second).await.unwrap_err());
}

#[tokio::test]
async fn kerberos_message_that_is_altered_is_refused() {
    let realm = Realm::new();
    let login = realm.login();
    let (mut context, service) = established(&login, &realm.target(), &realm.service).await;
    for confidential in [false, true] {
        let token = service.wrap(b"from the service", confidential);
        // The rotation count is not covered by the checksum (RFC 4121, section 4.2.5), and changes no message.
        for at in (0..token.len()).filter(|at| !(6..8).contains(at)) {
            let mut altered = token.clone();
            altered[at] ^= 0x10;
            bad(&context.unwrap(altered).await.unwrap_err());
        }
        for length in 0..token.len() {
            bad(&context.unwrap(token[..length].to_vec()).await.unwrap_err());
        }
        context.unwrap(token).await.unwrap();
    }
}

#[tokio::test]
async fn kerberos_answer_that_is_altered_is_refused() {
    let realm = Realm::new();
    let login = realm.login();
    for at in [0, 1, 5, 20, 40, 60, 100] {
        let (mut context, first) = login.begin(&realm.target()).await.unwrap();
        let mut answer = Acceptor::new(&realm.service).accept(&first.token).unwrap();
        answer[at] ^= 1;
        bad(&context.step(answer.clone()).await.unwrap_err());
        assert_eq!(context.step(answer).await.unwrap_err().cause, FaultCause::WrongState, "it has failed");
    }
    let (mut context, first) = login.begin(&realm.target()).await.unwrap();
    bad(&context.step(first.token).await.unwrap_err());
    let (mut context, _) = login.begin(&realm.target()).await.unwrap();
    bad(&context.step(Vec::new()).await.unwrap_err());
}

#[tokio::test]
async fn kerberos_token_that_is_too_long_is_refused() {
    let realm = Realm::new();
    let login = realm.login();
    let (mut context, _) = login.begin(&realm.target()).await.unwrap();
    bad(&context.step(vec![0; LONGEST_STEP + 1]).await.unwrap_err());
    bad(&context.step(vec![0; LONGEST_MESSAGE]).await.unwrap_err());
    let (mut context, _service) = established(&login, &realm.target(), &realm.service).await;
    bad(&context.unwrap(vec![5; LONGEST_MESSAGE + 1]).await.unwrap_err());
    bad(&context.unwrap(vec![5; LONGEST_MESSAGE]).await.unwrap_err());
    bad(&context.wrap(vec![5; LONGEST_MESSAGE + 1], false).await.unwrap_err());
}

#[tokio::test]
async fn kerberos_library_survives_twenty_thousand_altered_tokens() {
    let realm = Realm::new();
    let login = realm.login();
    let (mut context, service) = established(&login, &realm.target(), &realm.service).await;
    let process = login.status().process;
    let mut random = fastrand::Rng::with_seed(13);
    let tokens = [false, true].map(|confidential| service.wrap(b"from the service", confidential));
    for number in 0..20_000 {
        let mut token = tokens[number % 2].clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(0..token.len());
            token[at] = random.u8(..);
        }
        token.truncate(random.usize(0..=token.len()));
        // One in many is whole but for its rotation count.
        context.unwrap(token).await.ok();
    }
    assert_eq!(login.status().process, process, "the same process all the time");
}

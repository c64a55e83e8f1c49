//! Keytabs: the message says what is wrong with the file, and a new one is found.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use deputy_core::TicketSource;
use deputy_kerberos::{FaultCause, LoginConfig};

use crate::setup::{Realm, assert_cause, config, established, refusal, until};

async fn fault_of(realm: &Realm, keytab: &Path, cause: FaultCause, text: &str) {
    assert_cause(&refusal(config(&realm.kdc, keytab)).await, cause, text);
}

#[tokio::test]
async fn keytab_that_cannot_be_used_is_described() {
    let (realm, folder) = (Realm::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("alice.keytab");
    fault_of(&realm, &path, FaultCause::Keytab, "No such file").await;
    fs::copy(&realm.alice, &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fault_of(&realm, &path, FaultCause::Keytab, "chmod 600").await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "-----BEGIN PRIVATE KEY-----").unwrap();
    fault_of(&realm, &path, FaultCause::Keytab, "not a keytab").await;
    fs::write(&path, &fs::read(&realm.alice).unwrap()[..40]).unwrap();
    fault_of(&realm, &path, FaultCause::Keytab, "damaged").await;
    fs::write(&path, vec![5; 2 << 20]).unwrap();
    fault_of(&realm, &path, FaultCause::Keytab, "more than").await;
    fault_of(&realm, &realm.service, FaultCause::Keytab, "it has keys for hdfs/localhost@TEST.LOCAL").await;
}

#[tokio::test]
async fn keytab_with_single_des_alone_is_refused_by_name() {
    let (realm, folder) = (Realm::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("alice.keytab");
    let text = |text: &str| [&[0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let head = [&[0, 1][..], &text("TEST.LOCAL"), &text("alice"), &[0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 3, 0, 8]].concat();
    let record = [&head[..], &[1; 8]].concat();
    fs::write(&path, [&[5, 2, 0, 0, 0, u8::try_from(record.len()).unwrap()][..], &record].concat()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fault_of(&realm, &path, FaultCause::KeyTypes, "version 1: des-cbc-md5").await;
}

#[tokio::test]
async fn keytab_with_types_that_the_kdc_lacks_is_explained() {
    use deputy_test_servers::{AES_SHA1, AES_SHA2, Kdc, Realm as Options};
    let [kdc, other] = [AES_SHA1, AES_SHA2]
        .map(|types| Kdc::start_realm(Options { key_types: types.to_owned(), ..Options::default() }).unwrap());
    kdc.add("alice").unwrap();
    let fault = refusal(config(&kdc, &other.add("alice").unwrap())).await;
    assert_cause(&fault, FaultCause::KeyTypes, "aes256-cts-hmac-sha384-192");
}

#[tokio::test]
async fn keytab_that_is_replaced_is_used() {
    let (realm, folder) = (Realm::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("alice.keytab");
    fs::copy(&realm.alice, &path).unwrap();
    let new = realm.kdc.change_key("alice").unwrap();
    let login =
        crate::setup::start(LoginConfig { source: TicketSource::Keytab(path.clone()), ..config(&realm.kdc, &path) });
    let fault = login.ready().await.unwrap_err();
    assert_cause(&fault, FaultCause::WrongKey, "the keytab has version");
    fs::rename(&new, &path).or_else(|_| fs::copy(&new, &path).map(drop)).unwrap();
    until(&login, "logged in", |status| status.fault.is_none() && status.expiry.is_some()).await;
    established(&login, &realm.target(), &realm.service).await;
}

#[tokio::test]
async fn keytab_that_is_replaced_in_time_costs_no_log_in() {
    use deputy_test_servers::Realm as Options;
    let (ticket_life, clock_skew) = (Duration::from_secs(8), Duration::from_secs(1));
    let realm = Realm::of(Options { ticket_life, clock_skew, ..Options::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.keytab");
    fs::copy(&realm.alice, &path).unwrap();
    let login = crate::setup::start(config(&realm.kdc, &path));
    login.ready().await.unwrap();
    let first = login.status().last_login;
    // The old key is void at once, and the ticket that was had with it is not.
    let new = realm.kdc.change_key("alice").unwrap();
    fs::rename(&new, &path).or_else(|_| fs::copy(&new, &path).map(drop)).unwrap();
    established(&login, &realm.target(), &realm.service).await;
    let status = until(&login, "logged in with the new key", |status| status.last_login != first).await;
    assert_eq!(status.fault, None);
    established(&login, &realm.target(), &realm.service).await;
}

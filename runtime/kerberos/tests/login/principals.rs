//! Principals that the KDC refuses, each for its own reason.

use deputy_kerberos::FaultCause;

use crate::setup::{Realm, assert_cause, config, principal, refusal};

#[tokio::test]
async fn kerberos_refusals_of_the_kdc_are_told_apart() {
    let realm = Realm::new();
    let fault = async |cause, text| assert_cause(&refusal(config(&realm.kdc, &realm.alice)).await, cause, text);
    realm.kdc.lock("alice").unwrap();
    fault(FaultCause::Locked, "revoked").await;
    realm.kdc.unlock("alice").unwrap();
    realm.kdc.expire_key("alice").unwrap();
    fault(FaultCause::KeyExpired, "expired").await;
    realm.kdc.expire("alice").unwrap();
    fault(FaultCause::Expired, "expired").await;
    realm.kdc.remove("alice").unwrap();
    fault(FaultCause::UnknownPrincipal, "alice@TEST.LOCAL").await;
}

#[tokio::test]
async fn kerberos_wrong_key_is_noticed_without_preauthentication_too() {
    let realm = Realm::new();
    for flag in ["+requires_preauth", "-requires_preauth"] {
        realm.kdc.admin(&["modprinc", flag, "alice"]).unwrap();
        realm.kdc.change_key("alice").unwrap();
        assert_cause(&refusal(config(&realm.kdc, &realm.alice)).await, FaultCause::WrongKey, "the keytab has");
    }
}

#[tokio::test]
async fn kerberos_target_that_the_kdc_lacks_is_named() {
    let realm = Realm::new();
    let login = realm.login();
    let fault = login.begin(&principal("kafka/localhost@TEST.LOCAL")).await.err().unwrap();
    assert_cause(&fault, FaultCause::UnknownTarget, "kafka/localhost@TEST.LOCAL");
    let fault = login.begin(&principal("hdfs/localhost@OTHER.LOCAL")).await.err().unwrap();
    assert_cause(&fault, FaultCause::UnknownTarget, "OTHER.LOCAL");
}

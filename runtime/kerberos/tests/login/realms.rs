//! Two realms, an operator's krb5.conf, and one that cannot be read.

use std::fs;

use deputy_core::Krb5Conf;
use deputy_kerberos::{FaultCause, LoginConfig};
use deputy_test_servers::{Realm as Options, krb5_conf};

use crate::setup::{Realm, assert_cause, config, established, principal, realms, refusal, start};

#[tokio::test]
async fn kerberos_client_of_one_realm_reaches_a_service_of_another() {
    let [clients, services] = ["CLIENTS.LOCAL", "SERVICES.LOCAL"].map(|name| {
        let options = Options { name, ..Options::default() };
        Realm::of(options)
    });
    let krb5_conf = realms([&clients.kdc, &services.kdc].map(|kdc| (kdc.realm(), vec![kdc.address()])));
    let login = start(LoginConfig { krb5_conf, ..config(&clients.kdc, &clients.alice) });
    let target = principal("hdfs/localhost@SERVICES.LOCAL");
    assert!(login.begin(&target).await.is_err(), "without a key of both");
    services.kdc.trust(&clients.kdc).unwrap();
    let (_context, service) = established(&login, &target, &services.service).await;
    assert_eq!(service.client(), "alice@CLIENTS.LOCAL");
}

#[tokio::test]
async fn kerberos_logins_have_their_own_krb5_conf() {
    let [first, second] = ["FIRST.LOCAL", "SECOND.LOCAL"].map(|name| Realm::of(Options { name, ..Options::default() }));
    let file = Krb5Conf::File(first.kdc.krb5_conf());
    let by_file = start(LoginConfig { krb5_conf: file, ..config(&first.kdc, &first.alice) });
    let by_realms = second.login();
    established(&by_file, &first.target(), &first.service).await;
    established(&by_realms, &second.target(), &second.service).await;
    let unknown = Krb5Conf::File(second.kdc.krb5_conf());
    let fault = refusal(LoginConfig { krb5_conf: unknown, ..config(&first.kdc, &first.alice) }).await;
    assert_cause(&fault, FaultCause::NoKdc, "FIRST.LOCAL");
}

#[tokio::test]
async fn krb5_conf_that_cannot_be_read_is_named() {
    let (realm, folder) = (Realm::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("krb5.conf");
    for (text, says) in [(None, "No such file"), (Some("[libdefaults\n}"), "format")] {
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let krb5_conf = Krb5Conf::File(path.clone());
        let fault = refusal(LoginConfig { krb5_conf, ..config(&realm.kdc, &realm.alice) }).await;
        assert_cause(&fault, FaultCause::Configuration, says);
    }
    fs::write(&path, krb5_conf(&[&realm.kdc])).unwrap();
    let login = start(LoginConfig { krb5_conf: Krb5Conf::File(path), ..config(&realm.kdc, &realm.alice) });
    login.ready().await.unwrap();
}

//! TLS with client certificates, users and roles, and tokens that end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::SecretBytes;
use deputy_etcd::{EtcdClient, EtcdLogin, EtcdOptions, EtcdTls, TlsSource};
use deputy_store::{EtcdRefusal, EtcdStore, KeyPrefix, Store, StoreError};
use deputy_test_servers::{Etcd, EtcdCertificates};

use super::{key, master, random, text, write};

/// What docs/security.md gives Deputy's user: its own keys and nothing else.
fn permit_deputy(etcd: &Etcd) {
    for arguments in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "deputy"],
        &["role", "grant-permission", "deputy", "readwrite", "deputy/", "--prefix=true"],
        &["user", "add", "deputy:hunter2"],
        &["user", "grant-role", "deputy", "deputy"],
        &["auth", "enable"],
    ] {
        etcd.ctl(arguments).unwrap();
    }
}

fn login(password: &str) -> EtcdLogin {
    let password = Arc::new(SecretBytes::new(password.as_bytes().to_vec()));
    EtcdLogin { user: "deputy".to_owned(), password: Box::new(password) }
}

/// Certificates that the test replaces.
struct ReplacedTls(Mutex<EtcdTls>);

#[async_trait]
impl TlsSource for ReplacedTls {
    async fn current(&self) -> EtcdTls {
        self.0.lock().unwrap().clone()
    }
}

async fn open(etcd: &Etcd, password: Option<&str>, tls: Option<EtcdTls>) -> Result<EtcdStore, StoreError> {
    let login = password.map(login);
    let tls = tls.map(|tls| Arc::new(tls) as Arc<dyn TlsSource>);
    let endpoints = etcd.endpoints().iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    let client = EtcdClient::new(EtcdOptions { endpoints, tls, login });
    EtcdStore::open(client, "deputy/".parse().unwrap(), master(0), random()).await
}

#[tokio::test]
async fn etcd_token_that_ended_is_replaced_everywhere() {
    let mut etcd = Etcd::start(&["--auth-token-ttl=1"]).unwrap();
    permit_deputy(&etcd);
    for (wrong, refusal) in [(None, EtcdRefusal::UserMissing), (Some("wrong"), EtcdRefusal::Denied)] {
        let error = open(&etcd, wrong, None).await.unwrap_err();
        assert_eq!(error.refusal(), Some(refusal), "{error}");
        assert!(matches!(error, StoreError::Etcd(_)) && !error.to_string().contains("wrong "), "{error}");
    }
    let store = open(&etcd, Some("hunter2"), None).await.unwrap();
    let lock = store.lock(&key("lock/coordinator")).await.unwrap();
    let mut changes = store.watch(KeyPrefix::All).await.unwrap();
    for round in 0..3 {
        match round {
            // The token ends.
            0 => tokio::time::sleep(Duration::from_secs(3)).await,
            // Any change of a user makes all tokens old.
            1 => drop(etcd.ctl(&["--user", "root:root", "user", "add", "other:other"]).unwrap()),
            // The member forgets them, and the watch ends with it.
            _ => {
                etcd.kill(0);
                etcd.start_all().unwrap();
            }
        }
        let version = write(&store, "lease/a", &round.to_string()).await;
        let changed = tokio::time::timeout(Duration::from_secs(30), changes.next()).await.unwrap().unwrap();
        assert_eq!(changed.event, deputy_store::ChangeKind::Put(version), "{round}");
    }
    // Keep-alives had new tokens as well: the lock outlived its lease's five seconds.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(tokio::time::timeout(Duration::ZERO, lock.lost()).await.is_err());
    assert_eq!(text(&store, "lease/a").await.unwrap(), "2");
    // The role has Deputy's prefix alone.
    let elsewhere = "other/".parse().unwrap();
    let login = login("hunter2");
    let endpoints = etcd.endpoints().iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    let client = EtcdClient::new(EtcdOptions { endpoints, tls: None, login: Some(login) });
    let error = EtcdStore::open(client, elsewhere, master(0), random()).await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[tokio::test]
async fn etcd_tls_takes_the_given_roots_and_certificate_alone() {
    let certificates = Arc::new(EtcdCertificates::new().unwrap());
    let etcd = Etcd::start_with_tls(Arc::clone(&certificates), &[]).unwrap();
    let key = SecretBytes::new(std::fs::read(certificates.file("client.key")).unwrap());
    let roots = deputy_tls::roots(Some(&certificates.file("roots.pem"))).unwrap();
    let identity =
        || deputy_tls::identity(deputy_tls::certificates(&certificates.file("client.pem")).unwrap(), &key).unwrap();
    let tls = EtcdTls::new(Arc::clone(&roots), Some(identity())).unwrap();
    let store = open(&etcd, None, Some(tls)).await.unwrap();
    write(&store, "lease/a", "over TLS").await;
    assert_eq!(text(&store, "lease/a").await.unwrap(), "over TLS");
    // Without a certificate, with other roots, and without TLS there is no connection.
    let others = EtcdCertificates::new().unwrap();
    let other_roots = deputy_tls::roots(Some(&others.file("roots.pem"))).unwrap();
    for (tls, refusal) in [
        (Some(EtcdTls::new(roots, None).unwrap()), Some(EtcdRefusal::Handshake)),
        (Some(EtcdTls::new(other_roots, Some(identity())).unwrap()), None),
        (None, None),
    ] {
        let error = open(&etcd, None, tls).await.unwrap_err();
        assert!(matches!(error, StoreError::Etcd(_)) && error.is_temporary(), "{error}");
        assert_eq!(error.refusal(), refusal, "{error}");
    }
    // A key that belongs to another certificate is refused before anything is sent.
    let chain = deputy_tls::certificates(&others.file("client.pem")).unwrap();
    assert!(deputy_tls::identity(chain, &key).is_err());
}

#[tokio::test]
async fn etcd_refusal_is_told_although_the_member_freezes_later() {
    let certificates = Arc::new(EtcdCertificates::new().unwrap());
    let etcd = Etcd::start_with_tls(Arc::clone(&certificates), &[]).unwrap();
    let roots = deputy_tls::roots(Some(&certificates.file("roots.pem"))).unwrap();
    let freezing = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        etcd.signal(0, "STOP").unwrap();
    };
    let opening = open(&etcd, None, Some(EtcdTls::new(roots, None).unwrap()));
    let (opened, ()) = futures::future::join(opening, freezing).await;
    let error = opened.unwrap_err();
    assert_eq!(error.refusal(), Some(EtcdRefusal::Handshake), "{error}");
}

#[tokio::test]
async fn etcd_user_changes_with_the_client_certificate() {
    let certificates = Arc::new(EtcdCertificates::new().unwrap());
    let mut etcd = Etcd::start_with_tls(Arc::clone(&certificates), &[]).unwrap();
    permit_deputy(&etcd);
    let [deputy, stranger] = ["deputy", "stranger"].map(|user| tls_of(&certificates, user));
    let tls = Arc::new(ReplacedTls(Mutex::new(deputy.clone())));
    let endpoints = etcd.endpoints().iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    let client = EtcdClient::new(EtcdOptions { endpoints, tls: Some(Arc::clone(&tls) as _), login: None });
    let store = EtcdStore::open(client, "deputy/".parse().unwrap(), master(0), random()).await.unwrap();
    write(&store, "lease/a", "mine").await;

    *tls.0.lock().unwrap() = stranger;
    etcd.kill(0);
    etcd.start_all().unwrap();
    let denied = store.get(&key("lease/a")).await.unwrap_err();
    assert_eq!(denied.refusal(), Some(EtcdRefusal::Denied), "{denied}");
    *tls.0.lock().unwrap() = deputy;
    assert_eq!(text(&store, "lease/a").await.unwrap(), "mine", "on another connection");
}

/// With the certificate of a user.
fn tls_of(certificates: &EtcdCertificates, user: &str) -> EtcdTls {
    certificates.client_of_years(user, user, 2020..2200).unwrap();
    let key = SecretBytes::new(std::fs::read(certificates.file(&format!("{user}.key"))).unwrap());
    let chain = deputy_tls::certificates(&certificates.file(&format!("{user}.pem"))).unwrap();
    let roots = deputy_tls::roots(Some(&certificates.file("roots.pem"))).unwrap();
    EtcdTls::new(roots, Some(deputy_tls::identity(chain, &key).unwrap())).unwrap()
}

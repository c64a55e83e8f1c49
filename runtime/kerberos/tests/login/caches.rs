//! Existing credential caches, which another program keeps.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use deputy_core::TicketSource;
use deputy_kerberos::{FaultCause, LoginConfig};

use crate::setup::{Realm, assert_cause, config, established, refusal, start};

fn kinit(realm: &Realm, cache: &Path, name: &str, life: &str) {
    let mut command = Command::new("kinit");
    let keytab = realm.alice.with_file_name(format!("{name}.keytab"));
    command.args(["-l", life, "-k", "-t"]).arg(keytab).arg("-c").arg(cache).arg(name);
    assert!(command.env("KRB5_CONFIG", realm.kdc.krb5_conf()).status().unwrap().success());
}

fn cached(realm: &Realm, cache: &Path) -> LoginConfig {
    let source = TicketSource::Cache(cache.to_str().unwrap().to_owned());
    LoginConfig { source, ..config(&realm.kdc, &realm.alice) }
}

#[tokio::test]
async fn credential_cache_of_kinit_is_used_and_not_written() {
    let (realm, folder) = (Realm::new(), tempfile::tempdir().unwrap());
    let cache = folder.path().join("tickets");
    kinit(&realm, &cache, "alice", "5m");
    let before = fs::read(&cache).unwrap();
    let login = start(cached(&realm, &cache));
    let (_context, service) = established(&login, &realm.target(), &realm.service).await;
    assert_eq!(service.client(), "alice@TEST.LOCAL");
    let left = login.status().expiry.unwrap().as_millis();
    let now = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    assert!((250_000..=301_000).contains(&(left - now)), "{}", left - now);
    assert!(fs::read(&cache).unwrap() == before, "the ticket for the service is not in the file");
}

#[tokio::test]
async fn credential_cache_without_a_ticket_is_described() {
    let (realm, folder) = (Realm::new(), tempfile::tempdir().unwrap());
    let cache = folder.path().join("tickets");
    let fault = refusal(cached(&realm, &cache)).await;
    assert_cause(&fault, FaultCause::CredentialCache, cache.to_str().unwrap());
    realm.kdc.add("bob").unwrap();
    kinit(&realm, &cache, "bob", "5m");
    assert_cause(&refusal(cached(&realm, &cache)).await, FaultCause::CredentialCache, "belongs to bob@TEST.LOCAL");
    kinit(&realm, &cache, "alice", "1s");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_cause(&refusal(cached(&realm, &cache)).await, FaultCause::CredentialCache, "expired");
    fs::write(&cache, "nonsense").unwrap();
    assert_cause(&refusal(cached(&realm, &cache)).await, FaultCause::CredentialCache, cache.to_str().unwrap());
}

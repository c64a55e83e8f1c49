//! The KDC knows its principals, refuses them on order, and can be silent, stopped and started again.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test arranges its own files and programs")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use deputy_test_servers::{AES_SHA2, Kdc, Realm, krb5_conf};

/// Runs a client's program with tickets in a file of the folder; what it said on stderr when it failed.
fn client(folder: &Path, conf: &Path, words: &[&str]) -> Result<(), String> {
    let mut command = Command::new("timeout");
    command.arg("5").args(words).env("KRB5_CONFIG", conf).env("KRB5CCNAME", folder.join("tickets"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{}: {said}", output.status)) }
}

fn kinit(folder: &Path, kdc: &Kdc, keytab: &Path) -> Result<(), String> {
    client(folder, &kdc.krb5_conf(), &["kinit", "-k", "-t", keytab.to_str().unwrap(), "alice"])
}

#[test]
fn kdc_gives_tickets_and_counts_them() {
    let (kdc, folder) = (Kdc::start().unwrap(), tempfile::tempdir().unwrap());
    let keytab = kdc.add("alice").unwrap();
    let service = kdc.add_with("hdfs/localhost", AES_SHA2).unwrap();
    kinit(folder.path(), &kdc, &keytab).unwrap();
    client(folder.path(), &kdc.krb5_conf(), &["kvno", "-k", service.to_str().unwrap(), "hdfs/localhost"]).unwrap();
    assert_eq!(kdc.issued("AS_REQ", "alice@TEST.LOCAL"), 1);
    assert_eq!(kdc.issued("TGS_REQ", "alice@TEST.LOCAL"), 1);
}

#[test]
fn kdc_refuses_changed_locked_expired_and_removed_principals() {
    let (kdc, folder) = (Kdc::start().unwrap(), tempfile::tempdir().unwrap());
    let old = kdc.add("alice").unwrap();
    let keytab = kdc.change_key("alice").unwrap();
    let refusal = |keytab: &Path| kinit(folder.path(), &kdc, keytab).unwrap_err();
    assert!(refusal(&old).contains("Preauthentication failed"));
    kdc.lock("alice").unwrap();
    assert!(refusal(&keytab).contains("have been revoked"));
    kdc.unlock("alice").unwrap();
    kinit(folder.path(), &kdc, &keytab).unwrap();
    kdc.expire("alice").unwrap();
    assert!(refusal(&keytab).contains("has expired"));
    kdc.remove("alice").unwrap();
    assert!(refusal(&keytab).contains("not found in Kerberos database"));
    assert!(kdc.remove("alice").unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn kdc_is_silent_while_paused_and_away_while_stopped() {
    let (mut kdc, folder) = (Kdc::start().unwrap(), tempfile::tempdir().unwrap());
    let keytab = kdc.add("alice").unwrap();
    kdc.pause().unwrap();
    assert!(
        kinit(folder.path(), &kdc, &keytab).unwrap_err().contains("124"),
        "the client waits until its time is over"
    );
    kdc.resume().unwrap();
    kinit(folder.path(), &kdc, &keytab).unwrap();
    kdc.stop();
    assert!(kinit(folder.path(), &kdc, &keytab).unwrap_err().contains("Cannot contact any KDC"));
    kdc.restart().unwrap();
    kinit(folder.path(), &kdc, &keytab).unwrap();
}

#[test]
fn kdc_trusts_the_clients_of_another_realm() {
    let [clients, services] = ["CLIENTS.LOCAL", "SERVICES.LOCAL"].map(|name| {
        Kdc::start_realm(Realm { name, ticket_life: Duration::from_secs(60), ..Realm::default() }).unwrap()
    });
    let folder = tempfile::tempdir().unwrap();
    let keytab = clients.add("alice").unwrap();
    services.add("hdfs/localhost").unwrap();
    let conf = folder.path().join("krb5.conf");
    std::fs::write(&conf, krb5_conf(&[&clients, &services])).unwrap();
    client(folder.path(), &conf, &["kinit", "-k", "-t", keytab.to_str().unwrap(), "alice"]).unwrap();
    let service = ["kvno", "hdfs/localhost@SERVICES.LOCAL"];
    assert!(client(folder.path(), &conf, &service).is_err(), "without a key of both");
    services.trust(&clients).unwrap();
    client(folder.path(), &conf, &service).unwrap();
}

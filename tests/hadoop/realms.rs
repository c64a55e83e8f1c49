//! Two realms: the principal is of another one than the service.

use deputy_test_harness::{HadoopSite, PRINCIPAL};
use deputy_test_servers::{Kdc, Proof, Realm, krb5_conf};

use crate::cluster::{OTHER_REALM, shared};
use crate::obtained::Obtained;

#[test]
fn hdfs_of_another_realm_gives_a_token_by_a_trust() {
    let cluster = shared();
    let clients = Kdc::start_realm(Realm { name: OTHER_REALM, ..Realm::default() }).unwrap();
    cluster.kdc.trust(&clients).unwrap();
    let mut site = HadoopSite::new(&cluster.kdc);
    let (conf, keytab) = (site.home.path("two-realms.conf"), clients.keytab(PRINCIPAL).unwrap());
    std::fs::write(&conf, krb5_conf(&[&clients, &cluster.kdc])).unwrap();
    site.home.append(&format!(
        "[logins.abroad]\nprincipal = \"{}\"\nkeytab = {keytab:?}\nkrb5-conf = {conf:?}\n",
        clients.full(PRINCIPAL)
    ));
    let instance = cluster.lasting_instance("hdfs", "principal = \"hdfs/_HOST@TEST.LOCAL\"");
    let instance = instance.replace(&format!("login = \"{PRINCIPAL}\""), "login = \"abroad\"");
    let site = site.instance("hdfs", &instance);
    let obtained = Obtained::of(&site, "hdfs");
    assert_eq!(obtained.fact("owner"), clients.full(PRINCIPAL));
    cluster.lasting.client().fs(&["-ls", "/open"], Proof::TokenFile(&obtained.file)).unwrap();
    // Its own KDC gave the ticket by which that of the service gave the other one.
    assert_eq!(clients.issued("AS_REQ", &clients.full(PRINCIPAL)), 1);
    assert_eq!(cluster.kdc.issued("TGS_REQ", &clients.full(PRINCIPAL)), 1);
}

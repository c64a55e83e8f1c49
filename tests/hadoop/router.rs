//! Router-based federation: the Router's token is good for what is behind it.

use deputy_test_harness::{HadoopSite, exit, fact};
use deputy_test_servers::Router;

use crate::cluster::{hdfs_instance, shared, writes_and_reads};

#[test]
fn router_gives_a_token_for_the_hdfs_behind_it() {
    let cluster = shared();
    let router = Router::start(&cluster.kdc, &cluster.lasting).unwrap();
    let settings = "principal = \"router/_HOST@TEST.LOCAL\"";
    let lines = "revoke = { replaced = \"1s\" }";
    let instance = hdfs_instance("federation", &[router.port()], lines, settings);
    let site = HadoopSite::new(&cluster.kdc)
        .instance("federation", &instance.replace("hdfs/localhost@TEST.LOCAL", "router/localhost@TEST.LOCAL"))
        .receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("federation", 1)]);
    let held = coordinator.printed_instance("federation");
    assert_eq!(fact(&held, "service"), format!("127.0.0.1:{}", router.port()));
    // The Router renewed it, which told its expiry; until then it was its maximum.
    let lease = held.lease.as_ref().unwrap();
    assert!(lease.renewable_until.as_ref().is_some_and(|end| lease.valid_until < *end), "{held:?}");
    let local = cluster.text("federation", "behind a router");
    writes_and_reads(router.client(), &site.token_file(), &local, "/open/federation", &[]);

    // Another one takes its place, and the Router cancels it.
    site.home.deputy(&["renew", "federation"]).ends_with(exit::OK);
    coordinator.wait_until("the first one is cancelled", || {
        let now = coordinator.instance_status("federation");
        fact(&now, "number") != fact(&held, "number") && now.to_revoke == 0
    });
    assert_eq!(coordinator.printed_instance("federation").not_revoked, None);
}

//! Servers that go away and come back: what is held is served meanwhile, and the status says what is wrong.

use deputy_test_harness::{HadoopSite, RunningCoordinator, exit};

use crate::cluster::{exclusive, writes_and_reads};
use crate::web::{ALL, uses_all, with_all};

/// Whether an instance's last call failed with such an error.
fn is_unavailable(coordinator: &RunningCoordinator<'_>, name: &str, message: &str) -> bool {
    let trouble = coordinator.instance_status(name).trouble;
    trouble.is_some_and(|trouble| trouble.kind == "unavailable" && trouble.message.contains(message))
}

#[test]
fn servers_restart_and_tokens_go_on() {
    let mut cluster = exclusive();
    let site = with_all(&cluster, "retry = { floor = \"200ms\", most = \"1s\" }", "");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &ALL.map(|name| (name, 1)));

    cluster.kdc.restart().unwrap();
    let next = ALL.map(|name| (name, coordinator.revision(name) + 1));
    site.wait_for_tokens(&coordinator, &next);

    cluster.hdfs.server().kill();
    cluster.kms.server().kill();
    for name in ALL {
        coordinator.wait_until(&format!("the status says what is wrong with {name}"), || {
            is_unavailable(&coordinator, name, "connection refused")
        });
    }
    cluster.kms.server().restart().unwrap();
    cluster.hdfs.server().restart().unwrap();
    let next = ALL.map(|name| (name, coordinator.revision(name) + 1));
    site.wait_for_tokens(&coordinator, &next);
    uses_all(&cluster, &site, "restarted");
}

#[test]
fn kdc_that_is_down_leaves_what_is_held() {
    let mut cluster = exclusive();
    let client = cluster.lasting.client().clone();
    let local = cluster.text("held", "held");
    let site = HadoopSite::new(&cluster.kdc).instance("hdfs", &cluster.lasting_instance("hdfs", "")).receiver("");
    let coordinator = site.coordinator();
    let worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hdfs", 1)]);
    cluster.kdc.stop();
    // What a process held of tickets goes with it.
    assert_eq!(coordinator.stop(), Some(exit::OK));
    let coordinator = site.coordinator();
    site.home.deputy(&["renew", "hdfs"]).ends_with(exit::OK);
    coordinator.wait_until("the status says what is wrong", || {
        is_unavailable(&coordinator, "hdfs", "no KDC of the realm can be reached")
    });
    let shown = site.home.deputy(&["status", "hdfs"]).ends_with(exit::OK).stdout;
    assert!(shown.contains("no KDC of the realm can be reached") && shown.contains("port 88 is open"), "{shown}");
    // What is held is served nevertheless.
    let held = coordinator.printed_instance("hdfs");
    assert_eq!((held.ready, held.lease.map(|lease| lease.revision)), (true, Some(1)));
    coordinator.wait_until("the worker is back", || worker.status().is_some_and(|status| status.ready));
    writes_and_reads(&client, &site.token_file(), &local, "/open/held", &[]);
    cluster.kdc.restart().unwrap();
    site.wait_for_tokens(&coordinator, &[("hdfs", 2)]);
    writes_and_reads(&client, &site.token_file(), &local, "/open/back", &[]);
}

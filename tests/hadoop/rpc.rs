//! HDFS by RPC: the worker's file is all that a client needs, in each quality of protection.

use deputy_test_harness::{HadoopSite, exit, fact};
use deputy_test_servers::Proof;

use crate::cluster::{shared, writes_and_reads};

#[test]
fn hdfs_client_works_by_the_file_of_the_worker() {
    let cluster = shared();
    let (client, local) = (cluster.lasting.client(), cluster.text("first", "by RPC"));
    let refused = client.fs(&["-ls", "/open"], Proof::Nothing).unwrap_err().to_string();
    assert!(refused.contains("Client cannot authenticate via:[TOKEN, KERBEROS]"), "{refused}");
    let site = HadoopSite::new(&cluster.kdc).instance("hdfs", &cluster.lasting_instance("hdfs", "")).receiver("");
    // It logs in, too.
    site.home.deputy(&["check"]).ends_with(exit::OK);
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hdfs", 1)]);
    writes_and_reads(client, &site.token_file(), &local, "/open/first", &[]);
    let held = coordinator.printed_instance("hdfs");
    let facts = ["protection", "owner", "service"].map(|name| fact(&held, name));
    let service = format!("127.0.0.1:{}", cluster.lasting.rpc_port());
    assert_eq!(facts, ["authentication", "alice@TEST.LOCAL", service.as_str()]);
    let audit = site.home.whole_audit("audit.jsonl");
    assert!(audit.iter().any(|event| event["target"] == "hdfs/localhost@TEST.LOCAL"), "{audit:#?}");
}

#[test]
fn hdfs_token_is_obtained_renewed_and_used_in_each_quality() {
    let cluster = shared();
    for quality in ["integrity", "privacy"] {
        // The strongest that the server offers, unless one is chosen.
        let settings = if quality == "privacy" { String::new() } else { format!("protection = \"{quality}\"") };
        let site =
            HadoopSite::new(&cluster.kdc).instance("hdfs", &cluster.hdfs_instance("hdfs", "", &settings)).receiver("");
        let coordinator = site.coordinator();
        let _worker = site.worker();
        site.wait_for_tokens(&coordinator, &[("hdfs", 2)]);
        assert_eq!(fact(&coordinator.printed_instance("hdfs"), "protection"), quality);
        let settings = [format!("hadoop.rpc.protection={quality}"), format!("dfs.data.transfer.protection={quality}")];
        let more = ["-D", &settings[0], "-D", &settings[1]];
        let (local, remote) = (cluster.text(quality, quality), format!("/open/{quality}"));
        writes_and_reads(cluster.hdfs.client(), &site.token_file(), &local, &remote, &more);
    }
}

#[test]
fn hdfs_protection_that_is_not_offered_is_named() {
    let cluster = shared();
    let settings = "protection = \"integrity,privacy\"";
    let site = HadoopSite::new(&cluster.kdc).instance("hdfs", &cluster.lasting_instance("hdfs", settings));
    let said = site.home.deputy(&["obtain", "hdfs"]).ends_with(exit::MISCONFIGURED).stderr;
    assert!(said.contains("the server offers protection authentication, and integrity, privacy is accepted"), "{said}");
}

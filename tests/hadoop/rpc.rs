//! HDFS by RPC: the worker's file is all that a client needs, in each quality of protection, through renewals, past the
//! maximum, for another user.

use std::thread::sleep;
use std::time::{Duration, Instant};

use deputy_test_servers::Proof;

use crate::cluster::{LONGEST, PROXIED, copied, fact, shared, writes_and_reads};
use crate::deputy::exit;
use crate::site::HadoopSite;

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
    let held = coordinator.instance("hdfs");
    let facts = ["protection", "owner", "service"].map(|name| fact(&held, name));
    let service = format!("127.0.0.1:{}", cluster.lasting.rpc_port());
    assert_eq!(facts, ["authentication", "alice@TEST.LOCAL", service.as_str()]);
    let audit = site.home.whole_audit("audit.jsonl");
    assert!(audit.iter().any(|event| event["target"] == "hdfs/localhost@TEST.LOCAL"), "{audit:#?}");
}

#[test]
fn hdfs_token_lives_through_renewals_and_past_its_maximum() {
    let cluster = shared();
    let client = cluster.hdfs.client();
    let site = HadoopSite::new(&cluster.kdc)
        .instance("hdfs", &cluster.hdfs_instance("hdfs", "", "protection = \"authentication\""))
        .receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hdfs", 1)]);
    let begun = Instant::now();
    let number = fact(&coordinator.instance("hdfs"), "number").to_owned();
    let first = copied(&site, "first-token");
    for lease in 2..=6 {
        site.wait_for_tokens(&coordinator, &[("hdfs", lease)]);
    }
    let held = coordinator.instance("hdfs");
    assert_eq!(fact(&held, "number"), number, "five renewals of one token");
    assert_eq!(fact(&held, "protection"), "authentication");
    writes_and_reads(client, &site.token_file(), &cluster.text("renewed", "renewed"), "/open/renewed", &[]);
    // Past the longest life of the first token.
    sleep((Duration::from_secs(u64::from(LONGEST) + 1)).saturating_sub(begun.elapsed()));
    assert_ne!(fact(&coordinator.instance("hdfs"), "number"), number, "a new token");
    writes_and_reads(client, &site.token_file(), &cluster.text("anew", "anew"), "/open/anew", &[]);
    let refused = client.fs(&["-ls", "/open"], Proof::TokenFile(&first)).unwrap_err().to_string();
    assert!(refused.contains("expired") || refused.contains("can't be found in cache"), "{refused}");
}

#[test]
fn hdfs_token_is_for_the_proxied_user_and_cancelled() {
    let cluster = shared();
    let client = cluster.hdfs.client();
    let lines = "[instances.hdfs.revoke]\nreplaced = \"1s\"";
    let settings = format!("protection = \"authentication\"\ndoas = \"{PROXIED}\"");
    let site =
        HadoopSite::new(&cluster.kdc).instance("hdfs", &cluster.hdfs_instance("hdfs", lines, &settings)).receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hdfs", 1)]);
    let held = coordinator.instance("hdfs");
    assert_eq!(["owner", "real-user"].map(|name| fact(&held, name)), [PROXIED, "alice@TEST.LOCAL"]);
    let first = copied(&site, "first-token");
    let local = cluster.text("proxied", "for another");
    writes_and_reads(client, &first, &local, "/open/proxied", &[]);
    let owner = client.fs(&["-stat", "%u", "/open/proxied"], Proof::TokenFile(&first)).unwrap();
    assert_eq!(owner.trim(), PROXIED);
    // Renewed by the principal, which the user is not.
    site.wait_for_tokens(&coordinator, &[("hdfs", 2)]);
    let renewed = coordinator.instance("hdfs");
    assert_eq!(fact(&renewed, "number"), fact(&held, "number"));
    site.home.deputy(&["renew", "hdfs"]).ends_with(exit::OK);
    coordinator.wait_until("the first is cancelled", || {
        let now = coordinator.instance_now("hdfs");
        fact(&now, "number") != fact(&held, "number") && now["to_revoke"] == 0
    });
    let refused = client.fs(&["-ls", "/open"], Proof::TokenFile(&first)).unwrap_err().to_string();
    assert!(refused.contains("can't be found in cache"), "{refused}");
    assert_eq!(client.fs(&["-cat", "/open/proxied"], Proof::TokenFile(&site.token_file())).unwrap(), "for another");
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
        assert_eq!(fact(&coordinator.instance("hdfs"), "protection"), quality);
        let settings = [format!("hadoop.rpc.protection={quality}"), format!("dfs.data.transfer.protection={quality}")];
        let more = ["-D", &settings[0], "-D", &settings[1]];
        let (local, remote) = (cluster.text(quality, quality), format!("/open/{quality}"));
        writes_and_reads(cluster.hdfs.client(), &site.token_file(), &local, &remote, &more);
    }
}

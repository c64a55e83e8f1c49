//! HBase: a table is written and read by the file of the worker alone, through new tokens and a restart, in each quality of
//! protection, for another user, and where only ZooKeeper is known.

use std::path::Path;

use deputy_test_harness::{HadoopSite, PRINCIPAL, fact};
use deputy_test_servers::{Client, HBase, Kdc, Proof, Site, guest};

use crate::cluster::{PROXIED, copied};
use crate::obtained::Obtained;

/// The seconds that a token works. It cannot be renewed.
const LIFE: u32 = 20;

/// An instance of `hbase`: what stands in its table, and the settings.
fn instance(hbase: &HBase, name: &str, settings: &str) -> String {
    let component = guest("hbase").unwrap();
    let rules: String = [1, hbase.master_port(), hbase.region_server_port(), hbase.zookeeper_port()]
        .map(|port| format!("[[instances.{name}.tcp]]\nallow = \"localhost:{port}\"\nnetworks = [\"loopback\"]\n"))
        .concat();
    format!(
        "[instances.{name}]\ncomponent = {component:?}\n\
         [instances.{name}.settings]\n{settings}\n\
         [instances.{name}.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"hbase/localhost@TEST.LOCAL\"]\n{rules}"
    )
}

fn master(hbase: &HBase) -> String {
    format!("servers = \"localhost:{}\"", hbase.master_port())
}

/// Writes a row with the tokens of a token file alone, and reads it.
#[track_caller]
fn writes_and_reads(client: &Client, tokens: &Path, row: &str) {
    let proof = Proof::TokenFile(tokens);
    client.run("HBaseTable", &["put", "table", row, "value"], proof).unwrap();
    assert_eq!(client.run("HBaseTable", &["get", "table", row], proof).unwrap(), "value\n");
}

#[test]
fn hbase_table_is_used_by_the_file_of_the_worker() {
    let kdc = Kdc::start().unwrap();
    let settings = Site::new()
        .set("hbase.auth.token.max.lifetime", LIFE * 1000)
        .set("hbase.rpc.protection", "authentication,integrity,privacy")
        .proxy_user(PRINCIPAL);
    let mut hbase = HBase::start(&kdc, &settings).unwrap();
    let client =
        hbase.client().with("one-quality", &Site::new().set("hbase.rpc.protection", "authentication")).unwrap();
    let alice = kdc.ticket(PRINCIPAL).unwrap();
    client.run("HBaseTable", &["create", "table"], Proof::Ticket(&alice)).unwrap();
    let zookeeper = format!("zookeeper = \"localhost:{}\"", hbase.zookeeper_port());
    let region_server = format!("servers = \"localhost:1,localhost:{}\"", hbase.region_server_port());
    let others = [
        ("integrity", format!("{}\nprotection = \"integrity\"", master(&hbase))),
        ("privacy", format!("{region_server}\nprotection = \"privacy\"")),
        ("zookeeper", format!("{zookeeper}\nprotection = \"authentication\"\ndoas = \"{PROXIED}\"")),
    ];
    let mut site = HadoopSite::new(&kdc).instance("hbase", &instance(&hbase, "hbase", &master(&hbase))).receiver("");
    for (name, settings) in &others {
        site.home.append(&instance(&hbase, name, settings));
    }

    for (name, settings) in &others {
        let obtained = Obtained::of(&site, name);
        let owner = if settings.contains("doas") { PROXIED } else { "alice@TEST.LOCAL" };
        let protection = settings.lines().find_map(|line| line.strip_prefix("protection = ")).unwrap();
        assert_eq!((obtained.fact("owner"), obtained.fact("protection")), (owner, protection.trim_matches('"')));
        writes_and_reads(&client, &obtained.file, name);
    }

    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hbase", 1)]);
    let first = copied(&site, "first-token");
    writes_and_reads(&client, &site.token_file(), "first");
    let held = coordinator.printed_instance("hbase");
    let server = format!("localhost:{}", hbase.region_server_port());
    let expected = ["privacy", "alice@TEST.LOCAL", server.as_str(), &hbase.cluster_id().unwrap()];
    assert_eq!(["protection", "owner", "server", "service"].map(|name| fact(&held, name)), expected);

    // Five tokens later the first one works no longer.
    for lease in 2..=6 {
        site.wait_for_tokens(&coordinator, &[("hbase", lease)]);
    }
    writes_and_reads(&client, &site.token_file(), "sixth");
    let refused =
        client.run("HBaseTable", &["get", "table", "first"], Proof::TokenFile(&first)).unwrap_err().to_string();
    assert!(refused.contains("Token has expired"), "{refused}");

    hbase.server().stop().unwrap();
    hbase.server().restart().unwrap();
    let before = coordinator.revision("hbase");
    site.wait_for_tokens(&coordinator, &[("hbase", before + 1)]);
    writes_and_reads(&client, &site.token_file(), "restarted");
}

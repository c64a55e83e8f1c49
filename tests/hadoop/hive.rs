//! Hive's metastore: its client lists databases by the file of the worker alone, through renewals, past the maximum, after a
//! restart, in each quality of protection, and for another user.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use deputy_coordinator::status::InstanceStatus;
use deputy_test_harness::{HadoopSite, PRINCIPAL, fact};
use deputy_test_servers::{Client, Hive, Kdc, Metastores, Proof, Site, guest};

use crate::cluster::{PROXIED, copied};
use crate::obtained::Obtained;

/// The seconds that a token works without a renewal: longer than a metastore takes to start again on a busy machine.
const RENEWAL: u32 = 25;
/// The seconds that it works at all.
const LONGEST: u32 = 125;

/// An instance of `hive`: what stands in its table, and the settings.
fn instance(ports: [u16; 2], name: &str, lines: &str, settings: &str) -> String {
    let component = guest("hive").unwrap();
    let rules = ports
        .map(|port| format!("[[instances.{name}.tcp]]\nallow = \"localhost:{port}\"\nnetworks = [\"loopback\"]\n"))
        .concat();
    let [first, second] = ports;
    format!(
        "[instances.{name}]\ncomponent = {component:?}\n{lines}\n\
         [instances.{name}.settings]\nuris = \"thrift://localhost:{first},thrift://localhost:{second}\"\n{settings}\n\
         [instances.{name}.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"hive/localhost@TEST.LOCAL\"]\n{rules}"
    )
}

/// What tells tokens apart: a metastore that has started again counts from the beginning, so the number alone does not.
fn identity(instance: &InstanceStatus) -> (String, Option<String>) {
    let end = instance.lease.as_ref().and_then(|lease| lease.renewable_until.clone());
    (fact(instance, "number").to_owned(), end)
}

#[track_caller]
fn lists_databases(client: &Client, tokens: &Path) {
    assert_eq!(client.run("Metastore", &["databases"], Proof::TokenFile(tokens)).unwrap(), "default\n");
}

#[test]
fn hive_databases_are_listed_by_the_file_of_the_worker() {
    let kdc = Kdc::start().unwrap();
    let settings = Site::new()
        .hive_token_lives(RENEWAL, LONGEST)
        .protection("authentication,integrity,privacy")
        .proxy_user(PRINCIPAL);
    let mut hive = Hive::start(&kdc, &settings).unwrap();
    let client = hive.client().clone();
    // The first one is not there.
    let ports = [1, hive.port()];
    let signature = format!("signature = \"{}\"", Hive::SIGNATURE);
    let lines = "retry = { floor = \"200ms\", most = \"1s\" }\nrevoke = { replaced = \"1s\" }";
    let mut site = HadoopSite::new(&kdc).instance("hive", &instance(ports, "hive", lines, &signature)).receiver("");
    for (name, setting) in [
        ("authentication", "protection = \"authentication\""),
        ("integrity", "protection = \"integrity\""),
        ("privacy", "protection = \"privacy\""),
        ("proxied", "protection = \"privacy\"\ndoas = \"bob\""),
    ] {
        site.home.append(&instance(ports, name, "", &format!("{signature}\n{setting}")));
    }
    for name in ["authentication", "integrity", "privacy", "proxied"] {
        let obtained = Obtained::of(&site, name);
        let (quality, owner) = if name == "proxied" { ("privacy", PROXIED) } else { (name, "alice@TEST.LOCAL") };
        assert_eq!((obtained.fact("protection"), obtained.fact("owner")), (quality, owner));
        lists_databases(&client, &obtained.file);
    }

    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hive", 1)]);
    let begun = Instant::now();
    let first = copied(&site, "first-token");
    lists_databases(&client, &site.token_file());
    let held = coordinator.printed_instance("hive");
    let token = identity(&held);
    assert!(token.1.is_some(), "{token:?}");
    assert_eq!(fact(&held, "service"), Hive::SIGNATURE);
    site.wait_for_tokens(&coordinator, &[("hive", 4)]);
    assert_eq!(identity(&coordinator.printed_instance("hive")), token, "renewals of one token");

    hive.server().kill();
    hive.server().restart().unwrap();
    let before = coordinator.revision("hive");
    site.wait_for_tokens(&coordinator, &[("hive", before + 1), ("hive", 6)]);
    let renewed = identity(&coordinator.printed_instance("hive"));
    assert_eq!(renewed, token, "the same token is renewed after the restart");
    lists_databases(&client, &site.token_file());

    // Past the longest life of the first token.
    sleep((Duration::from_secs(u64::from(LONGEST) + 1)).saturating_sub(begun.elapsed()));
    coordinator.wait_until("a new token, and the first one is cancelled", || {
        let now = coordinator.instance_status("hive");
        identity(&now) != token && now.to_revoke == 0
    });
    let before = coordinator.revision("hive");
    site.wait_for_tokens(&coordinator, &[("hive", before)]);
    lists_databases(&client, &site.token_file());
    assert!(client.run("Metastore", &["databases"], Proof::TokenFile(&first)).is_err());
}

#[test]
fn metastores_with_a_common_store_serve_one_token() {
    let kdc = Kdc::start().unwrap();
    let mut pair = Metastores::start(&kdc, &Site::new().hive_token_lives(RENEWAL, 600)).unwrap();
    let client = pair.client().clone();
    let lines = "retry = { floor = \"200ms\", most = \"1s\" }";
    let signature = format!("signature = \"{}\"", Hive::SIGNATURE);
    let site = HadoopSite::new(&kdc).instance("hive", &instance(pair.ports(), "hive", lines, &signature)).receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("hive", 1)]);
    let held = coordinator.printed_instance("hive");
    let [first, second] = pair.ports().map(|port| format!("localhost:{port}"));
    assert_eq!(fact(&held, "server"), first);
    lists_databases(&client, &site.token_file());

    pair.server(0).unwrap().kill();
    let before = coordinator.revision("hive");
    site.wait_for_tokens(&coordinator, &[("hive", before + 1)]);
    let renewed = coordinator.printed_instance("hive");
    assert_eq!(fact(&renewed, "number"), fact(&held, "number"), "the other one renews the same token");
    assert_eq!(fact(&renewed, "server"), second);
    lists_databases(&client, &site.token_file());
}

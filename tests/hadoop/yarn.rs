//! YARN: applications are listed by the file of the worker alone, by RPC and by REST, through renewals, past the maximum,
//! after a restart, in each quality of protection, and for another user.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use deputy_test_harness::{HadoopSite, PRINCIPAL, fact};
use deputy_test_servers::{Client, Kdc, Proof, ResourceManagers, Site, Yarn, get};

use crate::cluster::{LONGEST, PROXIED, RENEWAL, copied, rpc_instance};
use crate::obtained::Obtained;

/// An instance of `yarn`: what stands in its table, and the settings.
fn instance(ports: &[u16], name: &str, lines: &str, settings: &str) -> String {
    rpc_instance("yarn", "resourcemanagers", ports, name, lines, settings)
}

#[track_caller]
fn lists_by_rpc(client: &Client, tokens: &Path) {
    let arguments = ["application", "-list"];
    let printed = client.run("org.apache.hadoop.yarn.client.cli.ApplicationCLI", &arguments, Proof::TokenFile(tokens));
    let printed = printed.unwrap();
    assert!(printed.contains("Total number of applications"), "{printed}");
}

/// The status of a list by REST, with the token of this file.
fn lists_by_rest(yarn: &Yarn, tokens: &Path) -> u16 {
    let printed = yarn.client().print_tokens(tokens).unwrap();
    let token = printed.lines().find(|line| line.starts_with("RM_DELEGATION_TOKEN")).unwrap();
    let token = token.split_ascii_whitespace().last().unwrap();
    get(yarn.http_port(), &format!("/ws/v1/cluster/apps?delegation={token}")).unwrap().status
}

#[test]
fn yarn_applications_are_listed_by_the_file_of_the_worker() {
    let kdc = Kdc::start().unwrap();
    let settings = Site::new()
        .yarn_token_lives(RENEWAL, LONGEST)
        .set("hadoop.rpc.protection", "authentication,integrity,privacy")
        .proxy_user(PRINCIPAL);
    let mut yarn = Yarn::start(&kdc, &settings).unwrap();
    let client = yarn.client().clone();
    let lines = "retry = { floor = \"200ms\", most = \"1s\" }\nrevoke = { replaced = \"1s\" }";
    let mut site =
        HadoopSite::new(&kdc).instance("yarn", &instance(&[yarn.rpc_port()], "yarn", lines, "")).receiver("");
    for (name, setting) in [
        ("authentication", "protection = \"authentication\""),
        ("integrity", "protection = \"integrity\""),
        ("proxied", "protection = \"privacy\"\ndoas = \"bob\""),
    ] {
        site.home.append(&instance(&[yarn.rpc_port()], name, "", setting));
    }
    for name in ["authentication", "integrity", "proxied"] {
        let obtained = Obtained::of(&site, name);
        let (quality, owner) = if name == "proxied" { ("privacy", PROXIED) } else { (name, "alice@TEST.LOCAL") };
        assert_eq!((obtained.fact("protection"), obtained.fact("owner")), (quality, owner));
        assert_eq!(lists_by_rest(&yarn, &obtained.file), 200);
    }

    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("yarn", 1)]);
    let begun = Instant::now();
    let first = copied(&site, "first-token");
    lists_by_rpc(&client, &site.token_file());
    let held = coordinator.printed_instance("yarn");
    let number = fact(&held, "number").to_owned();
    assert_eq!(fact(&held, "service"), format!("127.0.0.1:{}", yarn.rpc_port()));
    for lease in 2..=4 {
        site.wait_for_tokens(&coordinator, &[("yarn", lease)]);
    }

    yarn.server().kill();
    yarn.server().restart().unwrap();
    let before = coordinator.revision("yarn");
    site.wait_for_tokens(&coordinator, &[("yarn", before + 1), ("yarn", 6)]);
    assert_eq!(
        fact(&coordinator.printed_instance("yarn"), "number"),
        number,
        "one token is renewed, also after the restart"
    );
    lists_by_rpc(&client, &site.token_file());

    // Past the longest life of the first token.
    sleep((Duration::from_secs(u64::from(LONGEST) + 1)).saturating_sub(begun.elapsed()));
    coordinator.wait_until("a new token, and the first one is cancelled", || {
        let now = coordinator.instance_status("yarn");
        fact(&now, "number") != number && now.to_revoke == 0
    });
    let before = coordinator.revision("yarn");
    site.wait_for_tokens(&coordinator, &[("yarn", before)]);
    assert_eq!(lists_by_rest(&yarn, &site.token_file()), 200);
    assert_eq!(lists_by_rest(&yarn, &first), 403);
    lists_by_rpc(&client, &site.token_file());
}

#[test]
fn resourcemanagers_fail_over_with_one_token() {
    let kdc = Kdc::start().unwrap();
    let mut pair = ResourceManagers::start(&kdc, &Site::new().yarn_token_lives(RENEWAL, 600)).unwrap();
    let client = pair.client().clone();
    let lines = "retry = { floor = \"200ms\", most = \"1s\" }";
    let site = HadoopSite::new(&kdc).instance("yarn", &instance(&pair.rpc_ports(), "yarn", lines, "")).receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    coordinator.wait_until("the status says that none is active", || {
        let trouble = coordinator.instance_status("yarn").trouble;
        trouble.is_some_and(|trouble| trouble.message.contains("no server is active"))
    });
    pair.activate(&kdc, 0).unwrap();
    site.wait_for_tokens(&coordinator, &[("yarn", 1)]);
    let held = coordinator.printed_instance("yarn");
    let [first, second] = pair.rpc_ports();
    let service = format!("127.0.0.1:{first},127.0.0.1:{second}");
    assert_eq!((fact(&held, "service"), fact(&held, "server")), (service.as_str(), &*format!("localhost:{first}")));
    lists_by_rpc(&client, &site.token_file());

    pair.server(0).unwrap().kill();
    pair.activate(&kdc, 1).unwrap();
    let before = coordinator.revision("yarn");
    site.wait_for_tokens(&coordinator, &[("yarn", before + 1)]);
    let renewed = coordinator.printed_instance("yarn");
    assert_eq!(fact(&renewed, "number"), fact(&held, "number"), "the other one renews the same token");
    assert_eq!(fact(&renewed, "server"), format!("localhost:{second}"));
    lists_by_rpc(&client, &site.token_file());
}

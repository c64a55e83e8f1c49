//! YARN: applications are listed by the file of the worker alone, by RPC and by REST, through renewals, past the maximum,
//! after a restart, in each quality of protection, and for another user.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use deputy_test_servers::{Client, Kdc, Proof, Site, Yarn, get, guest};

use crate::cluster::{LONGEST, PRINCIPAL, PROXIED, RENEWAL, copied, fact};
use crate::obtained::Obtained;
use crate::site::HadoopSite;

/// An instance of `yarn`: what stands in its table, and the settings.
fn instance(yarn: &Yarn, name: &str, lines: &str, settings: &str) -> String {
    let component = guest("yarn").unwrap();
    format!(
        "[instances.{name}]\ncomponent = {component:?}\n{lines}\n\
         [instances.{name}.settings]\nresourcemanagers = \"localhost:{rpc}\"\n{settings}\n\
         [instances.{name}.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"yarn/localhost@TEST.LOCAL\"]\n\
         [[instances.{name}.tcp]]\nallow = \"localhost:{rpc}\"\nnetworks = [\"loopback\"]\n",
        rpc = yarn.rpc_port(),
    )
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
    let mut site = HadoopSite::new(&kdc).instance("yarn", &instance(&yarn, "yarn", lines, "")).receiver("");
    for (name, setting) in [
        ("authentication", "protection = \"authentication\""),
        ("integrity", "protection = \"integrity\""),
        ("proxied", "protection = \"privacy\"\ndoas = \"bob\""),
    ] {
        site.home.append(&instance(&yarn, name, "", setting));
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
    let held = coordinator.instance("yarn");
    let number = fact(&held, "number").to_owned();
    assert_eq!(fact(&held, "service"), format!("127.0.0.1:{}", yarn.rpc_port()));
    for lease in 2..=4 {
        site.wait_for_tokens(&coordinator, &[("yarn", lease)]);
    }

    yarn.server().kill();
    yarn.server().restart().unwrap();
    let before = coordinator.revision("yarn");
    site.wait_for_tokens(&coordinator, &[("yarn", before + 1), ("yarn", 6)]);
    assert_eq!(fact(&coordinator.instance("yarn"), "number"), number, "one token is renewed, also after the restart");
    lists_by_rpc(&client, &site.token_file());

    // Past the longest life of the first token.
    sleep((Duration::from_secs(u64::from(LONGEST) + 1)).saturating_sub(begun.elapsed()));
    coordinator.wait_until("a new token", || fact(&coordinator.instance_now("yarn"), "number") != number);
    let before = coordinator.revision("yarn");
    site.wait_for_tokens(&coordinator, &[("yarn", before)]);
    assert_eq!(lists_by_rest(&yarn, &site.token_file()), 200);
    assert_eq!(lists_by_rest(&yarn, &first), 403);
    lists_by_rpc(&client, &site.token_file());
}

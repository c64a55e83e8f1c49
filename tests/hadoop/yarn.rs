//! YARN: applications are listed by the file of the worker alone, by RPC and by REST, through renewals, past the maximum,
//! after a restart, in each quality of protection, and for another user; two ResourceManagers have one token.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use deputy_test_harness::{HadoopSite, PRINCIPAL, fact};
use deputy_test_servers::{Client, Kdc, Proof, ResourceManagers, Site, Yarn, get};

use crate::cluster::{LONGEST, PROXIED, RENEWAL, copied, rpc_instance};
use crate::obtained::Obtained;

/// The instances of a site: by RPC, and over HTTP.
const BOTH: [&str; 2] = ["yarn", "rest"];

/// An instance of `yarn`: what stands in its table, and the settings.
fn instance(ports: &[u16], name: &str, lines: &str, settings: &str) -> String {
    rpc_instance("yarn", "resourcemanagers", ports, name, lines, settings)
}

/// The same over HTTP, by these ResourceManagers' ports for REST. Clients look for the token by those for RPC.
pub(crate) fn rest_instance(ports: &[u16], rest: &[u16], name: &str, lines: &str, settings: &str) -> String {
    let urls: Vec<String> = rest.iter().map(|port| format!("http://localhost:{port}")).collect();
    let rules: String = urls
        .iter()
        .map(|url| {
            format!(
                "[[instances.{name}.http]]\nallow = \"{url}\"\nmethods = [\"POST\", \"DELETE\"]\n\
                 paths = [\"/ws/v1/cluster/delegation-token\"]\nnetworks = [\"loopback\"]\n\
                 negotiate = \"HTTP/localhost@TEST.LOCAL\"\n"
            )
        })
        .collect();
    let settings = format!("urls = \"{}\"\n{settings}", urls.join(","));
    // No context by the component itself: the host adds the tickets.
    let target = "targets = [\"yarn/localhost@TEST.LOCAL\"]\n";
    instance(ports, name, lines, &settings).replacen(target, "", 1) + &rules
}

#[track_caller]
fn lists_by_rpc(client: &Client, tokens: &Path) {
    let arguments = ["application", "-list"];
    let printed = client.run("org.apache.hadoop.yarn.client.cli.ApplicationCLI", &arguments, Proof::TokenFile(tokens));
    let printed = printed.unwrap();
    assert!(printed.contains("Total number of applications"), "{printed}");
}

/// The status of a list by REST, with the token of this service in this file, as `hadoop dtutil` prints it.
fn status_by_rest(yarn: &Yarn, tokens: &Path, service: &str) -> u16 {
    let printed = yarn.client().print_tokens(tokens).unwrap();
    let is_of_service = |line: &&str| line.split_ascii_whitespace().take(2).eq(["RM_DELEGATION_TOKEN", service]);
    let token = printed.lines().find(is_of_service).unwrap_or_else(|| panic!("no token of {service}: {printed}"));
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
    let (rpc, http) = ([yarn.rpc_port()], [yarn.http_port()]);
    let client = yarn.client().clone();
    let lines = "renew = { ratio = 0.5 }\nretry = { floor = \"200ms\", most = \"1s\" }\nrevoke = { replaced = \"1s\" }";
    let mut site = HadoopSite::new(&kdc)
        .instance("yarn", &instance(&rpc, "yarn", lines, ""))
        // A name of its own in the file, since both are tokens of one service.
        .instance("rest", &rest_instance(&rpc, &http, "rest", lines, "service = \"rest\""))
        .receiver("");
    for (name, setting) in [
        ("authentication", "protection = \"authentication\""),
        ("integrity", "protection = \"integrity\""),
        ("proxied", "protection = \"privacy\"\ndoas = \"bob\""),
    ] {
        site.home.append(&instance(&rpc, name, "", setting));
    }
    site.home.append(&rest_instance(&rpc, &http, "proxied-by-rest", "", "doas = \"bob\""));
    let service = format!("127.0.0.1:{}", yarn.rpc_port());
    for name in ["authentication", "integrity", "proxied", "proxied-by-rest"] {
        let obtained = Obtained::of(&site, name);
        let (quality, owner) = match name {
            "proxied" => ("privacy", PROXIED),
            "proxied-by-rest" => ("", PROXIED),
            quality => (quality, "alice@TEST.LOCAL"),
        };
        assert_eq!((obtained.fact("protection"), obtained.fact("owner")), (quality, owner));
        assert_eq!(status_by_rest(&yarn, &obtained.file, &service), 200, "{name}");
    }
    // What came over HTTP is good for RPC.
    lists_by_rpc(&client, &site.home.path("secrets/proxied-by-rest"));

    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &BOTH.map(|name| (name, 1)));
    let begun = Instant::now();
    let first = copied(&site, "first-token");
    lists_by_rpc(&client, &site.token_file());
    let numbers = || BOTH.map(|name| fact(&coordinator.printed_instance(name), "number").to_owned());
    let held = numbers();
    let services = BOTH.map(|name| fact(&coordinator.printed_instance(name), "service").to_owned());
    assert_eq!(services, [service.as_str(), "rest"]);
    for lease in 2..=4 {
        site.wait_for_tokens(&coordinator, &BOTH.map(|name| (name, lease)));
    }

    yarn.server().kill();
    yarn.server().restart().unwrap();
    let next = BOTH.map(|name| (name, coordinator.revision(name) + 1));
    site.wait_for_tokens(&coordinator, &next);
    site.wait_for_tokens(&coordinator, &BOTH.map(|name| (name, 6)));
    assert_eq!(numbers(), held, "the same tokens are renewed, also after the restart");
    lists_by_rpc(&client, &site.token_file());
    for name in [service.as_str(), "rest"] {
        assert_eq!(status_by_rest(&yarn, &site.token_file(), name), 200, "{name}");
    }

    // Past the longest life of the first tokens.
    sleep((Duration::from_secs(u64::from(LONGEST) + 1)).saturating_sub(begun.elapsed()));
    for (name, number) in BOTH.iter().zip(&held) {
        coordinator.wait_until("a new token, and the first one is cancelled", || {
            let now = coordinator.instance_status(name);
            fact(&now, "number") != number && now.to_revoke == 0
        });
        assert!(coordinator.printed_instance(name).not_revoked.is_none(), "{name}");
    }
    let next = BOTH.map(|name| (name, coordinator.revision(name)));
    site.wait_for_tokens(&coordinator, &next);
    for name in [service.as_str(), "rest"] {
        assert_eq!(status_by_rest(&yarn, &site.token_file(), name), 200, "{name}");
        assert_eq!(status_by_rest(&yarn, &first, name), 403, "{name}");
    }
    lists_by_rpc(&client, &site.token_file());
}

#[test]
fn resourcemanagers_fail_over_with_one_token() {
    let kdc = Kdc::start().unwrap();
    let mut pair = ResourceManagers::start(&kdc, &Site::new().yarn_token_lives(RENEWAL, 600)).unwrap();
    let client = pair.client().clone();
    let lines = "renew = { ratio = 0.5 }\nretry = { floor = \"200ms\", most = \"1s\" }";
    let (rpc, http) = (pair.rpc_ports(), pair.http_ports());
    let site = HadoopSite::new(&kdc)
        .instance("yarn", &instance(&rpc, "yarn", lines, ""))
        .instance("rest", &rest_instance(&rpc, &http, "rest", lines, ""))
        .receiver("prefer = \"yarn\"");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    coordinator.wait_until("the status says that none is active", || {
        let trouble = coordinator.instance_status("yarn").trouble;
        trouble.is_some_and(|trouble| trouble.message.contains("no server is active"))
    });
    pair.activate(&kdc, 0).unwrap();
    site.wait_for_tokens(&coordinator, &BOTH.map(|name| (name, 1)));
    let servers = |index: usize| {
        [
            format!("localhost:{}", rpc[index]),
            format!("http://localhost:{}/ws/v1/cluster/delegation-token", http[index]),
        ]
    };
    let [first, second] = rpc;
    let service = format!("127.0.0.1:{first},127.0.0.1:{second}");
    let held = BOTH.map(|name| coordinator.printed_instance(name));
    for (held, server) in held.iter().zip(servers(0)) {
        assert_eq!((fact(held, "service"), fact(held, "server")), (service.as_str(), &*server));
    }
    lists_by_rpc(&client, &site.token_file());

    pair.server(0).unwrap().kill();
    pair.activate(&kdc, 1).unwrap();
    let next = BOTH.map(|name| (name, coordinator.revision(name) + 1));
    site.wait_for_tokens(&coordinator, &next);
    for ((name, held), server) in BOTH.iter().zip(&held).zip(servers(1)) {
        let renewed = coordinator.printed_instance(name);
        assert_eq!(fact(&renewed, "number"), fact(held, "number"), "the other one renews the same token");
        assert_eq!(fact(&renewed, "server"), server);
    }
    lists_by_rpc(&client, &site.token_file());
}

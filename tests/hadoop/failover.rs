//! Two NameNodes; one is active: a fail-over between two calls, and in the middle of one. All of it in privacy.

use std::fs;
use std::thread;

use deputy_test_harness::{HadoopSite, exit, fact};
use deputy_test_servers::{NameNodes, Proof, Site};

use crate::cluster::{RENEWAL, hdfs_instance, shared, web_instance};

/// The instances: by RPC, and over HTTP.
const BOTH: [&str; 2] = ["hdfs", "webhdfs"];

#[test]
fn namenodes_fail_over_between_and_during_obtains() {
    let cluster = shared();
    let kdc = &cluster.kdc;
    let settings = Site::new().protection("privacy").hdfs_token_lives(RENEWAL, 600);
    let mut pair = NameNodes::start(kdc, &settings).unwrap();
    let client = pair.client().clone();
    let local = client.conf().join("both");
    fs::write(&local, "for both").unwrap();
    let local = local.display().to_string();
    let nameservice = format!("nameservice = \"{}\"", NameNodes::NAMESERVICE);
    let lines = "renew = { ratio = 0.5 }\nretry = { floor = \"200ms\", most = \"1s\" }";
    let urls = pair.http_ports().map(|port| format!("http://localhost:{port}"));
    let web_settings = format!("urls = \"{}\"\n{nameservice}", urls.join(","));
    let site = HadoopSite::new(kdc)
        .instance("hdfs", &hdfs_instance("hdfs", &pair.rpc_ports(), lines, &nameservice))
        .instance("webhdfs", &web_instance("webhdfs", "webhdfs", &[&urls[0], &urls[1]], lines, &web_settings))
        .receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &BOTH.map(|name| (name, 1)));
    let held = coordinator.printed_instance("hdfs");
    let [first, second] = pair.rpc_ports().map(|port| format!("localhost:{port}"));
    let expected = ["ha-hdfs:pair", "privacy", first.as_str()];
    assert_eq!(["service", "protection", "server"].map(|name| fact(&held, name)), expected);
    // Written over HTTP, and read in both ways.
    let uses = |name: &str| {
        let (tokens, path) = (site.token_file(), format!("/open/{name}"));
        let (proof, web) = (Proof::TokenFile(&tokens), format!("webhdfs://pair{path}"));
        client.fs(&["-put", "-f", &local, &web], proof).unwrap();
        assert_eq!(client.fs(&["-cat", &path, &web], proof).unwrap(), "for bothfor both");
    };
    uses("a");

    // Between two calls: the renewal of the same token goes to the other one.
    pair.activate(kdc, 1).unwrap();
    let next = BOTH.map(|name| (name, coordinator.revision(name) + 1));
    site.wait_for_tokens(&coordinator, &next);
    let renewed = coordinator.printed_instance("hdfs");
    assert_eq!((fact(&renewed, "server"), fact(&renewed, "number")), (second.as_str(), fact(&held, "number")));
    uses("b");

    // During one: the active one falls silent, and the other takes over while the call waits.
    pair.server(1).unwrap().pause().unwrap();
    let next = BOTH.map(|name| (name, coordinator.revision(name) + 1));
    thread::scope(|scope| {
        scope.spawn(|| BOTH.map(|name| site.home.deputy(&["renew", name]).ends_with(exit::OK)));
        pair.activate(kdc, 0).unwrap();
    });
    coordinator.wait_until("a token of the other one", || {
        let now = coordinator.instance_status("hdfs");
        fact(&now, "number") != fact(&held, "number") && fact(&now, "server") == first
    });
    site.wait_for_tokens(&coordinator, &next);
    pair.server(1).unwrap().kill();
    // The DataNode lives with the second one.
    pair.server(1).unwrap().restart().unwrap();
    uses("c");
}

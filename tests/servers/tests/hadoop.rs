//! Hadoop's servers start, refuse a client that proves nothing, and serve one with a ticket or a token.
#![expect(clippy::disallowed_methods, reason = "plain blocking test code, which waits for servers on this machine")]
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use deputy_test_servers::{Hdfs, HttpFs, Kdc, Kms, NameNodes, Proof, Site, Tls, Yarn, get};

/// The seconds that a token of the shared HDFS and KMS lives without a renewal.
const RENEWAL: u32 = 12;

/// What a client says that has neither a ticket nor a token.
const NO_PROOF: &str = "Client cannot authenticate via:[TOKEN, KERBEROS]";

/// What most tests share.
struct Shared {
    kdc: Kdc,
    kms: Kms,
    hdfs: Hdfs,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let kdc = Kdc::start().unwrap();
        let kms = Kms::start(&kdc, &Site::new()).unwrap();
        let settings = Site::new().hdfs_token_lives(RENEWAL, 60).key_provider(&kms).proxy_user("httpfs");
        let hdfs = Hdfs::start(&kdc, &settings).unwrap();
        Shared { kdc, kms, hdfs }
    })
}

/// Writes a local file with this text.
fn text(folder: &std::path::Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// Fetches tokens with a ticket, as `hdfs fetchdt` does.
fn fetch(hdfs: &Hdfs, ticket: Proof<'_>, name: &str) -> PathBuf {
    let file = hdfs.folder().join(name);
    hdfs.client().fetchdt(&["--renewer", "alice", &file.display().to_string()], ticket).unwrap();
    file
}

#[test]
fn hdfs_serves_a_ticket_and_refuses_no_proof() {
    let Shared { kdc, hdfs, .. } = shared();
    let alice = kdc.ticket("alice").unwrap();
    let (ticket, client) = (Proof::Ticket(&alice), hdfs.client());
    client.fs(&["-put", &text(hdfs.folder(), "a", "by RPC"), "/open/rpc"], ticket).unwrap();
    assert_eq!(client.fs(&["-cat", "/open/rpc"], ticket).unwrap(), "by RPC");
    let refused = client.fs(&["-cat", "/open/rpc"], Proof::Nothing).unwrap_err().to_string();
    assert!(refused.contains(NO_PROOF), "{refused}");

    let web = format!("webhdfs://localhost:{}/open/web", hdfs.http_port());
    client.fs(&["-put", &text(hdfs.folder(), "b", "by HTTP"), &web], ticket).unwrap();
    assert_eq!(client.fs(&["-cat", &web], ticket).unwrap(), "by HTTP");
    let refused = client.fs(&["-cat", &web], Proof::Nothing).unwrap_err().to_string();
    assert!(refused.contains("Authentication required"), "{refused}");
}

#[test]
fn hdfs_token_works_until_expiry_and_after_renewal() {
    let Shared { kdc, hdfs, .. } = shared();
    let alice = kdc.ticket("alice").unwrap();
    let (ticket, client) = (Proof::Ticket(&alice), hdfs.client());
    let file = fetch(hdfs, ticket, "tokens");
    let tokens = Proof::TokenFile(&file);
    assert!(client.print_tokens(&file).unwrap().contains("HDFS_DELEGATION_TOKEN"));
    client.fs(&["-ls", "/open"], tokens).unwrap();
    sleep(Duration::from_secs(u64::from(RENEWAL)));
    let refused = client.fs(&["-ls", "/open"], tokens).unwrap_err().to_string();
    assert!(refused.contains("has expired"), "{refused}");
    client.fetchdt(&["--renew", &file.display().to_string()], ticket).unwrap();
    client.fs(&["-ls", "/open"], tokens).unwrap();
    client.fetchdt(&["--cancel", &file.display().to_string()], ticket).unwrap();
    let refused = client.fs(&["-ls", "/open"], tokens).unwrap_err().to_string();
    assert!(refused.contains("can't be found in cache"), "{refused}");
}

#[test]
fn kms_opens_an_encryption_zone_by_tokens_alone() {
    let Shared { kdc, kms, hdfs } = shared();
    hdfs.encryption_zone(kdc, "/zone", "zone-key").unwrap();
    let alice = kdc.ticket("alice").unwrap();
    let (ticket, client) = (Proof::Ticket(&alice), hdfs.client());
    client.fs(&["-put", &text(hdfs.folder(), "c", "in the zone"), "/zone/file"], ticket).unwrap();
    let file = hdfs.folder().join("zone-tokens");
    client.fetch_tokens("alice", &file, "hdfs:///", ticket).unwrap();
    let printed = client.print_tokens(&file).unwrap();
    assert!(printed.contains("kms-dt") && printed.contains("HDFS_DELEGATION_TOKEN"), "{printed}");
    assert_eq!(client.fs(&["-cat", "/zone/file"], Proof::TokenFile(&file)).unwrap(), "in the zone");
    // What is stored is not what was written.
    let raw = client.fs(&["-cat", "/.reserved/raw/zone/file"], Proof::Ticket(&kdc.ticket("hdfs/localhost").unwrap()));
    assert_ne!(raw.unwrap(), "in the zone");
    assert_eq!(get(kms.port(), "/kms/v1/keys/names").unwrap().status, 401);
}

#[test]
fn httpfs_serves_a_ticket_and_its_token() {
    let Shared { kdc, hdfs, .. } = shared();
    let httpfs = HttpFs::start(kdc, hdfs.client(), &Site::new()).unwrap();
    let alice = kdc.ticket("alice").unwrap();
    let (ticket, client) = (Proof::Ticket(&alice), hdfs.client());
    let root = format!("webhdfs://localhost:{}", httpfs.port());
    let file = format!("{root}/open/httpfs");
    client.fs(&["-put", &text(hdfs.folder(), "d", "by HttpFS"), &file], ticket).unwrap();
    let tokens = hdfs.folder().join("httpfs-tokens");
    let arguments = ["-fs", &root, "--renewer", "alice", &tokens.display().to_string()];
    client.fetchdt(&arguments, ticket).unwrap();
    assert!(client.print_tokens(&tokens).unwrap().contains("WEBHDFS delegation"));
    assert_eq!(client.fs(&["-cat", &file], Proof::TokenFile(&tokens)).unwrap(), "by HttpFS");
    assert!(client.fs(&["-cat", &file], Proof::Nothing).is_err());
}

#[test]
fn hdfs_with_privacy_keeps_tokens_over_a_restart() {
    let kdc = &shared().kdc;
    let tls = Tls::new().unwrap();
    let mut hdfs = Hdfs::start_with_tls(kdc, &Site::new().protection("privacy"), &tls).unwrap();
    let alice = kdc.ticket("alice").unwrap();
    hdfs.client().fs(&["-put", &text(hdfs.folder(), "e", "kept"), "/open/kept"], Proof::Ticket(&alice)).unwrap();
    let file = fetch(&hdfs, Proof::Ticket(&alice), "tokens");
    let tokens = Proof::TokenFile(&file);
    let web = format!("swebhdfs://localhost:{}/open/kept", hdfs.https_port());
    assert_eq!(hdfs.client().fs(&["-cat", &web], Proof::Ticket(&alice)).unwrap(), "kept");
    hdfs.server().kill();
    assert!(get(hdfs.http_port(), "/").is_none(), "it still answers");
    hdfs.server().restart().unwrap();
    assert_eq!(hdfs.client().fs(&["-cat", "/open/kept"], tokens).unwrap(), "kept");
}

#[test]
fn namenodes_fail_over_with_files_and_tokens() {
    let kdc = &shared().kdc;
    let mut pair = NameNodes::start(kdc, &Site::new()).unwrap();
    let client = pair.client().clone();
    let alice = kdc.ticket("alice").unwrap();
    let ticket = Proof::Ticket(&alice);
    let file = text(client.conf(), "f", "for both");
    client.fs(&["-put", &file, "/open/both"], ticket).unwrap();
    let tokens = client.conf().join("tokens");
    client.fetchdt(&["--renewer", "alice", &tokens.display().to_string()], ticket).unwrap();
    let tokens = Proof::TokenFile(&tokens);
    pair.activate(kdc, 1).unwrap();
    let states = pair.haadmin(kdc, &["-getAllServiceState"]).unwrap();
    let [first, second] = pair.rpc_ports();
    let state = |port: u16| states.lines().find(|line| line.contains(&format!(":{port} "))).unwrap_or_default();
    assert!(state(first).contains("standby") && state(second).contains("active"), "{states}");
    assert_eq!(client.fs(&["-cat", "/open/both"], tokens).unwrap(), "for both");
    pair.server(0).unwrap().kill();
    assert_eq!(client.fs(&["-cat", "/open/both"], tokens).unwrap(), "for both");
    pair.server(0).unwrap().restart().unwrap();
    pair.activate(kdc, 0).unwrap();
    assert_eq!(client.fs(&["-cat", "/open/both"], tokens).unwrap(), "for both");
}

#[test]
fn yarn_token_lists_applications_by_rpc_and_rest() {
    let kdc = &shared().kdc;
    let mut yarn = Yarn::start(kdc, &Site::new()).unwrap();
    let client = yarn.client().clone();
    let alice = kdc.ticket("alice").unwrap();
    let list = |proof: Proof<'_>| {
        client.run("org.apache.hadoop.yarn.client.cli.ApplicationCLI", &["application", "-list"], proof)
    };
    let refused = list(Proof::Nothing).unwrap_err().to_string();
    assert!(refused.contains(NO_PROOF), "{refused}");
    let file = client.conf().join("tokens");
    client.run("YarnToken", &["alice", &file.display().to_string()], Proof::Ticket(&alice)).unwrap();
    let printed = client.print_tokens(&file).unwrap();
    let token = printed.lines().find(|line| line.starts_with("RM_DELEGATION_TOKEN")).unwrap();
    let token = token.split_ascii_whitespace().last().unwrap();
    let rest = |query: &str| get(yarn.http_port(), &format!("/ws/v1/cluster/apps{query}")).unwrap();
    assert_eq!(rest("").status, 401);
    assert_eq!(rest(&format!("?delegation={token}")).body, "{\"apps\":{}}");
    yarn.server().kill();
    yarn.server().restart().unwrap();
    let printed = list(Proof::TokenFile(&file)).unwrap();
    assert!(printed.contains("Total number of applications"), "{printed}");
}

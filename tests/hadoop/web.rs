//! WebHDFS, HttpFS and KMS: tokens over HTTP, for which the host adds the tickets. One file of the worker has the tokens of
//! all services, and clients use all of them.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use deputy_test_harness::{HadoopSite, exit, fact};
use deputy_test_servers::{HttpFs, Kms, Proof, Site};

use crate::cluster::{Cluster, LONGEST, PROXIED, copied, shared, web_instance, writes_and_reads};

/// The instances that [`with_all`] has.
pub(crate) const ALL: [&str; 3] = ["hdfs", "kms", "webhdfs"];

/// A site with all three services of the cluster, each with these lines and settings as well.
pub(crate) fn with_all(cluster: &Cluster, lines: &str, settings: &str) -> HadoopSite {
    let quality = format!("protection = \"authentication\"\n{settings}");
    HadoopSite::new(&cluster.kdc)
        .instance("hdfs", &cluster.hdfs_instance("hdfs", lines, &quality))
        .instance("kms", &cluster.kms_instance("kms", lines, settings))
        .instance("webhdfs", &cluster.webhdfs_instance("webhdfs", lines, settings))
        .receiver("")
}

/// Writes by RPC, copies what was written over HTTP and from there into the encryption zone, and reads all three: by the
/// worker's file alone.
#[track_caller]
pub(crate) fn uses_all(cluster: &Cluster, site: &HadoopSite, name: &str) {
    let client = cluster.hdfs.client();
    let tokens = site.token_file();
    let proof = Proof::TokenFile(&tokens);
    let web = format!("webhdfs://localhost:{}/open/{name}-web", cluster.hdfs.http_port());
    let (rpc, zone) = (format!("/open/{name}-rpc"), format!("/zone/{name}"));
    client.fs(&["-put", "-f", &cluster.text(name, "all\n"), &rpc], proof).unwrap();
    client.fs(&["-cp", "-f", &rpc, &web], proof).unwrap();
    client.fs(&["-cp", "-f", &web, &zone], proof).unwrap();
    assert_eq!(client.fs(&["-cat", &rpc, &web, &zone], proof).unwrap(), "all\nall\nall\n");
}

#[test]
fn hadoop_tokens_live_through_renewals_and_past_their_maximum() {
    let cluster = shared();
    // Servers and clients on a busy machine take seconds.
    let site = with_all(&cluster, "renew = { ratio = 0.5 }", "");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &ALL.map(|name| (name, 1)));
    let begun = Instant::now();
    // What a client that started now has read.
    let old = copied(&site, "first-tokens");
    let numbers = || ALL.map(|name| fact(&coordinator.printed_instance(name), "number").to_owned());
    let first = numbers();
    for lease in 2..=6 {
        site.wait_for_tokens(&coordinator, &ALL.map(|name| (name, lease)));
    }
    assert_eq!(numbers(), first, "five renewals of the same tokens");
    uses_all(&cluster, &site, "renewed");
    sleep(Duration::from_secs(u64::from(LONGEST) + 1).saturating_sub(begun.elapsed()));
    let later = numbers();
    assert!(later.iter().zip(&first).all(|(later, first)| later != first), "{later:?} {first:?}");
    uses_all(&cluster, &site, "again");
    let refused = cluster.hdfs.client().fs(&["-ls", "/open"], Proof::TokenFile(&old)).unwrap_err().to_string();
    assert!(refused.contains("expired") || refused.contains("can't be found in cache"), "{refused}");
}

#[test]
fn hadoop_tokens_are_for_the_proxied_user_and_cancelled() {
    let cluster = shared();
    let mut site = with_all(&cluster, "", &format!("doas = \"{PROXIED}\""));
    for name in ALL {
        site.home.append(&format!("[instances.{name}.revoke]\nreplaced = \"1s\"\n"));
    }
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &ALL.map(|name| (name, 1)));
    let numbers = ALL.map(|name| fact(&coordinator.printed_instance(name), "number").to_owned());
    let first = copied(&site, "first-tokens");
    // Renewed by the principal.
    site.wait_for_tokens(&coordinator, &ALL.map(|name| (name, 2)));
    for (name, number) in ALL.iter().zip(&numbers) {
        assert_eq!(fact(&coordinator.printed_instance(name), "number"), number, "{name}");
    }
    uses_all(&cluster, &site, "proxied");
    let stat =
        |path: &str| cluster.hdfs.client().fs(&["-stat", "%u", path], Proof::TokenFile(&site.token_file())).unwrap();
    for path in ["/open/proxied-rpc", "/open/proxied-web", "/zone/proxied"] {
        assert_eq!(stat(path).trim(), PROXIED, "{path}");
    }
    for name in ALL {
        site.home.deputy(&["renew", name]).ends_with(exit::OK);
    }
    for (name, number) in ALL.iter().zip(&numbers) {
        coordinator.wait_until(&format!("the first of {name} is cancelled"), || {
            let now = coordinator.instance_status(name);
            fact(&now, "number") != number && now.to_revoke == 0
        });
        assert_eq!(coordinator.printed_instance(name).not_revoked, None, "{name}");
    }
    let web = format!("webhdfs://localhost:{}/open/proxied-web", cluster.hdfs.http_port());
    for path in ["/open/proxied-rpc", &web] {
        let refused = cluster.hdfs.client().fs(&["-cat", path], Proof::TokenFile(&first)).unwrap_err().to_string();
        assert!(refused.contains("can't be found in cache"), "{path}: {refused}");
    }
    uses_all(&cluster, &site, "proxied");
}

#[test]
fn httpfs_and_servers_with_tls_give_tokens_of_their_own() {
    let cluster = shared();
    let (httpfs, kms) = thread::scope(|scope| {
        let kms = scope.spawn(|| Kms::start_with_tls(&cluster.kdc, &Site::new(), &cluster.tls).unwrap());
        // It acts for its users at the NameNode.
        let httpfs = HttpFs::start(&cluster.kdc, cluster.lasting.client(), &Site::new()).unwrap();
        (httpfs, kms.join().unwrap())
    });
    let (first, second) =
        (format!("http://localhost:{}", httpfs.port()), format!("https://localhost:{}", cluster.lasting.https_port()));
    let instance = |name: &str, url: &str| web_instance(name, "webhdfs", &[url], "", &format!("urls = \"{url}\""));
    let roots = format!("allow = {second:?}\nroots = {:?}", cluster.tls.roots());
    let secure = instance("swebhdfs", &second).replacen(&format!("allow = {second:?}"), &roots, 1);
    // Nothing listens at the first address of the KMS.
    let keys = kms.uri().replace("localhost", "127.0.0.2;localhost");
    let urls = ["127.0.0.2", "localhost"].map(|host| format!("https://{host}:{}", kms.port()));
    let mut kms_lines =
        web_instance("kms", "kms", &urls.each_ref().map(String::as_str), "", &format!("provider = \"{keys}\""));
    // Each rule adds a ticket for its own host.
    cluster.kdc.keytab("HTTP/127.0.0.2").unwrap();
    kms_lines = kms_lines.replacen("HTTP/localhost@", "HTTP/127.0.0.2@", 1);
    for url in &urls {
        let roots = format!("allow = {url:?}\nroots = {:?}", cluster.tls.roots());
        kms_lines = kms_lines.replacen(&format!("allow = {url:?}"), &roots, 1);
    }
    let site = HadoopSite::new(&cluster.kdc)
        .instance("httpfs", &instance("httpfs", &first))
        .instance("kms", &kms_lines)
        .instance("swebhdfs", &secure)
        .receiver("");
    let coordinator = site.coordinator();
    let _worker = site.worker();
    site.wait_for_tokens(&coordinator, &[("httpfs", 1), ("kms", 1), ("swebhdfs", 1)]);
    let (client, local) = (cluster.lasting.client(), cluster.text("web", "over HTTP"));
    for root in [first.replace("http", "webhdfs"), second.replace("https", "swebhdfs")] {
        writes_and_reads(client, &site.token_file(), &local, &format!("{root}/open/web"), &[]);
    }
    let held = coordinator.printed_instance("kms");
    assert!(fact(&held, "server").starts_with(&urls[1]), "{held:?}");
    let list = ["list", "-provider", &keys];
    let listed =
        client.run("org.apache.hadoop.crypto.key.KeyShell", &list, Proof::TokenFile(&site.token_file())).unwrap();
    assert!(listed.contains("Listing keys for KeyProvider"), "{listed}");
}

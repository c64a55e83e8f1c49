//! The servers that most tests share: a KDC, a KMS, and an HDFS whose tokens live for seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use deputy_test_harness::{HadoopSite, PRINCIPAL};
use deputy_test_servers::{Client, Hdfs, Kdc, Kms, Proof, Site, Tls, guest};

/// The seconds that a token works without a renewal.
pub(crate) const RENEWAL: u32 = 15;
/// The seconds that it works at all.
pub(crate) const LONGEST: u32 = 75;

/// The user on whose behalf it obtains tokens.
pub(crate) const PROXIED: &str = "bob";

/// The realm of users whom a NameNode lets in besides those of its own realm.
pub(crate) const OTHER_REALM: &str = "CLIENTS.LOCAL";
/// How that NameNode shortens their names.
const RULES: &str = "RULE:[1:$1@$0](.*@CLIENTS.LOCAL)s/@.*//\nDEFAULT";

pub(crate) struct Cluster {
    pub(crate) kdc: Kdc,
    pub(crate) kms: Kms,
    /// Its tokens live for seconds, and clients choose the quality of protection.
    pub(crate) hdfs: Hdfs,
    /// Its tokens live for a day, and it serves WebHDFS over TLS, too.
    pub(crate) lasting: Hdfs,
    /// The certificate of that one.
    pub(crate) tls: Tls,
}

fn cluster() -> &'static RwLock<Cluster> {
    static CLUSTER: OnceLock<RwLock<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| RwLock::new(Cluster::start()))
}

/// The servers, for a test that leaves them as they are.
pub(crate) fn shared() -> RwLockReadGuard<'static, Cluster> {
    cluster().read().unwrap_or_else(PoisonError::into_inner)
}

/// The servers, for a test that stops some of them: no other one uses them meanwhile.
pub(crate) fn exclusive() -> RwLockWriteGuard<'static, Cluster> {
    cluster().write().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    fn start() -> Self {
        let kdc = Kdc::start().unwrap();
        let proxy = Site::new()
            .set(&format!("hadoop.kms.proxyuser.{PRINCIPAL}.hosts"), "*")
            .set(&format!("hadoop.kms.proxyuser.{PRINCIPAL}.users"), "*");
        let tls = Tls::new().unwrap();
        let open = Site::new().proxy_user("httpfs").proxy_user("router").set("hadoop.security.auth_to_local", RULES);
        let (kms, hdfs, lasting) = thread::scope(|scope| {
            let lasting = scope.spawn(|| Hdfs::start_with_tls(&kdc, &open, &tls).unwrap());
            let kms = Kms::start(&kdc, &proxy.kms_token_lives(RENEWAL, LONGEST)).unwrap();
            let settings = Site::new()
                .hdfs_token_lives(RENEWAL, LONGEST)
                .key_provider(&kms)
                .proxy_user(PRINCIPAL)
                // A client chooses; without a choice it takes the first.
                .protection("authentication,integrity,privacy");
            let hdfs = Hdfs::start(&kdc, &settings).unwrap();
            hdfs.encryption_zone(&kdc, "/zone", "zone-key").unwrap();
            (kms, hdfs, lasting.join().unwrap())
        });
        Self { kdc, kms, hdfs, lasting, tls }
    }

    /// An instance of `hdfs` for the NameNode whose tokens live for a day.
    pub(crate) fn lasting_instance(&self, name: &str, settings: &str) -> String {
        hdfs_instance(name, &[self.lasting.rpc_port()], "", settings)
    }

    /// An instance of `hdfs` for this NameNode: what stands in its table, and among its settings.
    pub(crate) fn hdfs_instance(&self, name: &str, lines: &str, settings: &str) -> String {
        hdfs_instance(name, &[self.hdfs.rpc_port()], lines, settings)
    }

    /// An instance of `webhdfs` for this NameNode.
    pub(crate) fn webhdfs_instance(&self, name: &str, lines: &str, settings: &str) -> String {
        let url = format!("http://localhost:{}", self.hdfs.http_port());
        web_instance(name, "webhdfs", &[&url], lines, &format!("urls = \"{url}\"\n{settings}"))
    }

    /// An instance of `kms` for this KMS.
    pub(crate) fn kms_instance(&self, name: &str, lines: &str, settings: &str) -> String {
        let url = format!("http://localhost:{}", self.kms.port());
        web_instance(name, "kms", &[&url], lines, &format!("provider = \"{}\"\n{settings}", self.kms.uri()))
    }

    /// A local file with this text.
    pub(crate) fn text(&self, name: &str, text: &str) -> String {
        let file = self.hdfs.folder().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    }
}

/// An instance of `hdfs` for the NameNodes at these ports.
pub(crate) fn hdfs_instance(name: &str, ports: &[u16], lines: &str, settings: &str) -> String {
    rpc_instance("hdfs", "namenodes", ports, name, lines, settings)
}

/// An instance of a component that speaks Hadoop RPC to servers at these ports, which it has by a setting: what stands in its
/// table, and among its settings.
pub(crate) fn rpc_instance(
    service: &str,
    servers_setting: &str,
    ports: &[u16],
    name: &str,
    lines: &str,
    settings: &str,
) -> String {
    let component = guest(service).unwrap();
    let servers: Vec<String> = ports.iter().map(|port| format!("localhost:{port}")).collect();
    let rules: String = servers
        .iter()
        .map(|server| format!("[[instances.{name}.tcp]]\nallow = \"{server}\"\nnetworks = [\"loopback\"]\n"))
        .collect();
    format!(
        "[instances.{name}]\ncomponent = {component:?}\n{lines}\n\
         [instances.{name}.settings]\n{servers_setting} = \"{}\"\n{settings}\n\
         [instances.{name}.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"{service}/localhost@TEST.LOCAL\"]\n{rules}",
        servers.join(",")
    )
}

/// An instance of a component that asks servers over HTTP, with the ticket that the host adds.
pub(crate) fn web_instance(name: &str, component: &str, urls: &[&str], lines: &str, settings: &str) -> String {
    let component = guest(component).unwrap();
    let rule = |url: &&str| {
        let (_, server) = url.split_once("://").unwrap();
        format!(
            "[[instances.{name}.http]]\nallow = \"{url}\"\nmethods = [\"GET\", \"PUT\"]\n\
             networks = [\"loopback\"]\nnegotiate = \"HTTP/localhost@TEST.LOCAL\"\n\
             [[instances.{name}.tcp]]\nallow = \"{server}\"\nnetworks = [\"loopback\"]\n"
        )
    };
    let rules: String = urls.iter().map(rule).collect();
    format!(
        "[instances.{name}]\ncomponent = {component:?}\n{lines}\n[instances.{name}.settings]\n{settings}\n\
         [instances.{name}.kerberos]\nlogin = \"{PRINCIPAL}\"\n{rules}"
    )
}

/// Writes a file with the tokens of a token file alone, and reads it.
#[track_caller]
pub(crate) fn writes_and_reads(client: &Client, tokens: &Path, local: &str, remote: &str, more: &[&str]) {
    let proof = Proof::TokenFile(tokens);
    client.fs(&[more, &["-put", "-f", local, remote]].concat(), proof).unwrap();
    let read = client.fs(&[more, &["-cat", remote]].concat(), proof).unwrap();
    assert_eq!(read, fs::read_to_string(local).unwrap());
}

/// A copy of the token file of a worker as it is now: what a client that started now has read.
pub(crate) fn copied(site: &HadoopSite, name: &str) -> PathBuf {
    let copy = site.home.path("secrets").join(name);
    fs::write(&copy, fs::read(site.token_file()).unwrap()).unwrap();
    copy
}

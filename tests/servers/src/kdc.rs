//! MIT Kerberos: a realm with its real KDC, which can be stopped, paused and started again.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Error, Lasting, Server, Start, lasting_ports, tool};

/// Where Debian keeps the programs of servers, which is not in every user's path.
const PROGRAMS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The types of a key, unless a test chooses others: those of most KDCs today.
pub const AES_SHA1: &str = "aes256-cts-hmac-sha1-96:normal,aes128-cts-hmac-sha1-96:normal";
/// The types of RFC 8009.
pub const AES_SHA2: &str = "aes256-cts-hmac-sha384-192:normal,aes128-cts-hmac-sha256-128:normal";

/// What the KDC reads. A client that asks for a ticket must have shown the key: without that, a wrong one is only noticed by the
/// client.
const KDC_CONF: &str = "\
[kdcdefaults]
 kdc_listen = 127.0.0.1:PORT
 kdc_tcp_listen = 127.0.0.1:PORT
[realms]
 NAME = {
  database_name = FOLDER/principal
  key_stash_file = FOLDER/stash
  acl_file = FOLDER/kadm5.acl
  max_life = LIFEs
  max_renewable_life = RENEWABLEs
  default_principal_flags = +renewable, +forwardable, +preauth
  supported_enctypes = TYPES
 }
[logging]
 kdc = FILE:FOLDER/kdc.log
";

/// What clients and services read. No name server is asked for anything.
const KRB5_CONF: &str = "\
[libdefaults]
 default_realm = NAME
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 clockskew = SKEW
[realms]
REALMS[domain_realm]
 localhost = NAME
";

/// What a realm is made with.
#[derive(Clone)]
pub struct Realm {
    /// Its name, in upper case.
    pub name: &'static str,
    /// The longest life of a ticket.
    pub ticket_life: Duration,
    /// The difference of clocks that KDC and services accept, for which they also accept an expired ticket.
    pub clock_skew: Duration,
    /// By how many seconds the clock of the KDC is ahead.
    pub clock_offset: i32,
    /// The types of its own keys, and of those of a principal that is added without types.
    pub key_types: String,
}

impl Default for Realm {
    fn default() -> Self {
        Self {
            name: "TEST.LOCAL",
            ticket_life: Duration::from_secs(600),
            clock_skew: Duration::from_secs(300),
            clock_offset: 0,
            key_types: format!("{AES_SHA1},{AES_SHA2}"),
        }
    }
}

/// A realm. Its database and port outlive a stop of the KDC, and end with this value.
pub struct Kdc {
    realm: Realm,
    port: u16,
    place: Lasting,
    server: Option<Server>,
}

impl Kdc {
    /// Starts the KDC of a new realm `TEST.LOCAL`. It takes half a second.
    ///
    /// # Errors
    /// When MIT Kerberos is not installed, or the KDC does not start.
    pub fn start() -> Result<Self, Error> {
        Self::start_realm(Realm::default())
    }

    /// Starts the KDC of a new realm.
    ///
    /// # Errors
    /// When MIT Kerberos is not installed, or the KDC does not start.
    pub fn start_realm(realm: Realm) -> Result<Self, Error> {
        let [port] = lasting_ports()?;
        let mut kdc = Self { realm, port, place: Lasting::new("kdc-data")?, server: None };
        fs::write(kdc.krb5_conf(), krb5_conf(&[&kdc])).map_err(|error| kdc.failed("writing krb5.conf", error))?;
        fs::write(kdc.file("kdc.conf"), kdc.kdc_conf()).map_err(|error| kdc.failed("writing kdc.conf", error))?;
        kdc.run("kdb5_util", &["-r", kdc.realm.name, "create", "-s", "-P", "the master key of a realm for tests"])?;
        kdc.restart()?;
        Ok(kdc)
    }

    #[must_use]
    pub fn realm(&self) -> &str {
        self.realm.name
    }

    /// Where the KDC listens by TCP and UDP: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A krb5.conf for clients and services of this realm alone.
    #[must_use]
    pub fn krb5_conf(&self) -> PathBuf {
        self.file("krb5.conf")
    }

    /// The process, unless it is stopped.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Stops the KDC: its port is closed. What it knows stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the KDC again where it was.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.server = None;
        let port = self.port;
        let mut start = Start::new("kdc", &program("krb5kdc")?)?
            .args(["-n", "-r", self.realm.name])
            .env("KRB5_CONFIG", &self.krb5_conf().display().to_string())
            .env("KRB5_KDC_PROFILE", &self.file("kdc.conf").display().to_string());
        if self.realm.clock_offset != 0 {
            start = start
                .env("LD_PRELOAD", &tool("libfaketime.so")?.display().to_string())
                .env("FAKETIME", &format!("{:+}", self.realm.clock_offset))
                .env("DONT_FAKE_MONOTONIC", "1");
        }
        self.server = Some(start.until(|| TcpStream::connect(("127.0.0.1", port)).is_ok())?);
        Ok(())
    }

    /// Makes the KDC silent: it takes connections and requests, and answers nothing.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal("STOP")
    }

    /// Lets a silent KDC answer again.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal("CONT")
    }

    /// Adds a principal, such as `alice` or `hdfs/localhost`, with a random key, and returns its keytab.
    ///
    /// # Errors
    /// When that fails.
    pub fn add(&self, principal: &str) -> Result<PathBuf, Error> {
        self.add_with(principal, &self.realm.key_types)
    }

    /// Adds a principal whose keys have these types, and returns its keytab.
    ///
    /// # Errors
    /// When that fails.
    pub fn add_with(&self, principal: &str, key_types: &str) -> Result<PathBuf, Error> {
        self.admin(&["addprinc", "-randkey", "-e", key_types, principal])?;
        let keytab = self.file(&format!("{}.keytab", principal.replace('/', ".")));
        self.admin(&["ktadd", "-norandkey", "-k", &keytab.display().to_string(), principal])?;
        Ok(keytab)
    }

    /// Adds a principal that has a password and no keytab.
    ///
    /// # Errors
    /// When that fails.
    pub fn add_with_password(&self, principal: &str, password: &str) -> Result<(), Error> {
        self.admin(&["addprinc", "-pw", password, principal])
    }

    /// Gives a principal a new random key. The old one is void; the new one is in the keytab that is returned, which is
    /// a file of its own.
    ///
    /// # Errors
    /// When that fails.
    pub fn change_key(&self, principal: &str) -> Result<PathBuf, Error> {
        let number = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let keytab = self.file(&format!("{}.{number}.keytab", principal.replace('/', ".")));
        self.admin(&["ktadd", "-k", &keytab.display().to_string(), "-e", &self.realm.key_types, principal])?;
        Ok(keytab)
    }

    /// Has the KDC give a principal no tickets, until [`Self::unlock`].
    ///
    /// # Errors
    /// When that fails.
    pub fn lock(&self, principal: &str) -> Result<(), Error> {
        self.admin(&["modprinc", "-allow_tix", principal])
    }

    /// Has the KDC give a principal tickets again.
    ///
    /// # Errors
    /// When that fails.
    pub fn unlock(&self, principal: &str) -> Result<(), Error> {
        self.admin(&["modprinc", "+allow_tix", principal])
    }

    /// Ends a principal's time yesterday.
    ///
    /// # Errors
    /// When that fails.
    pub fn expire(&self, principal: &str) -> Result<(), Error> {
        self.admin(&["modprinc", "-expire", "yesterday", principal])
    }

    /// Ends the time of a principal's key yesterday: the KDC wants it changed.
    ///
    /// # Errors
    /// When that fails.
    pub fn expire_key(&self, principal: &str) -> Result<(), Error> {
        self.admin(&["modprinc", "-pwexpire", "yesterday", principal])
    }

    /// Removes a principal.
    ///
    /// # Errors
    /// When that fails.
    pub fn remove(&self, principal: &str) -> Result<(), Error> {
        self.admin(&["delprinc", "-force", principal])
    }

    /// Lets principals of `clients` use services of this realm: both KDCs get the one key of that path.
    ///
    /// # Errors
    /// When that fails.
    pub fn trust(&self, clients: &Self) -> Result<(), Error> {
        let path = format!("krbtgt/{}@{}", self.realm.name, clients.realm.name);
        for kdc in [self, clients] {
            kdc.admin(&["addprinc", "-pw", "the key of two realms", "-e", &clients.realm.key_types, &path])?;
        }
        Ok(())
    }

    /// How many tickets it has issued for requests of this kind, `AS_REQ` or `TGS_REQ`, to a principal such as
    /// `alice@TEST.LOCAL`.
    #[must_use]
    pub fn issued(&self, kind: &str, client: &str) -> usize {
        let log = fs::read(self.file("kdc.log")).unwrap_or_default();
        let client = format!(" {client} for ");
        let is_issued = |line: &&str| line.contains(kind) && line.contains(" ISSUE:") && line.contains(&client);
        String::from_utf8_lossy(&log).lines().filter(is_issued).count()
    }

    /// Runs a command of `kadmin.local`.
    ///
    /// # Errors
    /// With what it said, when it failed.
    pub fn admin(&self, command: &[&str]) -> Result<(), Error> {
        self.run("kadmin.local", &[&["-r", self.realm.name], command].concat())
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Result<(), Error> {
        let mut command = Command::new(program(name)?);
        command.args(arguments).env("KRB5_CONFIG", self.krb5_conf()).env("KRB5_KDC_PROFILE", self.file("kdc.conf"));
        let output = command.output().map_err(|error| self.failed(name, error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(format!("{name} {}: {}: {said}", arguments.join(" "), output.status)))
    }

    fn signal(&self, name: &str) -> Result<(), Error> {
        self.server.as_ref().ok_or_else(|| Error::new("the KDC is stopped"))?.signal(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::new(format!("{what} for the KDC of {}: {error}", self.realm.name))
    }

    fn kdc_conf(&self) -> String {
        let life = self.realm.ticket_life.as_secs();
        // The folder's name is random, and comes last: nothing in it is replaced.
        KDC_CONF
            .replace("PORT", &self.port.to_string())
            .replace("RENEWABLE", &(6 * life).to_string())
            .replace("LIFE", &life.to_string())
            .replace("NAME", self.realm.name)
            .replace("TYPES", &self.realm.key_types.replace(',', " "))
            .replace("FOLDER", &self.place.path().display().to_string())
    }
}

/// The text of a krb5.conf for clients and services of several realms. The first is the default.
#[must_use]
pub fn krb5_conf(kdcs: &[&Kdc]) -> String {
    let first = kdcs.first().map_or_else(Realm::default, |kdc| kdc.realm.clone());
    let realm = |kdc: &&Kdc| format!(" {} = {{\n  kdc = {}\n }}\n", kdc.realm.name, kdc.address());
    KRB5_CONF
        .replace("NAME", first.name)
        .replace("SKEW", &first.clock_skew.as_secs().to_string())
        .replace("REALMS", &kdcs.iter().map(realm).collect::<String>())
}

/// A program of MIT Kerberos.
fn program(name: &str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(PROGRAMS.map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| {
        let install = "apt-get install krb5-kdc krb5-admin-server krb5-user";
        Error::new(format!("the program {name} of MIT Kerberos is not installed: `{install}`"))
    })
}

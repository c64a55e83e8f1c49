//! Java programs as clients, which know nothing of Deputy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::java::Jvm;
use crate::{Error, Kdc, Site};

/// How long a client may take. Those of Hadoop try for a long time to reach a server that is not there.
const LIMIT: Duration = Duration::from_secs(90);

/// What a client proves its identity with.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    Nothing,
    /// A ticket in a ticket cache.
    Ticket(&'a Path),
    /// Tokens in a token file: what HADOOP_TOKEN_FILE_LOCATION names. There is no ticket.
    TokenFile(&'a Path),
}

/// A client's configuration. Its folder belongs to a server.
#[derive(Clone)]
pub struct Client {
    set: &'static str,
    conf: PathBuf,
    krb5_conf: PathBuf,
    site: Site,
    service: String,
}

impl Client {
    /// One that reads this configuration, which is written to a folder.
    pub(crate) fn new(set: &'static str, kdc: &Kdc, conf: &Path, site: &Site, service: &str) -> Result<Self, Error> {
        // Else it waits for seconds between its attempts to log in without a ticket.
        let site = site.clone().set("ipc.client.connect.max.retries.on.sasl", "0");
        let client = Self { set, conf: conf.to_owned(), krb5_conf: kdc.krb5_conf(), site, service: service.to_owned() };
        client.write()
    }

    /// The same one with other settings, in a folder of this name beside its own.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub fn with(&self, folder: &str, settings: &Site) -> Result<Self, Error> {
        let (conf, site) = (self.conf.with_file_name(folder), self.site.clone().and(settings));
        Self { conf, site, ..self.clone() }.write()
    }

    fn write(self) -> Result<Self, Error> {
        self.site.write(&self.conf, &self.service)?;
        crate::java::write_log4j(&self.conf, "")?;
        Ok(self)
    }

    /// The folder of its configuration, as a Hadoop client has it: `core-site.xml` and the service's own file.
    #[must_use]
    pub fn conf(&self) -> &Path {
        &self.conf
    }

    /// Runs a program by the name of its class, and returns what it printed.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn run(&self, main: &str, arguments: &[&str], proof: Proof<'_>) -> Result<String, Error> {
        let jvm = Jvm::new(self.set, main, &self.krb5_conf, &self.conf).megabytes(256);
        let jvm = arguments.iter().fold(jvm, |jvm, argument| jvm.arg(*argument));
        let start = jvm.prepare("client")?;
        let start = match proof {
            Proof::Nothing => start,
            Proof::Ticket(cache) => start.env("KRB5CCNAME", &cache.display().to_string()),
            Proof::TokenFile(file) => start.env("HADOOP_TOKEN_FILE_LOCATION", &file.display().to_string()),
        };
        start.run(LIMIT)
    }

    /// Runs FsShell, which is `hadoop fs`.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn fs(&self, arguments: &[&str], proof: Proof<'_>) -> Result<String, Error> {
        self.run("org.apache.hadoop.fs.FsShell", arguments, proof)
    }

    /// Runs DelegationTokenFetcher, which is `hdfs fetchdt`.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn fetchdt(&self, arguments: &[&str], proof: Proof<'_>) -> Result<String, Error> {
        self.run("org.apache.hadoop.hdfs.tools.DelegationTokenFetcher", arguments, proof)
    }

    /// Fetches all tokens that a file system needs into a token file, as Hadoop's jobs do before they start.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn fetch_tokens(&self, renewer: &str, file: &Path, uri: &str, proof: Proof<'_>) -> Result<(), Error> {
        self.run("Tokens", &[renewer, &file.display().to_string(), uri], proof).map(drop)
    }

    /// Prints the tokens of a token file with DtUtilShell, which is `hadoop dtutil`.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn print_tokens(&self, file: &Path) -> Result<String, Error> {
        let file = file.display().to_string();
        self.run("org.apache.hadoop.security.token.DtUtilShell", &["print", &file], Proof::Nothing)
    }
}

//! Programs that run in a JVM: servers that can be stopped and started again, and what both they and clients are started
//! with.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::tools::java_set;
use crate::{Error, Server, Start, get};

/// What every JVM is started with. Programs that live for seconds lose more by the second compiler, and by several
/// threads that collect garbage on two cores, than they gain.
const OPTIONS: [&str; 3] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true"];

/// What log4j writes: warnings, on stderr.
const LOG4J: &str = "\
log4j.rootLogger=WARN, stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
";

/// A JVM to start.
#[derive(Clone)]
pub(crate) struct Jvm {
    set: &'static str,
    main: String,
    options: Vec<String>,
    conf: PathBuf,
    arguments: Vec<String>,
}

impl Jvm {
    /// One that runs a class of a set of jars. The folder with its configuration comes first on its class path.
    pub(crate) fn new(set: &'static str, main: &str, krb5_conf: &Path, conf: &Path) -> Self {
        let mut options: Vec<String> = OPTIONS.map(ToOwned::to_owned).into();
        options.push(format!("-Djava.security.krb5.conf={}", krb5_conf.display()));
        Self { set, main: main.to_owned(), options, conf: conf.to_owned(), arguments: Vec::new() }
    }

    pub(crate) fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Bounds its heap.
    pub(crate) fn megabytes(self, megabytes: u32) -> Self {
        self.option(format!("-Xmx{megabytes}m"))
    }

    /// Opens packages of `java.base` to the libraries that look into them.
    pub(crate) fn opens(self, packages: &[&str]) -> Self {
        packages.iter().fold(self, |jvm, package| jvm.option(format!("--add-opens=java.base/{package}=ALL-UNNAMED")))
    }

    /// Adds an argument of the program.
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// It, about to start in an environment of its own.
    ///
    /// # Errors
    /// When its jars are not installed.
    pub(crate) fn prepare(&self, name: &'static str) -> Result<Start, Error> {
        let set = java_set(self.set)?;
        let class_path = [self.conf.clone(), set.join("classes"), set.join("jars/*")];
        let class_path = class_path.map(|path| path.display().to_string());
        // Without a name of its own for it, the cache of the user who runs the tests would be used.
        let start = Start::new(name, Path::new("java"))?.bare().env("KRB5CCNAME", "/nonexistent/ticket-cache");
        let start = start.args(&self.options).args(["-cp", &class_path.join(":"), &self.main]);
        Ok(start.args(&self.arguments))
    }
}

/// Writes what log4j reads, and what it logs besides warnings.
pub(crate) fn write_log4j(folder: &Path, more: &str) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::new(format!("writing {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(folder.join("log4j.properties"), format!("{LOG4J}{more}\n")).map_err(failed)
}

/// What shows that a server serves.
#[derive(Clone)]
pub(crate) enum Ready {
    /// A file in its folder.
    File(&'static str),
    /// A text in its log.
    Logged(&'static str),
    /// A status for a path at a port.
    Http(u16, &'static str, u16),
    /// A connection to a port.
    Port(u16),
}

impl Ready {
    fn holds(&self, folder: &Path) -> bool {
        match self {
            Self::File(name) => folder.join(name).exists(),
            Self::Logged(text) => {
                let log = fs::read(folder.join("log")).unwrap_or_default();
                String::from_utf8_lossy(&log).contains(text)
            }
            Self::Http(port, path, status) => get(*port, path).is_some_and(|answer| answer.status == *status),
            Self::Port(port) => TcpStream::connect(("127.0.0.1", *port)).is_ok(),
        }
    }
}

/// A server in a JVM. It keeps its configuration, ports and data when it is stopped.
pub struct JavaServer {
    name: &'static str,
    jvm: Jvm,
    ready: Ready,
    server: Option<Server>,
}

impl JavaServer {
    pub(crate) fn start(name: &'static str, jvm: Jvm, ready: Ready) -> Result<Self, Error> {
        let mut server = Self { name, jvm, ready, server: None };
        server.restart()?;
        Ok(server)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Ends it in an orderly way.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.server.take().map_or(Ok(()), Server::end)
    }

    /// Starts it where it was, after ending it as a crash would if it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.server = None;
        let start = self.jvm.prepare(self.name)?;
        let folder = start.folder().to_owned();
        self.server = Some(start.until(|| self.ready.holds(&folder))?);
        Ok(())
    }

    /// The process, unless it is stopped.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Makes it silent: it takes connections and requests, and answers nothing.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal("STOP")
    }

    /// Lets it answer again.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> Result<(), Error> {
        let stopped = || Error::new(format!("{} is stopped", self.name));
        self.server.as_ref().ok_or_else(stopped)?.signal(signal)
    }
}

//! Prometheus, as Debian has it: it scrapes what a test names, evaluates rules, and answers queries.

use std::path::Path;
use std::process::Command;

use crate::http::get;
use crate::tools::installed;
use crate::{Error, Server, Start, free_ports};

/// How often it scrapes, and how often it evaluates rules.
const INTERVAL: &str = "500ms";

/// A running Prometheus with one file of rules.
pub struct Prometheus {
    port: u16,
    server: Server,
}

impl Prometheus {
    /// Starts it. Each job has one target, a port of the loopback interface. It takes half a second.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(rules: &str, jobs: &[(&str, u16)]) -> Result<Self, Error> {
        let [port] = free_ports()?;
        let start = Start::new("prometheus", &installed("prometheus", "prometheus")?)?;
        start.file("rules.yml", rules)?;
        let jobs: String = jobs
            .iter()
            .map(|(job, port)| {
                format!("  - job_name: {job}\n    static_configs:\n      - targets: [\"127.0.0.1:{port}\"]\n")
            })
            .collect();
        let global = format!("global:\n  scrape_interval: {INTERVAL}\n  scrape_timeout: {INTERVAL}\n");
        let config =
            format!("{global}  evaluation_interval: {INTERVAL}\nrule_files:\n  - rules.yml\nscrape_configs:\n{jobs}");
        let config = start.file("prometheus.yml", &config)?;
        let data = start.folder().join("data");
        let start = start.bare().args([
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ]);
        let server = start.until(|| get(port, "/-/ready").is_some_and(|answer| answer.status == 200))?;
        Ok(Self { port, server })
    }

    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What it answers to a query of this moment: JSON.
    ///
    /// # Errors
    /// When it does not answer, or refuses the query: with its answer.
    pub fn query(&self, expression: &str) -> Result<String, Error> {
        self.ask(&format!("/api/v1/query?query={}", encoded(expression)))
    }

    /// What it says of the alerts that are pending or fire: JSON.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn alerts(&self) -> Result<String, Error> {
        self.ask("/api/v1/alerts")
    }

    fn ask(&self, path: &str) -> Result<String, Error> {
        match get(self.port, path) {
            Some(answer) if answer.status == 200 => Ok(answer.body),
            Some(answer) => Err(Error::new(format!("Prometheus answered {}: {}", answer.status, answer.body))),
            None => Err(Error::new("Prometheus does not answer")),
        }
    }
}

/// Runs `promtool` in a folder, and returns what it printed.
///
/// # Errors
/// When it is not installed or finds a fault: with what it printed.
pub fn promtool(folder: &Path, arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new(installed("promtool", "prometheus")?).args(arguments).current_dir(folder).output();
    let output = output.map_err(|error| Error::new(format!("promtool: {error}")))?;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if output.status.success() { Ok(said) } else { Err(Error::new(format!("promtool {arguments:?}: {said}"))) }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

//! New configuration files, with the comments that their operator needs.
//!
//! A file is the smallest one that works, and grants what its provider needs and no more.

mod oauth2;
mod s3;
mod worker;

use deputy_core::grant::{AddressClass, Host, HttpTarget, Network, split_url};
use deputy_core::{GroupName, InstanceName, toml_string};

pub use oauth2::OAuth2Template;
pub use s3::S3Template;
pub use worker::WorkerTemplate;

/// The names of the JSON Schemas beside the files, by which editors complete keys.
pub const COORDINATOR_SCHEMA: &str = "deputy.schema.json";
pub const WORKER_SCHEMA: &str = "worker.schema.json";

/// What all instances have.
#[derive(Debug, Clone)]
pub struct InstanceTemplate {
    pub name: InstanceName,
    /// The component's name or file.
    pub component: String,
    /// The group of workers that gets the leases.
    pub group: Option<GroupName>,
    /// Networks to permit beside public addresses.
    pub networks: Vec<Network>,
}

/// The beginning of every `deputy.toml`.
fn coordinator_head() -> String {
    format!(
        "#:schema ./{COORDINATOR_SCHEMA}
# What Deputy keeps, and what each connector is granted. What is not granted here is denied.
# `deputy check` validates this file; paths are relative to it.

state = \"state\"                  # sealed leases, the master key, compiled components: for this user alone
audit = \"audit.jsonl\"            # every host, path and secret that a connector uses

# To serve workers on other machines:
# [coordinator]
# listen = \"0.0.0.0:8271\"
# advertise = \"deputy.example:8271\"

"
    )
}

impl InstanceTemplate {
    fn head(&self) -> String {
        let (name, component) = (&self.name, toml_string(&self.component));
        let group = match &self.group {
            Some(group) => format!("deliver-to = [\"{group}\"]         # the groups of workers that get its leases\n"),
            None => "# deliver-to = [\"analytics\"]   # the groups of workers that get its leases\n".to_owned(),
        };
        format!("[instances.{name}]\ncomponent = {component}\n{group}")
    }

    /// The rule for requests to a server: POST, to one path.
    fn rule(&self, server: &Server) -> String {
        let (name, origin, path) = (&self.name, toml_string(&server.origin), toml_string(&server.path));
        let mut networks: Vec<String> = self.networks.iter().map(|network| toml_string(&network.to_string())).collect();
        if let Host::Address(address) = server.host
            && AddressClass::of(address) != AddressClass::Public
            && !self.networks.iter().any(|network| network.contains(address))
        {
            networks.push(toml_string(&Network::opening(address)));
        }
        let networks = match networks.as_slice() {
            [] => "# networks = [\"private\"]         # if its address is not a public one\n".to_owned(),
            networks => format!("networks = [{}]          # its address is not a public one\n", networks.join(", ")),
        };
        format!("[[instances.{name}.http]]\nallow = {origin}\nmethods = [\"POST\"]\npaths = [{path}]\n{networks}")
    }
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    /// `https://host:port`
    origin: String,
    host: Host,
    path: String,
}

/// Why a URL is not one that a rule can name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a URL such as https://sts.example.com or http://127.0.0.1:8333: {problem}")]
pub struct UrlError {
    url: String,
    problem: String,
}

impl Server {
    fn parse(url: &str) -> Result<Self, UrlError> {
        let failed = |problem: String| UrlError { url: url.to_owned(), problem };
        let (scheme, authority, _) = split_url(url).ok_or_else(|| failed("it has no scheme".to_owned()))?;
        let request = HttpTarget::parse_url(url, "POST").map_err(|error| failed(error.to_string()))?;
        let origin = format!("{}://{}", scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
        Ok(Self { origin, host: request.target().host().clone(), path: request.path().to_owned() })
    }
}

#[cfg(test)]
mod tests;

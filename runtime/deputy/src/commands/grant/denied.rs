//! What was denied: a request or connection of the command line, or of the audit log.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::path::Path;

use deputy_core::grant::{Grant, HttpTarget, Scheme, StringToSign, Target};
use deputy_core::{PolicyDenial, SecretName};
use serde::Deserialize;

use crate::error::CommandError;
use crate::exit::Exit;

/// The end of the audit log that is read.
const MAX_AUDIT: u64 = 1 << 20;

#[derive(Debug)]
pub(super) enum DeniedUse {
    Http(HttpTarget, Option<IpAddr>),
    Tcp(Target, Option<IpAddr>),
    /// A signature by a secret.
    Sigv4(SecretName, StringToSign),
}

/// What an audit event has of a denial.
#[derive(Debug, Deserialize)]
struct EventJson {
    #[serde(default)]
    instance: String,
    event: String,
    outcome: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    path: String,
    /// Of a connection with its port; of a request without.
    #[serde(default)]
    address: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    scope: String,
}

impl DeniedUse {
    pub(super) fn http(url: &str, method: &str, address: Option<IpAddr>) -> Result<Self, CommandError> {
        HttpTarget::parse_url(url, method).map(|target| Self::Http(target, address)).map_err(|error| {
            let text = format!("{url:?} with method {method:?} is not a request: {error}");
            CommandError::new(Exit::Misconfigured, text)
        })
    }

    pub(super) fn tcp(target: &str, address: Option<IpAddr>) -> Result<Self, CommandError> {
        let parsed = Target::parse(Scheme::Tcp, target);
        parsed.map(|target| Self::Tcp(target, address)).map_err(|error| {
            CommandError::new(Exit::Misconfigured, format!("{target:?} is not a host and port: {error}"))
        })
    }

    /// A signature by a secret, for a scope such as `sts/eu-west-1`.
    fn sigv4(secret: &str, scope: &str) -> Result<Self, CommandError> {
        let (service, region) = scope.split_once('/').unwrap_or((scope, ""));
        let secret = secret.parse().map_err(|error| CommandError::new(Exit::Misconfigured, error))?;
        // Neither the time nor the request matters for the grant.
        let hash = "0".repeat(64);
        let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/{region}/{service}/aws4_request\n{hash}");
        let text = text.parse().map_err(|error| CommandError::new(Exit::Misconfigured, error))?;
        Ok(Self::Sigv4(secret, text))
    }

    /// What was last denied to an instance.
    pub(super) fn last(audit: &Path, instance: &str) -> Result<Self, CommandError> {
        let text = end_of(audit).map_err(|error| {
            let text = format!("{}: {error}", audit.display());
            let error = CommandError::new(Exit::Failed, text).context("cannot read the audit log");
            error.hint(format!("`deputy obtain {instance}` makes a call, and records what is denied to it"))
        })?;
        let denied = |line: &str| {
            let event: EventJson = serde_json::from_str(line).ok()?;
            (event.instance == instance && event.outcome == "refused").then_some(event)
        };
        let Some(event) = text.lines().rev().find_map(denied) else {
            let error = format!("{} has no denial of {instance}", audit.display());
            return Err(CommandError::new(Exit::Misconfigured, error).hint("name what to permit with --http or --tcp"));
        };
        event.denied_use()
    }

    /// Whether the grant permits it.
    pub(super) fn judge(&self, grant: &Grant) -> Result<(), PolicyDenial> {
        match self {
            Self::Http(request, address) => {
                let permit = grant.permit_http(request)?;
                address.map_or(Ok(()), |address| permit.pin(&[address]).map(drop))
            }
            Self::Tcp(target, address) => {
                let permit = grant.permit_tcp(target)?;
                address.map_or(Ok(()), |address| permit.pin(&[address]).map(drop))
            }
            Self::Sigv4(secret, text) => {
                let time = text.time();
                grant.secret(secret.as_str())?.1.permit_sigv4(secret, text.clone(), time).map(drop)
            }
        }
    }
}

impl EventJson {
    fn denied_use(&self) -> Result<DeniedUse, CommandError> {
        match self.event.as_str() {
            "http" => {
                DeniedUse::http(&format!("{}{}", self.target, self.path), &self.method, self.address.parse().ok())
            }
            "tcp" => {
                let (ip, port) = self.address.rsplit_once(':').unwrap_or((&self.address, ""));
                let host = if self.host.is_empty() { ip } else { &self.host };
                let ip = ip.trim_matches(['[', ']']).parse().ok();
                DeniedUse::tcp(&format!("{host}:{port}"), ip)
            }
            "secret" if matches!(self.code.as_str(), "service-not-granted" | "region-not-granted") => {
                DeniedUse::sigv4(&self.secret, &self.scope)
            }
            _ => {
                let error = format!("the last denial of {} is [{}], which needs a look", self.instance, self.code);
                let error = CommandError::new(Exit::Misconfigured, error);
                Err(error.hint("save the lines that `deputy obtain` prints to a file, and name it with --hint FILE"))
            }
        }
    }
}

/// The last part of a file, from the beginning of a line.
#[expect(clippy::disallowed_methods, reason = "an edge: the operator's file; bounded by `take`")]
fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_AUDIT)))?;
    let mut bytes = Vec::new();
    file.take(MAX_AUDIT).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        Some((_, rest)) if length > MAX_AUDIT => rest.to_owned(),
        _ => text,
    })
}

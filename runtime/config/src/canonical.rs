//! An instance in one way of writing it: what a fingerprint is taken of.
//!
//! The text must be the same after a restart, under another compiler, and however the operator orders and formats the
//! file: so nothing here is a `Debug` of anything, and what is a set is sorted. Each line is one fact and begins with
//! its kind; texts stand in quotes with all but visible ASCII escaped, so that no text can look like two, or like
//! another line. The first line has the version: it grows when what is written here changes, and then every lease is
//! replaced once.

use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use deputy_core::grant::{
    ClaimGrant, Grant, HttpRule, Injection, InjectionEncoding, InjectionPoint, JwtGrant, Network, PathRules,
    SecretGrant, SecretPurpose, TcpRule, TlsOptions,
};
use deputy_core::{Digest, SecretName, SecretSource, StateGrant};

use crate::InstanceEntry;

const VERSION: &str = "deputy instance, version 1";

/// Lines, one fact each.
#[derive(Debug, Default)]
struct Lines(String);

impl InstanceEntry {
    /// Everything that makes this instance's tokens what they are: the component by its digest, its settings, grants and
    /// the places of its secrets; the file; the service; the kind of the file. Not its name, its limits, its policy, its upstream: they change
    /// when a token is obtained, and not which.
    ///
    /// A [`Fingerprint`](deputy_core::schedule::Fingerprint) is the first 16 bytes of this text's SHA-256. `component` is
    /// the digest of the component that was loaded.
    pub fn canonical(&self, component: Option<Digest>) -> String {
        let mut lines = Lines(format!("{VERSION}\n"));
        if let Some(digest) = component {
            lines.line("component", [digest.to_string()]);
        }
        if let Some(instance) = &self.component {
            for (name, value) in &instance.settings {
                lines.line("setting", [quoted(name), quoted(value)]);
            }
            for (name, source) in &instance.sources {
                lines.line("source", [quoted(name.as_str()), self::source(source)]);
            }
            lines.grant(&instance.grant);
        }
        if let Some(file) = &self.file {
            lines.line("file", [path(&file.path), file.lifetime.as_millis().to_string()]);
        }
        if let Some(service) = &self.service {
            lines.line("service", [quoted(service.as_str())]);
        }
        if let Some(kind) = &self.kind {
            lines.line("kind", [quoted(kind.as_str())]);
        }
        lines.0
    }
}

impl Lines {
    fn line(&mut self, kind: &str, words: impl IntoIterator<Item = String>) {
        self.0.push_str(kind);
        for word in words {
            self.0.push(' ');
            self.0.push_str(&word);
        }
        self.0.push('\n');
    }

    /// Rules stand in their order: the first that allows a request decides.
    fn grant(&mut self, grant: &Grant) {
        for (name, grant) in &grant.secrets {
            self.secret(name, grant);
        }
        for rule in &grant.http {
            self.http(rule);
        }
        if let Some(grant) = &grant.kerberos {
            // Whom the tokens are for; not where the key is, nor which KDC gives the tickets.
            self.line("kerberos", [quoted(grant.login.principal.as_str())]);
            for target in &grant.targets {
                self.line("kerberos-target", [quoted(&target.to_string())]);
            }
        }
        for TcpRule { host, port, networks, tls } in &grant.tcp {
            self.line("tcp", [quoted(&host.to_string()), port.to_string()]);
            self.networks(networks);
            // Absent unless it is spoken, so that other fingerprints stay as they were.
            if let Some(tls) = tls {
                self.line("tls", []);
                self.tls(tls);
            }
        }
        if let Some(StateGrant { inherit }) = &grant.state {
            self.line("state", inherit.iter().map(ToString::to_string));
        }
    }

    fn secret(&mut self, name: &SecretName, grant: &SecretGrant) {
        if grant.reveals() {
            self.line("grant", [quoted(name.as_str()), "reveal".to_owned()]);
        }
        let mut words = vec![quoted(name.as_str())];
        match grant.purpose() {
            None => return,
            Some(SecretPurpose::HmacSha256) => words.push("hmac-sha256".to_owned()),
            Some(SecretPurpose::Jwt(jwt)) => {
                words.push("jwt".to_owned());
                words.push(set("algorithms", jwt.algorithms()));
                words.push(set("issuers", jwt.issuers()));
                words.push(set("audiences", jwt.audiences()));
                words.push(jwt.max_lifetime().as_millis().to_string());
                self.claims(name, jwt);
            }
            Some(SecretPurpose::Pbkdf2) => words.push("pbkdf2".to_owned()),
            Some(SecretPurpose::Scram(scram)) => {
                words.push("scram".to_owned());
                words.push(quoted(scram.username()));
            }
            Some(SecretPurpose::Sign(algorithms)) => {
                words.push("sign".to_owned());
                words.push(set("algorithms", algorithms));
            }
            Some(SecretPurpose::Sigv4(sigv4)) => {
                words.push("sigv4".to_owned());
                words.push(set("services", sigv4.services()));
                words.push(set("regions", sigv4.regions()));
            }
        }
        self.line("grant", words);
    }

    /// A line only for what there is, so that a grant without it has the text that it always had.
    fn claims(&mut self, name: &SecretName, grant: &JwtGrant) {
        let mut subjects = grant.subjects().peekable();
        if subjects.peek().is_some() {
            self.line("subjects", [quoted(name.as_str()), set("subjects", subjects)]);
        }
        for (claim, values) in grant.claims() {
            let values = match values {
                ClaimGrant::Any => "any".to_owned(),
                ClaimGrant::OneOf(texts) => set("values", texts),
            };
            self.line("claim", [quoted(name.as_str()), quoted(claim.as_str()), values]);
        }
    }

    fn http(&mut self, rule: &HttpRule) {
        let HttpRule { pattern, methods, paths, overrides, networks, send } = rule;
        let paths = match paths {
            PathRules::Any => "any-path".to_owned(),
            PathRules::Prefixes(prefixes) => set("paths", prefixes),
        };
        self.line("http", [quoted(&pattern.to_string()), set("methods", methods), paths]);
        // Absent unless there are some, so that other fingerprints stay as they were.
        if !overrides.is_empty() {
            self.line("override-headers", [set("headers", overrides)]);
        }
        self.networks(networks);
        self.tls(&send.tls);
        if send.allow_echo {
            self.line("allow-echo", []);
        }
        if let Some(target) = &send.negotiate {
            self.line("negotiate", [quoted(&target.to_string())]);
        }
        let mut injections: Vec<_> = send.inject.iter().map(injection).collect();
        injections.sort();
        for words in injections {
            self.line("inject", words);
        }
    }

    fn tls(&mut self, TlsOptions { roots, client }: &TlsOptions) {
        if let Some(roots) = roots {
            self.line("roots", [path(roots)]);
        }
        if let Some((chain, key)) = client {
            self.line("client-certificate", [path(chain), quoted(key.as_str())]);
        }
    }

    fn networks(&mut self, networks: &[Network]) {
        if !networks.is_empty() {
            self.line("open", [set("networks", networks)]);
        }
    }
}

fn injection(injection: &Injection) -> [String; 5] {
    let Injection { place, secret, form } = injection;
    let (place, name) = match place {
        InjectionPoint::Field(name) => ("field", name),
        InjectionPoint::Header(name) => ("header", name),
    };
    let (form, text) = match form {
        InjectionEncoding::Basic { user } => ("basic", user),
        InjectionEncoding::OauthBasic { client } => ("oauth2-basic", client),
        InjectionEncoding::Plain { prefix } => ("plain", prefix),
    };
    [place.to_owned(), quoted(name), quoted(secret.as_str()), form.to_owned(), quoted(text)]
}

pub(crate) fn source(source: &SecretSource) -> String {
    let text = match source {
        SecretSource::Command(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        SecretSource::Credential(name) | SecretSource::Environment(name) => quoted(name),
        SecretSource::File(file) => path(file),
    };
    format!("{} {text}", source.kind())
}

/// `name("a" "b")`, each once and in order.
pub(crate) fn set(name: &str, elements: impl IntoIterator<Item = impl Display>) -> String {
    let mut elements: Vec<_> = elements.into_iter().map(|element| quoted(&element.to_string())).collect();
    elements.sort();
    elements.dedup();
    format!("{name}({})", elements.join(" "))
}

fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_bytes())
}

pub(crate) fn quoted(text: &str) -> String {
    bytes(text.as_bytes())
}

fn bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

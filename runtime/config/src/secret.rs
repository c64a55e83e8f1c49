//! `[instances.NAME.secrets.NAME]`: the source of a secret, and its grant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use deputy_core::grant::{ScramGrant, SecretGrant, SecretOperation, SecretPurpose, SignatureAlgorithm, Sigv4Grant};
use deputy_core::{SecretName, SecretSource};

use crate::diagnostic::DiagnosticSink;
use crate::jwt;
use crate::suggest::nearest;
use crate::value::{Key, Located, TableReader, invalid, join_quoted, truncated};

/// The secrets of one instance, including invalid ones, so that a reference to one is not a second error.
#[derive(Debug, Default)]
pub(crate) struct SecretTable {
    list: Vec<Secret>,
}

#[derive(Debug)]
struct Secret {
    at: Range<usize>,
    written: String,
    name: Option<SecretName>,
    grant: SecretGrant,
    source: Option<SecretSource>,
}

/// The service or region of a SigV4 scope.
#[derive(Debug, PartialEq)]
struct Word(String);

impl SecretTable {
    pub(crate) fn read(sink: &mut DiagnosticSink, base: &Path, mocks: Option<&Path>, value: Located<'_>) -> Self {
        let entries = value.entries(sink, "[instances.NAME.secrets.NAME]");
        Self { list: entries.into_iter().map(|(key, value)| read(sink, base, mocks, key, value)).collect() }
    }

    /// The name of a secret that a rule uses.
    pub(crate) fn named(&self, sink: &mut DiagnosticSink, value: Located<'_>) -> Option<SecretName> {
        let text = value.text(sink, "\"NAME\"")?;
        if let Some(secret) = self.list.iter().find(|secret| secret.written == text) {
            return secret.name.clone();
        }
        let known: Vec<_> = self.list.iter().map(|secret| secret.written.as_str()).collect();
        let error = sink.error(value.at(), format!("there is no secret `{}` in this instance", truncated(text)));
        match (nearest(text, known.iter().copied()), known.as_slice()) {
            (Some(meant), _) => error.expected(format!("did you mean `{meant}`?")),
            (None, []) => error.expected("define it under [instances.NAME.secrets.NAME]"),
            (None, known) => error.expected(format!("one of {}", truncated(&join_quoted(known)))),
        };
        None
    }

    /// Whether the instance has a secret of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|secret| secret.written == name)
    }

    /// Warns of unused and conflicting secrets, when all uses are known.
    pub(crate) fn check(&self, sink: &mut DiagnosticSink, used: &BTreeSet<SecretName>) {
        let mut sources: BTreeMap<String, &Secret> = BTreeMap::new();
        for secret in &self.list {
            let (Some(name), Some(source)) = (&secret.name, &secret.source) else { continue };
            if !secret.grant.opens() && !used.contains(name) {
                sink.warning(secret.at.clone(), format!("the secret `{name}` is not used"))
                    .expected("it grants no operation, and no rule sends it");
            }
            if let (true, Some(purpose)) = (secret.grant.reveals(), secret.grant.purpose()) {
                let operation = purpose.operation();
                sink.warning(secret.at.clone(), format!("`reveal` makes the limits of `{operation}` ineffective"))
                    .expected("a component that can read the value can use it anyway");
            }
            if !secret.grant.opens() {
                continue;
            }
            match sources.get(&format!("{source:?}")) {
                Some(other) if purposes(&other.grant) != purposes(&secret.grant) => {
                    let message =
                        format!("`{name}` and `{}` are the same value with different purposes", other.written);
                    sink.error(secret.at.clone(), message)
                        .expected("a value has one purpose, whatever its names")
                        .also(other.at.clone(), "the same source");
                }
                Some(_) => {}
                None => {
                    sources.insert(format!("{source:?}"), secret);
                }
            }
        }
    }

    pub(crate) fn into_parts(self) -> (BTreeMap<SecretName, SecretGrant>, BTreeMap<SecretName, SecretSource>) {
        let mut grants = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for secret in self.list {
            if let (Some(name), Some(source)) = (secret.name, secret.source) {
                grants.insert(name.clone(), secret.grant);
                sources.insert(name, source);
            }
        }
        (grants, sources)
    }
}

fn purposes(grant: &SecretGrant) -> (Option<SecretOperation>, bool) {
    (grant.purpose().map(SecretPurpose::operation), grant.reveals())
}

fn read(sink: &mut DiagnosticSink, base: &Path, mocks: Option<&Path>, key: Key<'_>, value: Located<'_>) -> Secret {
    let mut secret = Secret {
        name: key.parsed(sink),
        at: key.at,
        written: key.name.to_owned(),
        grant: SecretGrant::default(),
        source: None,
    };
    if !value.is_table() {
        // It may be the secret itself.
        sink.mask(value.at());
    }
    let Some(mut fields) = value.table(sink, "{ file = \"/path/to/file\" }") else { return secret };
    secret.source = match mocks {
        Some(folder) => mock(sink, folder, &secret, &mut fields, value.at()),
        None => source(sink, base, &mut fields),
    };
    secret.grant = grant(sink, &mut fields);
    for unknown in fields.finish(sink) {
        sink.mask(unknown.at());
    }
    secret
}

/// Reads the value of a test's secret. A test may come from a stranger, so it names no program, file or variable of this
/// machine.
fn mock(
    sink: &mut DiagnosticSink,
    folder: &Path,
    secret: &Secret,
    fields: &mut TableReader<'_>,
    at: Range<usize>,
) -> Option<SecretSource> {
    let Some(value) = fields.optional("value") else {
        sink.error(at, "a test's secret has no `value`").expected("needs value = \"…\", which is no real secret");
        return None;
    };
    value.text(sink, "\"…\"")?;
    Some(SecretSource::File(folder.join(key_name(secret)?)))
}

/// Reads a table with the source of one value.
pub(crate) fn source_table(
    sink: &mut DiagnosticSink,
    base: &Path,
    value: Located<'_>,
    like: &str,
) -> Option<SecretSource> {
    if !value.is_table() {
        // It may be the secret itself.
        sink.mask(value.at());
    }
    let mut fields = value.table(sink, like)?;
    let source = source(sink, base, &mut fields);
    for unknown in fields.finish(sink) {
        sink.mask(unknown.at());
    }
    source
}

fn key_name(secret: &Secret) -> Option<&str> {
    secret.name.as_ref().map(SecretName::as_str)
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !name.contains(char::is_whitespace)
}

fn is_credential_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// Reads the source; exactly one has to be set.
fn source(sink: &mut DiagnosticSink, base: &Path, fields: &mut TableReader<'_>) -> Option<SecretSource> {
    let mut sources = Vec::new();
    if let Some(value) = fields.optional("file") {
        sources.push(("file", value.at(), value.path(sink, base).map(SecretSource::File)));
    }
    if let Some(value) = fields.optional("env") {
        let name = text(sink, value, "\"NAME\"", is_variable_name, "the name of an environment variable");
        sources.push(("env", value.at(), name.map(SecretSource::Environment)));
    }
    if let Some(value) = fields.optional("credential") {
        let name = text(sink, value, "\"NAME\"", is_credential_name, "the name of a systemd credential");
        sources.push(("credential", value.at(), name.map(SecretSource::Credential)));
    }
    if let Some(value) = fields.optional("command") {
        sources.push(("command", value.at(), command(sink, base, value).map(SecretSource::Command)));
    }
    match sources.as_slice() {
        [] => {
            sink.error(fields.at(), "this secret has no source")
                .expected("needs one of `file`, `env`, `credential` and `command`");
        }
        [_] => {}
        [(first, at, _), (second, here, _), ..] => {
            sink.error(here.clone(), format!("this secret has two sources, `{first}` and `{second}`"))
                .expected("remove one of them")
                .also(at.clone(), "the first");
        }
    }
    sources.pop().and_then(|(_, _, source)| source)
}

/// A program and its arguments. The path of a program with a slash is relative to the configuration.
fn command(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for element in value.list(sink, "[\"pass\", \"show\", \"aws\"]")? {
        words.push(element.text(sink, "\"…\"")?.to_owned());
    }
    let is_valid = words.first().is_some_and(|program| !program.is_empty()) && !words.iter().any(|w| w.contains('\0'));
    if !is_valid {
        sink.error(value.at(), "not a valid command")
            .expected("a program and its arguments; it is run without a shell");
        return None;
    }
    if let Some(program) = words.first_mut().filter(|program| program.contains('/')) {
        *program = base.join(&program).to_str()?.to_owned();
    }
    Some(words)
}

/// A string that may be a secret by mistake, so it is hidden if it is invalid.
fn text(
    sink: &mut DiagnosticSink,
    value: Located<'_>,
    like: &str,
    plain: impl Fn(&str) -> bool,
    kind: &str,
) -> Option<String> {
    let text = value.text(sink, like)?;
    if plain(text) {
        return Some(text.to_owned());
    }
    sink.mask(value.at());
    sink.error(value.at(), format!("not {kind}")).expected("the name, not the value");
    None
}

/// Reads what the instance may do with the secret.
fn grant(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> SecretGrant {
    let mut purposes = Vec::new();
    let mut add = |at: Range<usize>, purpose: Option<SecretPurpose>| purposes.extend(purpose.map(|p| (at, p)));
    for (key, purpose) in [("hmac-sha256", SecretPurpose::HmacSha256), ("pbkdf2", SecretPurpose::Pbkdf2)] {
        if let Some(value) = fields.optional(key) {
            add(value.at(), value.flag(sink).and_then(|granted| granted.then_some(purpose)));
        }
    }
    if let Some(value) = fields.optional("jwt") {
        add(value.at(), jwt::read(sink, value).map(SecretPurpose::Jwt));
    }
    if let Some(value) = fields.optional("scram") {
        add(value.at(), scram(sink, value).map(SecretPurpose::Scram));
    }
    if let Some(value) = fields.optional("sign") {
        add(value.at(), sign(sink, value).map(SecretPurpose::Sign));
    }
    if let Some(value) = fields.optional("sigv4") {
        add(value.at(), sigv4(sink, value).map(SecretPurpose::Sigv4));
    }
    let reveal = fields.optional("reveal").and_then(|value| value.flag(sink)).unwrap_or_default();

    purposes.sort_by_key(|(at, _)| at.start);
    let (places, purposes): (Vec<_>, Vec<_>) = purposes.into_iter().unzip();
    let purpose = match SecretPurpose::only(purposes) {
        Ok(purpose) => purpose,
        Err(error) => {
            if let [first, second, ..] = places.as_slice() {
                invalid(sink, second.clone(), &error).also(first.clone(), "the first");
            }
            None
        }
    };
    SecretGrant::new(purpose, reveal)
}

fn sigv4(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Sigv4Grant> {
    let mut fields = value.table(sink, "{ services = [\"sts\"], regions = [\"eu-west-1\"] }")?;
    let services = words(sink, &mut fields, "services", "[\"sts\"]");
    let regions = words(sink, &mut fields, "regions", "[\"eu-west-1\"]");
    fields.finish(sink);
    match Sigv4Grant::new(services?, regions?) {
        Ok(grant) => Some(grant),
        Err(error) => value.invalid(sink, &error),
    }
}

fn words(
    sink: &mut DiagnosticSink,
    fields: &mut TableReader<'_>,
    key: &'static str,
    like: &str,
) -> Option<Vec<String>> {
    let words: Vec<Word> = fields.required(sink, key, like)?.parsed_list(sink, like)?;
    Some(words.into_iter().map(|Word(word)| word).collect())
}

fn scram(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<ScramGrant> {
    let mut fields = value.table(sink, "{ username = \"deputy\" }")?;
    let username = fields.required(sink, "username", "\"deputy\"");
    fields.finish(sink);
    let username = username?;
    match ScramGrant::new(username.text(sink, "\"deputy\"")?.to_owned()) {
        Ok(grant) => Some(grant),
        Err(error) => username.invalid(sink, &error),
    }
}

fn sign(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Vec<SignatureAlgorithm>> {
    let mut fields = value.table(sink, "{ algorithms = [\"ES256\"] }")?;
    let algorithms = jwt::algorithms(sink, &mut fields);
    fields.finish(sink);
    algorithms
}

impl FromStr for Word {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if plain {
            Ok(Self(text.to_owned()))
        } else {
            Err("not a service or region of SigV4: use letters, digits and hyphens, without wildcards")
        }
    }
}

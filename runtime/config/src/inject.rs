//! What the host adds to the requests of a rule: headers, form fields, a client certificate.

use std::ops::Range;
use std::path::{Path, PathBuf};

use deputy_core::SecretName;
use deputy_core::grant::{Injection, InjectionEncoding, InjectionPoint, is_token_byte};

use crate::diagnostic::DiagnosticSink;
use crate::secret::SecretTable;
use crate::value::{Key, Located};

/// Headers that the host sets itself. A secret in one of them would break the request or leak.
const RESERVED: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// `client-certificate = { chain = "client.pem", key = { secret = "NAME" } }`
pub(crate) fn client(
    sink: &mut DiagnosticSink,
    base: &Path,
    secrets: &SecretTable,
    value: Located<'_>,
) -> Option<(PathBuf, SecretName)> {
    let mut fields = value.table(sink, "{ chain = \"client.pem\", key = { secret = \"NAME\" } }")?;
    let chain = fields.required(sink, "chain", "\"client.pem\"").and_then(|value| value.path(sink, base));
    let key = fields.required(sink, "key", "{ secret = \"NAME\" }").and_then(|value| {
        let mut fields = value.table(sink, "{ secret = \"NAME\" }")?;
        let name = fields.required(sink, "secret", "\"NAME\"").and_then(|value| secrets.named(sink, value));
        fields.finish(sink);
        name
    });
    fields.finish(sink);
    Some((chain?, key?))
}

/// `headers = { authorization = { secret = "NAME", prefix = "Bearer " } }`
pub(crate) fn headers(sink: &mut DiagnosticSink, secrets: &SecretTable, value: Located<'_>) -> Vec<Injection> {
    let like = "{ authorization = { secret = \"NAME\", prefix = \"Bearer \" } }";
    let mut seen: Vec<(String, Range<usize>)> = Vec::new();
    let mut injections = Vec::new();
    for (key, value) in value.entries(sink, like) {
        let name = header(sink, &key);
        if let Some(name) = &name {
            match seen.iter().find(|(other, _)| other == name) {
                Some((_, at)) => {
                    let error = sink.error(key.at.clone(), format!("the header `{name}` is set twice"));
                    error.expected("names of headers are case-insensitive").also(at.clone(), "the first");
                }
                None => seen.push((name.clone(), key.at.clone())),
            }
        }
        let content = content(sink, secrets, value, true);
        injections.extend(name.zip(content).map(|(name, (secret, form))| Injection {
            place: InjectionPoint::Header(name),
            secret,
            form,
        }));
    }
    injections
}

/// `form = { WebIdentityToken = { secret = "NAME" } }`
pub(crate) fn form(sink: &mut DiagnosticSink, secrets: &SecretTable, value: Located<'_>) -> Vec<Injection> {
    let mut injections = Vec::new();
    for (key, value) in value.entries(sink, "{ field = { secret = \"NAME\" } }") {
        let content = content(sink, secrets, value, false);
        if key.name.is_empty() {
            sink.error(key.at, "the name of a form field is empty").expected("a name, such as `client_secret`");
            continue;
        }
        injections.extend(content.map(|(secret, form)| Injection {
            place: InjectionPoint::Field(key.name.to_owned()),
            secret,
            form,
        }));
    }
    injections
}

/// `{ secret = "NAME" }`, and with it one of `prefix = "Bearer "`, `basic = "user"` and `oauth2-basic = "client-id"`
fn content(
    sink: &mut DiagnosticSink,
    secrets: &SecretTable,
    value: Located<'_>,
    header: bool,
) -> Option<(SecretName, InjectionEncoding)> {
    if !value.is_table() {
        // It may be the secret itself.
        sink.mask(value.at());
    }
    let mut fields = value.table(sink, "{ secret = \"NAME\" }")?;
    let secret = fields.required(sink, "secret", "\"NAME\"").and_then(|value| secrets.named(sink, value));
    let keys: &[&str] = if header { &["prefix", "basic", "oauth2-basic"] } else { &["prefix"] };
    let written: Vec<(&str, Located<'_>)> = keys.iter().filter_map(|key| Some((*key, fields.optional(key)?))).collect();
    fields.finish(sink);
    if let [(first, at), (second, value), ..] = written.as_slice() {
        sink.error(value.at(), format!("`{first}` and `{second}` cannot be combined"))
            .expected("only one of them")
            .also(at.at(), "the other");
        return None;
    }
    let form = match written.first() {
        Some(("basic", value)) => InjectionEncoding::Basic { user: user(sink, *value)? },
        Some(("oauth2-basic", value)) => InjectionEncoding::OauthBasic { client: client_id(sink, *value)? },
        Some((_, value)) => InjectionEncoding::Plain { prefix: prefix(sink, *value)? },
        None => InjectionEncoding::Plain { prefix: String::new() },
    };
    Some((secret?, form))
}

fn prefix(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<String> {
    let text = value.text(sink, "\"Bearer \"")?;
    if !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        sink.error(value.at(), "not a valid prefix")
            .expected("visible ASCII characters and spaces, such as \"Bearer \"");
        return None;
    }
    Some(text.to_owned())
}

fn user(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<String> {
    let text = value.text(sink, "\"user\"")?;
    if text.contains(|c: char| c == ':' || c.is_control()) {
        sink.error(value.at(), "not a user name for HTTP Basic")
            .expected("a name without a colon or control character");
        return None;
    }
    Some(text.to_owned())
}

/// A client ID is encoded, and so may have characters that HTTP Basic alone does not permit, such as the colons of a URL.
fn client_id(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<String> {
    let text = value.text(sink, "\"client-id\"")?;
    if text.is_empty() || text.contains(char::is_control) {
        sink.error(value.at(), "not a client ID").expected("a non-empty text without control characters");
        return None;
    }
    Some(text.to_owned())
}

/// Reads the name of a header, in lower case.
pub(crate) fn header(sink: &mut DiagnosticSink, key: &Key<'_>) -> Option<String> {
    let name = key.name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        sink.error(key.at.clone(), "not a header name")
            .expected("letters, digits and hyphens, such as `authorization`");
        return None;
    }
    if RESERVED.contains(&name.as_str()) {
        sink.error(key.at.clone(), format!("the header `{name}` is reserved")).expected("set by Deputy itself");
        return None;
    }
    Some(name)
}

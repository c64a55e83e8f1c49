//! AWS Signature Version 4, all of it but the key: canonical request, string to sign, `Authorization` header.
//!
//! It follows AWS's general rules and not S3's, which neither normalise paths nor encode them twice. The published test
//! suite is in `tests/vectors/sigv4`.

use deputy_kit::encode::{hex, percent, percent_decode};
use sha2::{Digest, Sha256};

/// What is signed of a request. The headers must hold `host`, and the body goes in whole.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query as they are sent.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// A request in the form that both sides hash.
pub(crate) struct Canonical {
    pub(crate) text: String,
    /// The names of the headers in it.
    pub(crate) signed_headers: String,
}

/// What a signature is good for.
pub(crate) struct Scope<'a> {
    /// `20150830T123600Z`, which the request's `x-amz-date` says as well.
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

impl Scope<'_> {
    fn text(&self) -> String {
        let day = self.date.split('T').next().unwrap_or_default();
        format!("{day}/{}/{}/aws4_request", self.region, self.service)
    }
}

pub(crate) fn canonical(request: &Request) -> Canonical {
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let (headers, signed_headers) = headers(request.headers);
    let body = hex(&Sha256::digest(request.body));
    let (method, path, query) = (request.method, self::path(path), self::query(query));
    let text = format!("{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{body}");
    Canonical { text, signed_headers }
}

pub(crate) fn string_to_sign(scope: &Scope, canonical: &Canonical) -> String {
    let hash = hex(&Sha256::digest(&canonical.text));
    format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", scope.date, scope.text())
}

/// The value of the `Authorization` header.
pub(crate) fn authorization(key_id: &str, scope: &Scope, canonical: &Canonical, signature: &str) -> String {
    let (scope, names) = (scope.text(), &canonical.signed_headers);
    format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// Without empty and dot segments, each other segment percent-encoded as it is.
fn path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut canonical: String = segments.iter().map(|segment| format!("/{}", percent(segment.as_bytes()))).collect();
    if canonical.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// Sorted by name, then by value, both percent-encoded anew.
fn query(query: &str) -> String {
    let encoded = |part: &str| percent(&percent_decode(part));
    let parts = query.split('&').filter(|part| !part.is_empty());
    let mut pairs: Vec<(String, String)> =
        parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(n, v)| (encoded(n), encoded(v))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// One line per header and the list of their names, sorted; the values of one name in their order, with single spaces.
fn headers(headers: &[(&str, &str)]) -> (String, String) {
    let mut sorted: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (mut lines, mut names) = (String::new(), String::new());
    for group in sorted.chunk_by(|(one, _), (other, _)| one == other) {
        let values: Vec<&str> = group.iter().map(|(_, value)| value.as_str()).collect();
        let name = group.first().map_or("", |(name, _)| name);
        lines.extend([name, ":", &values.join(","), "\n"]);
        names.extend([if names.is_empty() { "" } else { ";" }, name]);
    }
    (lines, names)
}

#[cfg(test)]
mod tests;

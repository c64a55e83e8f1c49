//! AWS Signature Version 4 without the key: canonical request, string to sign, `Authorization` header.
//!
//! Written here since AWS's crate is made for requests that it sends itself. It follows AWS's general rules and not S3's, which neither normalise paths nor encode them twice. The published test
//! suite is in `tests/vectors/sigv4`.

use deputy_kit::encode::{hex, percent, percent_decode};
use sha2::{Digest, Sha256};

/// The signed parts of a request. The headers must include `host`.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query of the request line.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// The canonical request, which both sides hash.
pub(crate) struct Canonical {
    pub(crate) text: String,
    pub(crate) signed_headers: String,
}

/// The scope of a signature.
pub(crate) struct Scope<'a> {
    /// `20150830T123600Z`, equal to the request's `x-amz-date`.
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
    let text = format!(
        "{}\n{}\n{}\n{headers}\n{signed_headers}\n{body}",
        request.method,
        self::path(path),
        self::query(query)
    );
    Canonical { text, signed_headers }
}

pub(crate) fn string_to_sign(scope: &Scope, canonical: &Canonical) -> String {
    let hash = hex(&Sha256::digest(&canonical.text));
    format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", scope.date, scope.text())
}

/// The value of the `Authorization` header.
pub(crate) fn authorization(key_id: &str, scope: &Scope, canonical: &Canonical, signature: &str) -> String {
    let scope = scope.text();
    let names = &canonical.signed_headers;
    format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// The path without empty and dot segments, each segment percent-encoded.
fn path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut canonical: String = segments.iter().map(|segment| format!("/{}", percent(segment.as_bytes()))).collect();
    if canonical.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// The query sorted by name, then by value, both percent-encoded again.
fn query(query: &str) -> String {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let mut pairs: Vec<(String, String)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (percent(&percent_decode(name)), percent(&percent_decode(value))))
        .collect();
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
    let mut lines = String::new();
    let mut names = String::new();
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

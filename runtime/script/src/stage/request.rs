//! A request as a scripted server reads it: from the sandbox's own sender, which writes plain HTTP/1.1.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::file::{RequestMatch, ScriptedRequest, TextMatch, match_json};
use crate::mismatch::Mismatch;

/// A request.
pub(super) struct ScriptRequest {
    method: String,
    /// Path and query.
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The most that is read of a head and of a body: over the sandbox's own limits.
const MAX_HEAD: usize = 1 << 20;
const MAX_BODY: usize = 64 << 20;

impl ScriptRequest {
    /// Reads one request to its end.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        };
        let rest = bytes.split_off(end.saturating_add(4));
        let head = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) =
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let mut request = Self { method, target, headers, body: rest };
        request.read_body(stream).await?;
        Ok(request)
    }

    async fn read_body(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            let mut raw = std::mem::take(&mut self.body);
            loop {
                if let Some(body) = dechunked(&raw) {
                    self.body = body;
                    return Ok(());
                }
                more(stream, &mut raw).await?;
            }
        }
        let length = self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.body.len() < length {
            more(stream, &mut self.body).await?;
        }
        Ok(())
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Its first line, for people.
    pub(super) fn line(&self, endpoint: &ScriptedRequest) -> String {
        format!("{} {endpoint}{}", self.method, self.target)
    }

    /// Compares it with what the script expects.
    pub(super) fn check(&self, endpoint: &ScriptedRequest, expected: &RequestMatch) -> Vec<Mismatch> {
        let mut wrong = Vec::new();
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let url = &expected.url.0;
        let is_target = if expected.query.is_some() { path == url.rest } else { self.target == url.rest };
        if self.method != expected.method || !is_target {
            let line = format!("{} {}{}", expected.method, url.endpoint, url.rest);
            wrong.push(Mismatch::new("method and URL", line, self.line(endpoint)));
        }
        for (name, text) in expected.query.iter().flatten() {
            wrong.extend(field("query parameter", name, text, query.as_bytes()));
        }
        for (name, text) in &expected.headers {
            wrong.extend(text.check(&format!("header {name}"), self.header(name).map(str::as_bytes)));
        }
        for (name, text) in &expected.form {
            wrong.extend(field("form field", name, text, &self.body));
        }
        wrong.extend(expected.body.iter().flat_map(|text| text.check("body", Some(&self.body))));
        if let Some(json) = &expected.json {
            match serde_json::from_slice(&self.body) {
                Ok(found) => wrong.extend(match_json("body", json, &found)),
                Err(_) => wrong.extend(TextMatch::Json(json.clone()).check("body", Some(&self.body))),
            }
        }
        wrong
    }
}

fn field(kind: &str, name: &str, expected: &TextMatch, form: &[u8]) -> Vec<Mismatch> {
    let found = form_urlencoded::parse(form).find(|(known, _)| known == name);
    expected.check(&format!("{kind} {name}"), found.as_ref().map(|(_, value)| value.as_bytes()))
}

async fn more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    if bytes.len() > MAX_BODY || stream.read_buf(bytes).await? == 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(())
}

/// The body in chunks, if all of them are there.
fn dechunked(mut raw: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = raw.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(raw.get(..end)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        raw = raw.get(end.checked_add(2)?..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend(raw.get(..size)?);
        raw = raw.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn request_is_read_with_either_framing() {
        for text in [
            "POST /a?b=c HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\n\r\nk=%41",
            "POST /a?b=c HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nk=\r\n3\r\n%41\r\n0\r\n\r\n",
        ] {
            let request = ScriptRequest::read(&mut text.as_bytes()).await.unwrap();
            assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/a?b=c"));
            assert_eq!(request.header("host"), Some("x"));
            assert_eq!(field("form field", "k", &TextMatch::Exactly("A".to_owned()), &request.body), []);
        }
    }

    #[tokio::test]
    async fn request_that_ends_early_is_an_error() {
        for text in ["POST /", "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nk"] {
            assert!(ScriptRequest::read(&mut text.as_bytes()).await.is_err());
        }
    }
}

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
/// The longest line before a chunk.
const MAX_CHUNK_LINE: usize = 1024;

impl ScriptRequest {
    /// Reads one request to its end.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut seen = 0;
        let end = loop {
            let unseen = bytes.get(seen..).unwrap_or_default();
            if let Some(end) = unseen.windows(4).position(|window| window == b"\r\n\r\n") {
                break seen.saturating_add(end);
            }
            seen = bytes.len().saturating_sub(3);
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
            let mut at = 0_usize;
            loop {
                match raw.get(at..).and_then(chunk) {
                    Some(([], _)) => return Ok(()),
                    Some((data, length)) => {
                        self.body.extend(data);
                        at = at.saturating_add(length);
                    }
                    None => more(stream, &mut raw).await?,
                }
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

/// The bytes of the chunk that begins here, which are none in the last one, and its length with its frame; `None` until it is
/// there.
fn chunk(raw: &[u8]) -> Option<(&[u8], usize)> {
    let end = raw.iter().take(MAX_CHUNK_LINE).position(|byte| *byte == b'\n')?;
    let size = std::str::from_utf8(raw.get(..end)?).ok()?.split(';').next()?.trim();
    let begin = end.checked_add(1)?;
    let after = begin.checked_add(usize::from_str_radix(size, 16).ok()?)?;
    let data = raw.get(begin..after)?;
    let length = after.checked_add(2)?;
    (data.is_empty() || raw.len() >= length).then_some((data, length))
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
    async fn request_of_many_chunks_is_read_once() {
        let mut text = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..200_000 {
            text.extend(b"1\r\na\r\n");
        }
        text.extend(b"0\r\n\r\n");
        let began = deputy_support::timer_now();
        let request = ScriptRequest::read(&mut tokio::io::BufReader::with_capacity(64, &text[..])).await.unwrap();
        assert_eq!(request.body.len(), 200_000);
        let taken = deputy_support::timer_now().saturating_duration_since(began);
        assert!(taken < std::time::Duration::from_secs(10), "it is not read again with each chunk");
    }

    #[tokio::test]
    async fn request_that_ends_early_is_an_error() {
        for text in ["POST /", "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nk"] {
            assert!(ScriptRequest::read(&mut text.as_bytes()).await.is_err());
        }
    }
}

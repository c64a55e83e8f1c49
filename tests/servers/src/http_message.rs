//! HTTP/1.1 messages as a proxy passes them on: heads that are read, and bodies that are copied.

use std::io::{self, BufRead, Read, Write};

/// The largest head.
const MAX_HEAD: u64 = 64 << 10;

/// What a request or a response begins with.
pub(crate) struct Head {
    bytes: Vec<u8>,
    /// The words of the first line.
    first: Vec<String>,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; none at the end of the connection.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut from = from.take(MAX_HEAD);
        loop {
            let length = from.read_until(b'\n', &mut bytes)?;
            match bytes.get(bytes.len().saturating_sub(length)..) {
                Some([]) if bytes.is_empty() => return Ok(None),
                Some([]) | None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(b"\r\n" | b"\n") => break,
                Some(_) => {}
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().split(' ').map(str::to_owned).collect();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Ok(Some(Self { bytes, first, headers }))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Of a request.
    pub(crate) fn method(&self) -> &str {
        self.first.first().map(String::as_str).unwrap_or_default()
    }

    /// Of a request, without its query.
    pub(crate) fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// Of a request.
    pub(crate) fn query(&self) -> &str {
        self.target().split_once('?').map(|(_, query)| query).unwrap_or_default()
    }

    /// Of a response: whether another one follows for the same request.
    pub(crate) fn is_interim(&self) -> bool {
        self.status().starts_with('1')
    }

    /// Of a response.
    pub(crate) fn is_success(&self) -> bool {
        self.status().starts_with('2')
    }

    /// Copies the body of a request.
    pub(crate) fn copy_body(&self, from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
        match (self.is_chunked(), self.length()) {
            (true, _) => copy_chunks(from, to),
            (false, length) => copy(from, to, length.unwrap_or(0)),
        }
    }

    /// Copies the body of a response to a request.
    pub(crate) fn copy_response(
        &self,
        to_request: &Self,
        from: &mut impl BufRead,
        to: &mut impl Write,
    ) -> io::Result<()> {
        if to_request.method() == "HEAD" || ["204", "304"].contains(&self.status()) {
            return Ok(());
        }
        match (self.is_chunked(), self.length()) {
            (true, _) => copy_chunks(from, to),
            (false, Some(length)) => copy(from, to, length),
            (false, None) => io::copy(from, to).map(drop),
        }
    }

    fn target(&self) -> &str {
        self.first.get(1).map(String::as_str).unwrap_or_default()
    }

    fn status(&self) -> &str {
        self.target()
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.header("content-length").and_then(|value| value.parse().ok())
    }
}

fn copy(from: &mut impl BufRead, to: &mut impl Write, length: u64) -> io::Result<()> {
    let copied = io::copy(&mut from.take(length), to)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Copies chunks with their frames, and what follows them.
fn copy_chunks(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        let line = copy_line(from, to)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        if size == 0 {
            break;
        }
        copy(from, to, size.saturating_add(2))?;
    }
    while !copy_line(from, to)?.trim().is_empty() {}
    Ok(())
}

fn copy_line(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<String> {
    let mut line = Vec::new();
    if from.take(MAX_HEAD).read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    to.write_all(&line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

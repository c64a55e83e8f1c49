//! One HTTP request over `wasi:http`, and its whole response.
//!
//! Blocking, without `std`'s I/O, redirects, retries or cookies: the host schedules calls, and a redirect could lead to a
//! host that the operator did not grant. An error while the body is sent is not reported: when a connection breaks, the
//! guest's stream is only "closed", and the future of the response has the reason.

use crate::failure;
use crate::tcp::MAX_WRITE;
use crate::time::{parse_delay, parse_http_date};
use crate::types::{Failure, Timestamp};
use crate::url::Url;
use std::fmt;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, OutgoingBody, OutgoingRequest, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

pub use wasip2::http::types::Method;

/// The largest response that is read. Credentials are a few kilobytes; a larger response is an error or an attack.
pub const MAX_RESPONSE: usize = 1024 * 1024;

/// The longest `Retry-After` that is honoured, in milliseconds.
const MAX_WAIT: u64 = 86_400_000;

/// The response of a service, whatever its status.
#[derive(Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in the order of the response.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, if it is valid UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// `Retry-After` in milliseconds, at most a day: seconds, also with a fraction, or a date (RFC 9110, 10.2.3), which is
    /// compared with the response's `Date` if it has one, and else with `now`.
    #[must_use]
    pub fn retry_after_ms(&self, now: Timestamp) -> Option<u64> {
        let text = self.header("retry-after")?.trim();
        let wait = parse_delay(text).or_else(|| {
            let sent = self.header("date").and_then(|date| parse_http_date(date.trim()));
            Some(parse_http_date(text)?.saturating_sub(sent.unwrap_or(now)))
        });
        wait.map(|wait| wait.min(MAX_WAIT))
    }

    /// The content coding of the body, if it has one (RFC 9110, 8.4). The kit decodes none: ask for `identity`.
    #[must_use]
    pub fn coding(&self) -> Option<&str> {
        let coding = self.header("content-encoding")?.trim();
        Some(coding).filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    }
}

/// Why there is no response.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError {
    /// The request is not valid HTTP: a header or the URL.
    Invalid(String),
    /// No rule of the instance allows it.
    NotGranted(String),
    /// A rule allows it, but the host can't apply the rule: a secret to be added is not available, for example.
    NotApplied(String),
    /// No connection, or a broken one.
    Unreachable(String),
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let text = error.to_string();
        match error {
            SendError::Invalid(_) | SendError::NotGranted(_) | SendError::NotApplied(_) => failure::misconfigured(text),
            SendError::Unreachable(_) => failure::unavailable(text),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Invalid(what) => write!(f, "not a valid request: {what}"),
            SendError::NotGranted(what) => {
                write!(f, "no http rule of this instance allows {what}; the host's log says what would")
            }
            SendError::NotApplied(what) => {
                write!(f, "{what}: the host cannot apply its http rule to this request; the host's log says why")
            }
            SendError::Unreachable(what) => f.write_str(what),
        }
    }
}

/// Sends one request and reads the whole response. The headers `host` and `content-length` follow from URL and body.
///
/// # Errors
/// If there is no response. An error status is a response: check it.
pub fn send(method: &Method, url: &Url, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, SendError> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|_| SendError::Invalid(format!("header {name}")))?;
    }
    // Without it the host sends chunks, which some servers that implement AWS's APIs do not support.
    let length = body.len().to_string();
    fields
        .set("content-length", &[length.into_bytes()])
        .map_err(|_| SendError::Invalid("header content-length".to_owned()))?;
    let request = OutgoingRequest::new(fields);
    request.set_method(method).map_err(|()| invalid(url))?;
    request.set_scheme(Some(if url.secure { &Scheme::Https } else { &Scheme::Http })).map_err(|()| invalid(url))?;
    request.set_authority(Some(&url.authority)).map_err(|()| invalid(url))?;
    request.set_path_with_query(Some(&url.target)).map_err(|()| invalid(url))?;

    let outgoing = request.body().map_err(|()| invalid(url))?;
    let pending = outgoing_handler::handle(request, None).map_err(|code| no_response(method, url, &code))?;
    write(outgoing, body);

    pending.subscribe().block();
    match pending.get() {
        Some(Ok(Ok(response))) => read(method, url, &response),
        Some(Ok(Err(code))) => Err(no_response(method, url, &code)),
        // Cannot happen: the future is ready and its value is taken once.
        Some(Err(())) | None => Err(SendError::Unreachable(format!("{url}: no response"))),
    }
}

fn invalid(url: &Url) -> SendError {
    SendError::Invalid(url.to_string())
}

fn write(outgoing: OutgoingBody, body: &[u8]) {
    let Ok(stream) = outgoing.write() else { return };
    let sent = body.chunks(MAX_WRITE).all(|chunk| stream.blocking_write_and_flush(chunk).is_ok());
    drop(stream);
    // Dropping an unfinished body aborts the request, so that half a body never passes for a whole one.
    if sent {
        OutgoingBody::finish(outgoing, None).ok();
    }
}

fn read(method: &Method, url: &Url, response: &IncomingResponse) -> Result<Response, SendError> {
    let status = response.status();
    let headers = response.headers().entries();
    let incoming = response.consume().map_err(|()| broke_off(url))?;
    let stream = incoming.stream().map_err(|()| broke_off(url))?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => body.extend(chunk),
            Err(StreamError::Closed) => return Ok(Response { status, headers, body }),
            // Not its to_debug_string(), which is a text of the host.
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(
                    http_error_code(&error).map_or_else(|| broke_off(url), |code| no_response(method, url, &code))
                );
            }
        }
        if body.len() > MAX_RESPONSE {
            return Err(SendError::Unreachable(format!("{url}: the response is larger than {MAX_RESPONSE} bytes")));
        }
    }
}

fn broke_off(url: &Url) -> SendError {
    SendError::Unreachable(format!("{url}: the response broke off"))
}

fn no_response(method: &Method, url: &Url, code: &ErrorCode) -> SendError {
    let what = match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            return SendError::NotGranted(format!("{} {url}", name(method)));
        }
        ErrorCode::ConfigurationError => return SendError::NotApplied(url.to_string()),
        ErrorCode::ConnectionLimitReached => "too many connections",
        ErrorCode::ConnectionRefused => "connection refused",
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => "the connection broke off",
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionWriteTimeout => {
            "timed out"
        }
        ErrorCode::DestinationNotFound | ErrorCode::DnsError(_) => "the host's name was not found",
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => "the host is unreachable",
        ErrorCode::DnsTimeout => "the host's name was not found in time",
        ErrorCode::HttpProtocolError => "the server does not speak HTTP",
        ErrorCode::HttpRequestBodySize(_) => "the request is larger than allowed",
        ErrorCode::HttpRequestHeaderSectionSize(_) => "the request's headers are larger than allowed",
        ErrorCode::HttpRequestUriTooLong => "the URL is longer than allowed",
        ErrorCode::HttpResponseBodySize(_) => "the response is larger than allowed",
        ErrorCode::HttpResponseHeaderSectionSize(_) => "the response's headers are larger than allowed",
        ErrorCode::HttpResponseTimeout => "no response in time",
        ErrorCode::TlsCertificateError => "its TLS certificate is not trusted",
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => "no TLS connection",
        _ => "no response",
    };
    SendError::Unreachable(format!("{url}: {what}"))
}

/// The method in the request line.
fn name(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Next;

    #[test]
    fn http_denial_is_misconfigured() {
        let url = Url::parse("https://sts.example/?secret=1").unwrap();
        let failure = Failure::from(no_response(&Method::Post, &url, &ErrorCode::HttpRequestDenied));
        assert_eq!(failure.next, Next::Misconfigured);
        assert_eq!(
            failure.message,
            "no http rule of this instance allows POST https://sts.example/; the host's log says what would"
        );
        let failure = Failure::from(no_response(&Method::Post, &url, &ErrorCode::ConfigurationError));
        let text = failure.message;
        assert_eq!(failure.next, Next::Misconfigured);
        assert!(text.starts_with("https://sts.example/: the host cannot apply its http rule"), "{text}");
    }

    #[test]
    fn http_broken_connection_is_unavailable_without_host_text() {
        let url = Url::parse("https://sts.example/").unwrap();
        let failure = Failure::from(no_response(&Method::Post, &url, &ErrorCode::ConnectionRefused));
        assert_eq!(
            (failure.next, failure.message.as_str()),
            (Next::Unavailable, "https://sts.example/: connection refused")
        );
        let code = ErrorCode::InternalError(Some("10.1.2.3".to_owned()));
        let failure = Failure::from(no_response(&Method::Post, &url, &code));
        assert_eq!((failure.next, failure.message.as_str()), (Next::Unavailable, "https://sts.example/: no response"));
    }

    const NOW: Timestamp = 1_440_938_160_000;

    fn answer(headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        Response { headers, ..Response::default() }
    }

    #[test]
    fn retry_after_is_seconds_a_fraction_or_a_date_up_to_a_day() {
        for (value, expected) in [
            ("7", Some(7000)),
            ("0", Some(0)),
            ("1.5", Some(1500)),
            ("18446744073709551615", Some(MAX_WAIT)),
            ("Sun, 30 Aug 2015 12:38:00 GMT", Some(120_000)),
            ("Sunday, 30-Aug-15 12:38:00 GMT", Some(120_000)),
            ("Sun Aug 30 12:38:00 2015", Some(120_000)),
            ("Sun, 30 Aug 2015 12:00:00 GMT", Some(0)),
            ("Sun, 22 Nov 2026 18:00:00 GMT", Some(MAX_WAIT)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(answer(&[("Retry-After", value)]).retry_after_ms(NOW), expected, "{value}");
        }
    }

    #[test]
    fn retry_after_a_date_is_measured_by_the_clock_of_the_service() {
        let headers = [("date", "Sun, 30 Aug 2015 10:00:00 GMT"), ("retry-after", "Sun, 30 Aug 2015 10:00:30 GMT")];
        assert_eq!(answer(&headers).retry_after_ms(NOW), Some(30_000));
    }

    #[test]
    fn content_coding_is_none_for_identity() {
        for (value, expected) in [("gzip", Some("gzip")), (" br ", Some("br")), ("Identity", None), ("", None)] {
            assert_eq!(answer(&[("content-encoding", value)]).coding(), expected);
        }
        assert_eq!(answer(&[]).coding(), None);
    }
}

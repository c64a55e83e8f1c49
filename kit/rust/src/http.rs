//! One HTTP request over `wasi:http`, and its whole answer.
//!
//! Blocking, without `std`'s I/O, redirects, retries or cookies: the host schedules and renews, and a redirect would be
//! another host than the operator granted. Failing to send the body is no failure of its own: when a connection breaks,
//! the guest's stream only says "closed", and the answer's future says why.

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

/// The largest answer that is read. Credentials are a few kilobytes; a larger answer is an error or an attack.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// The longest time that is taken from `Retry-After`, in milliseconds.
const MAX_WAIT: u64 = 86_400_000;

/// What one write may hold, by the definition of `wasi:io`.
const MAX_WRITE: usize = 4096;

/// A service's answer, whatever its status.
#[derive(Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in the answer's order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// What `Retry-After` says in milliseconds, at most a day: seconds, also with a fraction, or a date (RFC 9110,
    /// 10.2.3), which is compared with the service's own clock where the answer has a `Date`, and with `now` elsewhere.
    #[must_use]
    pub fn retry_after_ms(&self, now: Timestamp) -> Option<u64> {
        let text = self.header("retry-after")?.trim();
        let wait = parse_delay(text).or_else(|| {
            let sent = self.header("date").and_then(|date| parse_http_date(date.trim()));
            Some(parse_http_date(text)?.saturating_sub(sent.unwrap_or(now)))
        });
        wait.map(|wait| wait.min(MAX_WAIT))
    }

    /// The coding of the body, where it has one (RFC 9110, 8.4). Nothing here undoes any: ask for `identity`.
    #[must_use]
    pub fn coding(&self) -> Option<&str> {
        let coding = self.header("content-encoding")?.trim();
        Some(coding).filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    }
}

/// Why no answer came.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// The request itself can't be sent: a header or a URL that HTTP does not allow.
    Invalid(String),
    /// No rule of the operator's allows it.
    NotGranted(String),
    /// A rule allows it, but the host can't do what the rule says, such as to add a secret.
    NotMade(String),
    /// No connection, or it broke off.
    Unreachable(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Invalid(_) | Error::NotGranted(_) | Error::NotMade(_) => Failure::Misconfigured(text),
            Error::Unreachable(_) => Failure::Unavailable(text),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(what) => write!(f, "not a valid request: {what}"),
            Error::NotGranted(what) => {
                write!(f, "no http rule of this instance allows {what}; the host's log says what would")
            }
            Error::NotMade(what) => {
                write!(f, "{what}: the host cannot make this request as its http rule says; its log says why")
            }
            Error::Unreachable(what) => f.write_str(what),
        }
    }
}

/// Sends one request and reads the whole answer. The headers `host` and `content-length` are given by
/// URL and body.
///
/// # Errors
/// Only where no answer came. A refusal by the service is an answer: look at its status.
pub fn send(method: &Method, url: &Url, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, Error> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|_| Error::Invalid(format!("header {name}")))?;
    }
    // Without it the host sends chunks, which servers of AWS's kind read badly or refuse.
    let length = body.len().to_string();
    fields
        .set("content-length", &[length.into_bytes()])
        .map_err(|_| Error::Invalid("header content-length".to_owned()))?;
    let request = OutgoingRequest::new(fields);
    let invalid = |()| Error::Invalid(url.to_string());
    request.set_method(method).map_err(invalid)?;
    request.set_scheme(Some(if url.secure { &Scheme::Https } else { &Scheme::Http })).map_err(invalid)?;
    request.set_authority(Some(&url.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&url.target)).map_err(invalid)?;

    let outgoing = request.body().map_err(invalid)?;
    let pending = outgoing_handler::handle(request, None).map_err(|code| no_answer(method, url, &code))?;
    write(outgoing, body);

    pending.subscribe().block();
    match pending.get() {
        Some(Ok(Ok(response))) => read(method, url, &response),
        Some(Ok(Err(code))) => Err(no_answer(method, url, &code)),
        // Neither can be by the definition of the future, which was waited for and is taken once.
        Some(Err(())) | None => Err(Error::Unreachable(format!("{url}: no answer"))),
    }
}

fn write(outgoing: OutgoingBody, body: &[u8]) {
    let Ok(stream) = outgoing.write() else { return };
    let sent = body.chunks(MAX_WRITE).all(|chunk| stream.blocking_write_and_flush(chunk).is_ok());
    drop(stream);
    // An unfinished body is broken off when it is dropped, so that half of one never passes for the whole.
    if sent {
        drop(OutgoingBody::finish(outgoing, None));
    }
}

fn read(method: &Method, url: &Url, response: &IncomingResponse) -> Result<Response, Error> {
    let broke_off = || Error::Unreachable(format!("{url}: the answer broke off"));
    let (status, headers) = (response.status(), response.headers().entries());
    let incoming = response.consume().map_err(|()| broke_off())?;
    let stream = incoming.stream().map_err(|()| broke_off())?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => body.extend(chunk),
            Err(StreamError::Closed) => return Ok(Response { status, headers, body }),
            // Not its to_debug_string(): that text is the host's own.
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(http_error_code(&error).map_or_else(broke_off, |code| no_answer(method, url, &code)));
            }
        }
        if body.len() > MAX_ANSWER {
            return Err(Error::Unreachable(format!("{url}: the answer is larger than {MAX_ANSWER} bytes")));
        }
    }
}

fn no_answer(method: &Method, url: &Url, code: &ErrorCode) -> Error {
    let what = match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            return Error::NotGranted(format!("{} {url}", name(method)));
        }
        ErrorCode::ConfigurationError => return Error::NotMade(url.to_string()),
        ErrorCode::ConnectionLimitReached => "too many connections",
        ErrorCode::ConnectionRefused => "connection refused",
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => "the connection broke off",
        ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionWriteTimeout => {
            "timed out"
        }
        ErrorCode::DestinationNotFound | ErrorCode::DnsError(_) => "the host's name was not found",
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => "the host is unreachable",
        ErrorCode::DnsTimeout => "the host's name was not found in time",
        ErrorCode::HttpProtocolError => "what answers does not speak HTTP",
        ErrorCode::HttpRequestBodySize(_) => "the request is larger than allowed",
        ErrorCode::HttpRequestHeaderSectionSize(_) => "the request's headers are larger than allowed",
        ErrorCode::HttpRequestUriTooLong => "the URL is longer than allowed",
        ErrorCode::HttpResponseBodySize(_) => "the answer is larger than allowed",
        ErrorCode::HttpResponseHeaderSectionSize(_) => "the answer's headers are larger than allowed",
        ErrorCode::HttpResponseTimeout => "no answer in time",
        ErrorCode::TlsCertificateError => "its TLS certificate is not trusted",
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => "no TLS connection",
        _ => "no answer",
    };
    Error::Unreachable(format!("{url}: {what}"))
}

/// A method as it is sent.
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

    #[test]
    fn a_refusal_by_the_host_is_a_matter_of_configuration() {
        let url = Url::parse("https://sts.example/?secret=1").unwrap();
        let failure = Failure::from(no_answer(&Method::Post, &url, &ErrorCode::HttpRequestDenied));
        let Failure::Misconfigured(text) = failure else { panic!("{failure:?}") };
        assert_eq!(
            text,
            "no http rule of this instance allows POST https://sts.example/; the host's log says what would"
        );
        let failure = Failure::from(no_answer(&Method::Post, &url, &ErrorCode::ConfigurationError));
        let Failure::Misconfigured(text) = failure else { panic!("{failure:?}") };
        assert!(text.starts_with("https://sts.example/: the host cannot make this request"), "{text}");
    }

    #[test]
    fn a_broken_connection_may_be_tried_again_and_shows_nothing_of_the_host_s_text() {
        let url = Url::parse("https://sts.example/").unwrap();
        let failure = Failure::from(no_answer(&Method::Post, &url, &ErrorCode::ConnectionRefused));
        assert!(matches!(failure, Failure::Unavailable(text) if text == "https://sts.example/: connection refused"));
        let code = ErrorCode::InternalError(Some("10.1.2.3".to_owned()));
        let failure = Failure::from(no_answer(&Method::Post, &url, &code));
        assert!(matches!(failure, Failure::Unavailable(text) if text == "https://sts.example/: no answer"));
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
    fn coding_is_that_of_a_body_that_has_one() {
        for (value, expected) in [("gzip", Some("gzip")), (" br ", Some("br")), ("Identity", None), ("", None)] {
            assert_eq!(answer(&[("content-encoding", value)]).coding(), expected);
        }
        assert_eq!(answer(&[]).coding(), None);
    }
}

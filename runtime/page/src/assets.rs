//! The files of the page, and the headers that keep a browser from everything else.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

const HTML: &str = include_str!("../web/page.html");
const STYLE: &str = include_str!("../web/page.css");
const SCRIPT: &str = include_str!("../web/page.js");
const ICON: &str = include_str!("../web/icon.svg");

/// Nothing but what this port serves; no code or style in the text; in no frame; and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A file of the page.
pub(crate) fn asset(path: &str) -> Option<Response<Bytes>> {
    let (media_type, file) = match path {
        "/" => ("text/html; charset=utf-8", HTML),
        "/page.css" => ("text/css; charset=utf-8", STYLE),
        "/page.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "/icon.svg" => ("image/svg+xml", ICON),
        _ => return None,
    };
    Some(response(media_type, Bytes::from_static(file.as_bytes())))
}

/// A text for a person.
pub(crate) fn text(text: String) -> Response<Bytes> {
    response("text/plain; charset=utf-8", text.into())
}

/// To the page, with the cookie of a session.
pub(crate) fn begin_session(cookie: &str, session: &str, is_secure: bool) -> Response<Bytes> {
    let mut response = response("text/plain; charset=utf-8", Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{cookie}={session}; HttpOnly; SameSite=Strict; Path=/{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    response
}

fn response(media_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = deputy_http_server::response(StatusCode::OK, media_type, body);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

//! Why a request for the page is refused.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::assets;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PageRefusal {
    #[error("{0}")]
    Closed(String),
    #[error("only requests for this coordinator are served here: its name is {0}")]
    Host(String),
    #[error("another site cannot use this page: paste the URL into the address bar")]
    Site,
    #[error("only GET is supported")]
    Method,
    #[error("this URL is used up or too old: `deputy ui` prints another one")]
    Url,
    #[error("this browser has no session: `deputy ui` prints a URL that opens one")]
    Session,
    #[error("no such path: `/` is the page, `/livez`, `/readyz` and `/metrics` are for probes")]
    Path,
    #[error("{0}")]
    Query(String),
    #[error("too many pages are open: close one")]
    Full,
}

impl PageRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Closed(_) | Self::Site => StatusCode::FORBIDDEN,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Url | Self::Session => StatusCode::UNAUTHORIZED,
            Self::Path => StatusCode::NOT_FOUND,
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut response = assets::text(format!("{self}\n"));
        *response.status_mut() = self.status();
        response
    }
}

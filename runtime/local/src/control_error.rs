//! Why a command was not carried out, as it travels from server to client.

use http::StatusCode;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// `unknown`, `cannot-revoke`, `file-only`, `starting`, `stopping`, `busy`, `unavailable`, `misconfigured`, `not-ready`,
    /// `request` or `internal`
    pub kind: String,
    /// Of `not-ready`: the kind of the instance's last failure, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What is wrong and how to fix it.
    pub message: String,
    /// The findings in a configuration, formatted for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// The body of a reply that reports an error.
#[derive(Serialize, Deserialize)]
pub(crate) struct ErrorReply {
    #[serde(default)]
    pub(crate) schema: u32,
    pub(crate) error: ControlError,
}

impl ControlError {
    pub fn new(kind: &str, message: &str) -> Self {
        Self { kind: kind.to_owned(), cause: None, message: message.to_owned(), details: String::new() }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self.kind.as_str() {
            "unknown" => StatusCode::NOT_FOUND,
            "request" => StatusCode::BAD_REQUEST,
            "busy" | "starting" | "stopping" | "not-ready" | "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "misconfigured" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        }
    }
}

//! Why a command was not carried out, on its way from one end to the other.

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// `unknown`, `cannot-revoke`, `file-only`, `starting`, `stopping`, `busy`, `misconfigured`, `not-ready`, `request`
    pub kind: String,
    /// Of `not-ready`: the kind of the instance's last failure, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What is wrong and what mends it.
    pub message: String,
    /// The findings in a configuration, as they are shown to a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl ControlError {
    /// An error of a kind.
    pub fn new(kind: &str, message: &str) -> Self {
        Self { kind: kind.to_owned(), cause: None, message: message.to_owned(), details: String::new() }
    }

    /// As HTTP has it.
    pub(crate) fn status(&self) -> StatusCode {
        match self.kind.as_str() {
            "unknown" => StatusCode::NOT_FOUND,
            "request" => StatusCode::BAD_REQUEST,
            "busy" | "starting" | "stopping" | "not-ready" => StatusCode::SERVICE_UNAVAILABLE,
            "misconfigured" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        }
    }
}

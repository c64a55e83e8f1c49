//! The HTTP requests of a call, for its traces.

use deputy_core::grant::HttpPattern;

/// One permitted HTTP request of a component: when, and by which rule. It has no text that the component or a server chose:
/// traces leave the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeRequest {
    /// `GET`, …, or `_OTHER` for a method that is not a usual one.
    pub method: &'static str,
    /// What the rule allows that permitted it.
    pub allowed: HttpPattern,
    pub status: Option<u16>,
    /// Nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
    /// Why there was no response, as in the audit log.
    pub failure: Option<String>,
}

/// Requests of one call that are kept; more are left out.
pub(crate) const MOST_REQUESTS: usize = 64;

const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// The method, if it is a usual one.
pub(crate) fn usual_method(method: &str) -> &'static str {
    METHODS.into_iter().find(|usual| *usual == method).unwrap_or("_OTHER")
}

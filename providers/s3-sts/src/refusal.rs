//! From an error of STS to a failure, which decides about the retry.
//!
//! The code decides if there is one, since STS uses status 400 for nearly everything; else the status decides. The text is
//! the code and message of STS, on one line and bounded. A body that is not an error of STS is not quoted: a proxy may echo
//! the request.

use crate::config::StsOperation;
use crate::xml::Leaves;
use deputy_kit::failure;
use deputy_kit::http::Response;
use deputy_kit::text::one_line;
use deputy_kit::types::{Failure, Timestamp};

/// The codes that AWS's own clients treat as throttling.
const THROTTLED: [&str; 15] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// A retry can't succeed: the request is wrong.
const MISCONFIGURED: [&str; 16] = [
    "InvalidAction",
    "InvalidParameter",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "InvalidQueryParameter",
    "MalformedPolicyDocument",
    "MalformedPolicyDocumentException",
    "MalformedQueryString",
    "MissingAction",
    "MissingParameter",
    "PackedPolicyTooLarge",
    "PackedPolicyTooLargeException",
    "RegionDisabled",
    "RegionDisabledException",
    "ValidationError",
    "ValidationException",
];

/// The identity provider was unreachable, or STS itself failed, though some of these have status 400.
const UNAVAILABLE: [&str; 8] = [
    "IDPCommunicationError",
    "IDPCommunicationErrorException",
    "InternalError",
    "InternalFailure",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// The request's time is too far from AWS's.
const CLOCK: [&str; 3] = ["RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"];

/// The failure for a response without credentials.
pub(crate) fn of(operation: StsOperation, response: &Response, now: Timestamp) -> Failure {
    let status = response.status;
    let leaves = Leaves::read(&response.body).ok();
    let find =
        |path: &str, limit: usize| leaves.as_ref().and_then(|found| found.find(path)).map(|t| one_line(t, limit));
    let code = find("Error/Code", 100);
    let message = find("Error/Message", 400);
    let mut text = format!("{}: {status}", operation.action());
    if code.is_none() && message.is_none() {
        text.push_str(" without an error of STS");
        if matches!(status, 300..500) && !matches!(status, 408 | 425 | 429) {
            text.push_str("; look at `endpoint`");
        }
    }
    text.extend(code.iter().flat_map(|code| [" ", code]));
    text.extend(message.iter().flat_map(|message| [": ", message]));
    let code = code.as_deref().unwrap_or_default();
    let message = message.as_deref().unwrap_or_default();
    if let Some(hint) = hint(code, message) {
        text.push_str(hint);
    }
    let wait = response.retry_after_ms(now);
    let mut failure = Failure { retry_after_ms: wait, ..classify(code, message, response.status, text, wait) };
    if !code.is_empty() {
        failure = failure.code(code);
    }
    if let Some(setting) = setting(code) {
        failure = failure.setting(setting);
    }
    match find("RequestId", 100) {
        Some(id) => failure.fact("request-id", id),
        None => failure,
    }
}

fn classify(code: &str, message: &str, status: u16, text: String, wait: Option<u64>) -> Failure {
    // The message when AWS could not fetch the identity provider's keys; a wrong token has another message.
    let is_unreachable = code == "InvalidIdentityToken" && message.contains("retrieve verification key");
    if THROTTLED.contains(&code) || status == 429 || (status == 503 && wait.is_some()) {
        return failure::throttled(text, wait);
    }
    if MISCONFIGURED.contains(&code) {
        return failure::misconfigured(text);
    }
    // A redirect is denied rather than misconfigured: it may come from a gateway that requires a login, and passes.
    // An error with a status of success is still an error.
    let refused = (300..500).contains(&status) || (200..300).contains(&status) && !code.is_empty();
    if refused && status != 408 && status != 425 && !UNAVAILABLE.contains(&code) && !is_unreachable {
        return failure::denied(text);
    }
    failure::unavailable(text)
}

/// The setting that a code is about.
fn setting(code: &str) -> Option<&'static str> {
    match code.trim_end_matches("Exception") {
        "MalformedPolicyDocument" | "PackedPolicyTooLarge" => Some("policy"),
        "RegionDisabled" => Some("region"),
        _ => None,
    }
}

/// A hint for the operator that AWS's text lacks.
fn hint(code: &str, message: &str) -> Option<&'static str> {
    if CLOCK.contains(&code)
        || message.starts_with("Signature expired")
        || message.starts_with("Signature not yet current")
    {
        return Some("; compare this machine's clock with the time of AWS");
    }
    if message.contains("WebIdentityToken") || message.contains("webIdentityToken") {
        return Some("; the host adds this field: look at `form` in the instance's http rule");
    }
    None
}

#[cfg(test)]
mod tests;

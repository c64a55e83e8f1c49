//! What STS's errors mean to the host: fix the configuration, try again slowly, soon, or not before a time.
//!
//! The code decides where there is one, since STS uses status 400 for nearly everything; the status decides else. The
//! text is STS's own code and message, on one line and bounded. A body that is not STS's error is not quoted: what
//! stands between here and STS may send back what it was sent.

use crate::config::Operation;
use crate::xml::Leaves;
use deputy_kit::http::Response;
use deputy_kit::text::one_line;
use deputy_kit::types::{Failure, Throttle, Timestamp};

/// The codes by which AWS's own clients know throttling.
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

/// Trying again changes nothing: what is asked for is wrong.
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

/// The identity provider was not reached, or STS itself failed, though some of these come with status 400.
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

/// The failure that an answer without credentials stands for.
pub(crate) fn of(operation: Operation, response: &Response, now: Timestamp) -> Failure {
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
    let (code, message) = (code.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default());
    if let Some(hint) = hint(code, message) {
        text.push_str(hint);
    }
    // AWS says so when it could not fetch the identity provider's keys; a token that is wrong has another message.
    if code == "InvalidIdentityToken" && message.contains("retrieve verification key") {
        return Failure::Unavailable(text);
    }
    classify(code, response, text, now)
}

fn classify(code: &str, response: &Response, text: String, now: Timestamp) -> Failure {
    let status = response.status;
    let wait = response.retry_after_ms(now);
    if THROTTLED.contains(&code) || status == 429 || (status == 503 && wait.is_some()) {
        // Zero: STS did not say how long, and the host backs off.
        return Failure::Throttled(Throttle { message: text, retry_after_ms: wait.unwrap_or(0) });
    }
    if MISCONFIGURED.contains(&code) {
        return Failure::Misconfigured(text);
    }
    // A redirect is denied rather than misconfigured: it may come from a gateway that wants a login, and passes.
    // An error that comes with a status of success is one all the same.
    let refused = (300..500).contains(&status) || (200..300).contains(&status) && !code.is_empty();
    if refused && status != 408 && status != 425 && !UNAVAILABLE.contains(&code) {
        return Failure::Denied(text);
    }
    Failure::Unavailable(text)
}

/// What the operator can do, where AWS's text alone does not say it.
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

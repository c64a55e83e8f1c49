//! From the response of STS to the payload of the kind `aws-credential-process/1`: the JSON of AWS's `credential_process`, version 1.

use crate::config::StsOperation;
use crate::refusal;
use crate::xml::Leaves;
use deputy_kit::failure;
use deputy_kit::http::Response;
use deputy_kit::text::one_line;
use deputy_kit::time::{parse_epoch, parse_rfc3339, rfc3339};
use deputy_kit::tokens::{AWS_CREDENTIAL_PROCESS, tokens};
use deputy_kit::types::{Expiry, Failure, Timestamp, Tokens};
use deputy_payloads::{AwsCredentials, AwsError};

/// The credentials of a successful answer, or why there are none. An answer that came whole and can't be taken is
/// `denied`: asking again soon brings the same one.
pub(crate) fn read(operation: StsOperation, response: &Response, now: Timestamp) -> Result<Tokens, Failure> {
    if !(200..300).contains(&response.status) {
        return Err(refusal::of(operation, response, now));
    }
    // From here on the body may hold credentials, so an error quotes no more of it than an element's name.
    if let Some(coding) = response.coding() {
        let coding = one_line(coding, 40);
        return Err(unusable(operation, &format!("is encoded as {coding}, which was not requested")));
    }
    let leaves = Leaves::read(&response.body).map_err(|_| unusable(operation, form(&response.body)))?;
    let has_credentials = ["AccessKeyId", "SecretAccessKey"].iter().any(|name| credential(&leaves, name).is_some());
    if leaves.find("Error/Code").is_some() && !has_credentials {
        return Err(refusal::of(operation, response, now));
    }
    let required = Required { operation, leaves: &leaves };
    let expiration = required.get("Expiration")?;
    let valid_until = parse_rfc3339(expiration)
        .or_else(|| parse_epoch(expiration))
        .ok_or_else(|| unusable(operation, "has an Expiration that is not a time with an offset from UTC"))?;
    let key_id = required.get("AccessKeyId")?;
    let key = required.get("SecretAccessKey")?;
    let session = required.get("SessionToken")?;
    let expiration = rfc3339(valid_until);
    let credentials = AwsCredentials::new(key_id, key, Some(session), Some(&expiration));
    let payload = credentials.map_err(|error| unsound(operation, error))?.to_json();
    Ok(tokens(AWS_CREDENTIAL_PROCESS, payload).expires(Expiry::At(valid_until)))
}

/// The credentials of a response, all of whose members must be present.
struct Required<'a> {
    operation: StsOperation,
    leaves: &'a Leaves,
}

impl<'a> Required<'a> {
    fn get(&self, name: &str) -> Result<&'a str, Failure> {
        credential(self.leaves, name).ok_or_else(|| missing(self.operation, name))
    }
}

fn credential<'x>(leaves: &'x Leaves, name: &str) -> Option<&'x str> {
    leaves.find(&format!("Credentials/{name}"))
}

fn unusable(operation: StsOperation, what: &str) -> Failure {
    failure::denied(format!("{}: the answer {what}", operation.action()))
}

fn missing(operation: StsOperation, name: &str) -> Failure {
    unusable(operation, &format!("has no Credentials/{name}"))
}

fn unsound(operation: StsOperation, error: AwsError) -> Failure {
    match error {
        AwsError::Value(name) => unusable(operation, &format!("has a {name} that is not one word of printable ASCII")),
        other => unusable(operation, &format!("holds no credentials: {other}")),
    }
}

fn begins_with(text: &[u8], tag: &[u8]) -> bool {
    text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag))
}

/// Describes a body that is not the XML of STS.
fn form(body: &[u8]) -> &'static str {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    if text.is_empty() {
        "is empty; look at `endpoint`"
    } else if text.starts_with(b"{") {
        "is JSON, not the XML of STS; look at `endpoint`"
    } else if begins_with(text, b"<html") || begins_with(text, b"<!doctype") {
        "is HTML, not the XML of STS; look at `endpoint`"
    } else {
        "is not the XML of STS"
    }
}

#[cfg(test)]
mod tests;

//! What STS answers, as the payload that receivers of the service `s3` understand: the JSON of AWS's
//! `credential_process`, version 1.

use crate::config::Operation;
use crate::refusal;
use crate::xml::Leaves;
use deputy_kit::encode::json;
use deputy_kit::http::Response;
use deputy_kit::time::parse_rfc3339;
use deputy_kit::types::{Failure, Tokens};

/// The credentials of a successful answer, or why there are none.
pub(crate) fn tokens(operation: Operation, response: &Response) -> Result<Tokens, Failure> {
    if response.status != 200 {
        return Err(refusal::of(operation, response));
    }
    // From here on the body may hold credentials, so no error says more of it than an element's name.
    let unusable = |what: &str| Failure::Unavailable(format!("{}: the answer {what}", operation.action()));
    let leaves = Leaves::read(&response.body).map_err(|_| unusable("is not the XML of STS"))?;
    let field = |name: &str| {
        let found = leaves.find(&format!("Credentials/{name}"));
        found.ok_or_else(|| unusable(&format!("has no Credentials/{name}")))
    };
    let expiration = field("Expiration")?;
    let valid_until = parse_rfc3339(expiration).ok_or_else(|| unusable("has an Expiration that is no time"))?;
    let payload = format!(
        "{{\"Version\":1,\"AccessKeyId\":{},\"SecretAccessKey\":{},\"SessionToken\":{},\"Expiration\":{}}}",
        json(field("AccessKeyId")?),
        json(field("SecretAccessKey")?),
        json(field("SessionToken")?),
        json(expiration),
    );
    Ok(Tokens { payload: payload.into_bytes(), valid_until: Some(valid_until) })
}

#[cfg(test)]
mod tests;

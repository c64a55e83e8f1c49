//! What a component may choose for itself in what it signs, although the operation is granted narrowly.

use deputy_core::Instance;
use deputy_core::grant::{ClaimGrant, JwtGrant, SecretPurpose, Sigv4Grant};
use deputy_sandbox::ComponentInfo;
use schemars::JsonSchema;
use serde::Serialize;

use crate::capability::Capability;

/// One thing that the grant of a secret leaves open.
#[derive(Serialize, JsonSchema)]
pub(super) struct LeftOpenJson {
    pub(super) secret: String,
    pub(super) what: String,
}

/// What is open to this component. Nothing is by an operation that it does not import, and an operation on any data says so
/// itself.
pub(super) fn left_open(info: &ComponentInfo, instance: &Instance) -> Vec<LeftOpenJson> {
    let mut open = Vec::new();
    for (name, grant) in &instance.grant.secrets {
        let Some(purpose) = grant.purpose() else { continue };
        if Capability::Secret(purpose.operation()).is_imported(info) {
            let whats = of_purpose(purpose).into_iter();
            open.extend(whats.map(|what| LeftOpenJson { secret: name.to_string(), what }));
        }
    }
    open
}

fn of_purpose(purpose: &SecretPurpose) -> Vec<String> {
    match purpose {
        SecretPurpose::Jwt(grant) => of_tokens(grant),
        SecretPurpose::Sigv4(grant) => of_requests(grant),
        SecretPurpose::HmacSha256 | SecretPurpose::Pbkdf2 | SecretPurpose::Scram(_) | SecretPurpose::Sign(_) => {
            Vec::new()
        }
    }
}

fn of_tokens(grant: &JwtGrant) -> Vec<String> {
    let without = "tokens have no audience: every service that trusts the key may accept them";
    let audience = grant.audiences().next().is_none().then(|| without.to_owned());
    let any = grant.claims().iter().filter(|(_, values)| **values == ClaimGrant::Any);
    audience.into_iter().chain(any.map(|(name, _)| format!("claim `{name}` may have any value"))).collect()
}

/// A string to sign does not show whether it is for a presigned URL. Of the services that accept these, S3 does so for long.
fn of_requests(grant: &Sigv4Grant) -> Vec<String> {
    let s3 = grant.services().filter(|service| service.starts_with("s3"));
    s3.map(|service| format!("a request to {service} may be a presigned URL, good for up to seven days")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::Span;
    use deputy_core::grant::SignatureAlgorithm;
    use std::collections::BTreeMap;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn left_open_are_claims_of_any_value_and_a_missing_audience() {
        let grant = |audiences| {
            JwtGrant::new(vec![SignatureAlgorithm::Es256], texts(&["me"]), audiences, Span::secs(60)).unwrap()
        };
        assert_eq!(of_purpose(&SecretPurpose::Jwt(grant(texts(&["them"])))), [""; 0]);
        let claims = BTreeMap::from([
            ("events".parse().unwrap(), ClaimGrant::Any),
            ("scope".parse().unwrap(), ClaimGrant::OneOf(["read".to_owned()].into())),
        ]);
        let open = of_purpose(&SecretPurpose::Jwt(grant(Vec::new()).with_claims(claims)));
        assert!(open[0].contains("no audience") && open[1].contains("`events`") && open.len() == 2, "{open:?}");
    }

    #[test]
    fn left_open_are_presigned_urls_of_s3() {
        let grant = |services| SecretPurpose::Sigv4(Sigv4Grant::new(services, texts(&["eu-west-1"])).unwrap());
        assert_eq!(of_purpose(&grant(texts(&["sts"]))), [""; 0]);
        assert_eq!(of_purpose(&grant(texts(&["sts", "s3", "s3express"]))).len(), 2);
    }
}

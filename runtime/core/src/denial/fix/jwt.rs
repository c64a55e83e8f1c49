//! The lines that would permit a JSON Web Token.
//!
//! A list gets one more value. A token that lacks what the grant lists needs a grant without the list.

use super::secret::{in_table, narrowed, purpose};
use super::{FixPlace, toml_string};
use crate::denial::DeniedClaim;
use crate::grant::{ClaimGrant, ClaimName, JwtGrant, SecretPurpose};
use crate::{Instance, SecretName, Span};

fn jwt<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i JwtGrant> {
    match purpose(instance, secret)? {
        SecretPurpose::Jwt(grant) => Some(grant),
        _ => None,
    }
}

/// The line for one more audience, or those for none.
pub(super) fn audience(instance: &Instance, secret: &SecretName, audience: Option<&str>) -> Option<String> {
    let grant = jwt(instance, secret);
    let Some(audience) = audience else {
        return Some(in_place(instance, secret, &lines(grant?, "audiences")));
    };
    let known = grant.map(|jwt| jwt.audiences().map(toml_string).collect());
    Some(narrowed(instance, secret, "jwt.audiences", known, text(audience)?))
}

/// The line for one more issuer.
pub(super) fn issuer(instance: &Instance, secret: &SecretName, issuer: &str) -> Option<String> {
    let known = jwt(instance, secret).map(|jwt| jwt.issuers().map(toml_string).collect());
    Some(narrowed(instance, secret, "jwt.issuers", known, text(issuer)?))
}

/// The line for one more subject, or those for none.
pub(super) fn subject(instance: &Instance, secret: &SecretName, subject: Option<&str>) -> Option<String> {
    let grant = jwt(instance, secret);
    let Some(subject) = subject else {
        return Some(in_place(instance, secret, &lines(grant?, "subjects")));
    };
    let known = grant.map(|jwt| jwt.subjects().map(toml_string).collect());
    Some(narrowed(instance, secret, "jwt.subjects", known, text(subject)?))
}

/// The line for one more value of a claim, for any value of it, or those for a grant without it.
pub(super) fn claim(instance: &Instance, secret: &SecretName, name: &ClaimName, value: &DeniedClaim) -> Option<String> {
    let grant = jwt(instance, secret);
    let key = claim_key(name);
    match value {
        DeniedClaim::Missing => Some(in_place(instance, secret, &lines(grant?, &key))),
        DeniedClaim::Other => Some(in_table(instance, secret, &format!("jwt.{key} = true"))),
        DeniedClaim::Text(value) => {
            let known = grant.and_then(|jwt| match jwt.claims().get(name)? {
                ClaimGrant::Any => None,
                ClaimGrant::OneOf(texts) => Some(texts.iter().map(|text| toml_string(text)).collect()),
            });
            Some(narrowed(instance, secret, &format!("jwt.{key}"), known, text(value)?))
        }
    }
}

/// Configuration can only permit a longer lifetime. A start in the future or a lifetime of zero is the component's fault.
pub(super) fn lifetime(instance: &Instance, secret: &SecretName, seconds: u64) -> Option<String> {
    let asked = Span::secs(seconds);
    let longer = jwt(instance, secret).is_none_or(|grant| asked > grant.max_lifetime());
    let possible = longer && (1..=366 * 86_400).contains(&seconds);
    possible.then(|| in_table(instance, secret, &format!("jwt.max-lifetime = \"{seconds}s\"")))
}

/// The value of a claim as a TOML string, if the configuration can name it. One that was cut is another value.
fn text(text: &str) -> Option<String> {
    let is_whole = !text.is_empty() && !text.ends_with('…') && !text.contains(char::is_control);
    is_whole.then(|| toml_string(text))
}

/// The whole grant in place of the one that is there.
fn in_place(instance: &Instance, secret: &SecretName, lines: &str) -> String {
    let place = FixPlace::InPlaceOf("jwt".to_owned());
    format!("{place}\n[instances.{}.secrets.{secret}]\n{lines}", instance.name)
}

/// The lines of a grant, but for one.
fn lines(grant: &JwtGrant, without: &str) -> String {
    let list = |texts: Vec<String>| (!texts.is_empty()).then(|| format!("[{}]", texts.join(", ")));
    let keys = [
        ("algorithms".to_owned(), list(grant.algorithms().map(|algorithm| toml_string(algorithm.name())).collect())),
        ("issuers".to_owned(), list(grant.issuers().map(toml_string).collect())),
        ("audiences".to_owned(), list(grant.audiences().map(toml_string).collect())),
        ("subjects".to_owned(), list(grant.subjects().map(toml_string).collect())),
        ("max-lifetime".to_owned(), Some(toml_string(&grant.max_lifetime().to_string()))),
    ];
    let claims = grant.claims().iter().map(|(name, values)| match values {
        ClaimGrant::Any => (claim_key(name), Some("true".to_owned())),
        ClaimGrant::OneOf(texts) => (claim_key(name), list(texts.iter().map(|text| toml_string(text)).collect())),
    });
    let kept = keys.into_iter().chain(claims).filter(|(key, _)| key != without);
    kept.filter_map(|(key, value)| Some(format!("jwt.{key} = {}", value?))).collect::<Vec<_>>().join("\n")
}

/// The key of a claim below `jwt`.
fn claim_key(name: &ClaimName) -> String {
    let is_bare = name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    format!("claims.{}", if is_bare { name.to_string() } else { toml_string(name.as_str()) })
}

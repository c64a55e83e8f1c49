//! The lines that would permit what was denied of a secret.

use super::{FixPlace, NEW_TABLE, TABLE, toml_string};
use crate::grant::{SecretGrant, SecretOperation, SecretPurpose, SignatureAlgorithm, Sigv4Grant};
use crate::{Instance, SecretName};

fn granted<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i SecretGrant> {
    instance.grant.secrets.get(secret)
}

/// The purpose of a secret.
pub(super) fn purpose<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i SecretPurpose> {
    granted(instance, secret)?.purpose()
}

fn sigv4<'i>(instance: &'i Instance, secret: &SecretName) -> Option<&'i Sigv4Grant> {
    match purpose(instance, secret)? {
        SecretPurpose::Sigv4(grant) => Some(grant),
        _ => None,
    }
}

/// The existing table of a secret, with lines that replace those of the same keys.
pub(super) fn in_table(instance: &Instance, secret: &SecretName, lines: &str) -> String {
    format!("{TABLE}\n[instances.{}.secrets.{secret}]\n{lines}", instance.name)
}

/// A list of a secret's grant, with one more value.
pub(super) fn narrowed(
    instance: &Instance,
    secret: &SecretName,
    key: &str,
    known: Option<Vec<String>>,
    added: String,
) -> String {
    let list: Vec<_> = known.unwrap_or_default().into_iter().chain([added]).collect();
    in_table(instance, secret, &format!("{key} = [{}]", list.join(", ")))
}

/// A secret that the configuration lacks, or whose grant has no purpose.
pub(super) fn unknown(instance: &Instance, name: &SecretName) -> String {
    let purpose = "sigv4 = { services = [\"…\"], regions = [\"…\"] } \
                   # or jwt, scram, sign, hmac-sha256, pbkdf2: what the component needs";
    if granted(instance, name).is_some() {
        return in_table(instance, name, purpose);
    }
    format!(
        "{NEW_TABLE}\n[instances.{}.secrets.{name}]\nfile = \"…\" # the source of its value\n{purpose}",
        instance.name
    )
}

pub(super) fn operation(instance: &Instance, secret: &SecretName, operation: SecretOperation) -> String {
    let line = match operation {
        SecretOperation::HmacSha256 | SecretOperation::Pbkdf2 | SecretOperation::Reveal => {
            format!("{operation} = true")
        }
        SecretOperation::Jwt => {
            "jwt = { algorithms = [\"…\"], issuers = [\"…\"], audiences = [\"…\"], max-lifetime = \"10m\" }".to_owned()
        }
        SecretOperation::Scram => "scram = { username = \"…\" }".to_owned(),
        SecretOperation::Sign => "sign = { algorithms = [\"…\"] }".to_owned(),
        SecretOperation::Sigv4 => "sigv4 = { services = [\"…\"], regions = [\"…\"] }".to_owned(),
    };
    match purpose(instance, secret).map(SecretPurpose::operation) {
        Some(other) if operation != SecretOperation::Reveal => {
            let place = FixPlace::InPlaceOf(other.to_string());
            format!("{place}\n[instances.{}.secrets.{secret}]\n{line}", instance.name)
        }
        _ => in_table(instance, secret, &line),
    }
}

pub(super) fn algorithm(instance: &Instance, secret: &SecretName, algorithm: SignatureAlgorithm) -> String {
    let (key, known) = match purpose(instance, secret) {
        Some(SecretPurpose::Jwt(grant)) => {
            ("jwt.algorithms", grant.algorithms().map(|known| toml_string(known.name())).collect())
        }
        Some(SecretPurpose::Sign(algorithms)) => {
            ("sign.algorithms", algorithms.iter().map(|known| toml_string(known.name())).collect())
        }
        _ => ("sign.algorithms", Vec::new()),
    };
    narrowed(instance, secret, key, Some(known), toml_string(algorithm.name()))
}

/// The line for one more region.
pub(super) fn region(instance: &Instance, secret: &SecretName, region: &str) -> Option<String> {
    let known = sigv4(instance, secret).map(|sigv4| sigv4.regions().map(toml_string).collect());
    Some(narrowed(instance, secret, "sigv4.regions", known, word(region)?))
}

/// The line for one more service.
pub(super) fn service(instance: &Instance, secret: &SecretName, service: &str) -> Option<String> {
    let known = sigv4(instance, secret).map(|sigv4| sigv4.services().map(toml_string).collect());
    Some(narrowed(instance, secret, "sigv4.services", known, word(service)?))
}

/// A service or region as a TOML string, if the configuration can name it.
fn word(text: &str) -> Option<String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| toml_string(text))
}

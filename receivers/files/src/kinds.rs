//! The fields of payloads of general kinds, as `wit/types.wit` lists them.

/// What a placeholder can name beside the whole payload.
enum Fields {
    /// Anything: the kind is not known here.
    Any,
    /// These.
    Named(&'static [&'static str]),
    /// Any, but nothing below it.
    Flat,
    /// Nothing: the payload is not JSON.
    None,
}

fn fields(kind: &str) -> Fields {
    match kind {
        "aws-credential-process/1" => {
            Fields::Named(&["Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"])
        }
        "kafka-token/1" => Fields::Named(&["version", "servers", "mechanism", "token-id", "hmac"]),
        "files/1" => Fields::Flat,
        "bearer-token/1" | "hadoop-token/1" | "pem/1" => Fields::None,
        _ => Fields::Any,
    }
}

/// Why no payload of this kind has a field, if that is known.
pub(crate) fn lack(kind: &str, path: &[String]) -> Option<String> {
    let first = path.first()?;
    let depth = path.len();
    match fields(kind) {
        Fields::Any => None,
        Fields::Flat if depth == 1 => None,
        Fields::Named(names) if depth == 1 && names.contains(&first.as_str()) => None,
        Fields::Named(names) => Some(format!("{kind} has {}", names.join(", "))),
        Fields::Flat => Some(format!("{kind} has no fields within fields")),
        Fields::None => Some(format!("{kind} has no fields: use its payload")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(kind: &str, path: &str) -> bool {
        lack(kind, &path.split('.').map(str::to_owned).collect::<Vec<_>>()).is_some()
    }

    #[test]
    fn kinds_of_general_use_have_known_fields() {
        for name in ["Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] {
            assert!(!lacks("aws-credential-process/1", name));
        }
        for path in ["AccesKeyId", "accessKeyId", "AccessKeyId.x"] {
            assert!(lacks("aws-credential-process/1", path), "{path}");
        }
        for kind in ["bearer-token/1", "hadoop-token/1", "pem/1"] {
            assert!(lacks(kind, "token"), "{kind}");
        }
        assert!(!lacks("files/1", "anything") && lacks("files/1", "a.b"));
    }

    #[test]
    fn kinds_that_are_not_known_may_have_any_field() {
        for kind in ["aws-credential-process/2", "vault/1", ""] {
            assert!(!lacks(kind, "a.b.c"), "{kind}");
        }
    }
}

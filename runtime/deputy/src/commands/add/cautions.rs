//! What `--yes` does not answer for, and what to do instead.

use deputy_core::LoginName;
use deputy_core::grant::{Grant, HttpRule, NamedNetworks, Scheme, Widening};

use super::secret_files::SecretFiles;
use crate::config_change::Caution;

const ON_A_TERMINAL: &str = "run it on a terminal, or write the instance by hand";

/// `unnamed_login` is a login that the component gets because there is no other.
pub(super) fn cautions(
    grant: &Grant,
    named: &NamedNetworks,
    files: &SecretFiles,
    unnamed_login: Option<&LoginName>,
) -> Vec<Caution> {
    let widenings = grant.widenings(&Grant::default()).into_iter().filter(|widening| !is_named(widening, named));
    let mut cautions: Vec<Caution> = widenings.map(|widening| caution(widening, named)).collect();
    cautions.extend(grant.http.iter().flat_map(|rule| sent_secrets(rule, named)));
    cautions.extend(unnamed_login.map(|login| Caution {
        text: format!("the component uses the login `{login}`"),
        fix: format!("if that is meant, say so with --login {login}"),
    }));
    cautions.extend(files.existing.iter().map(|(secret, file)| Caution {
        text: format!("{file} already exists and would become the secret `{secret}` of this component"),
        fix: format!("if that is meant, say so with --secret {secret}={file}"),
    }));
    cautions
}

/// Secrets that the host would send, as they are, to a server that the component chose, which could read them there; or
/// unencrypted, which no setting says.
fn sent_secrets(rule: &HttpRule, named: &NamedNetworks) -> Vec<Caution> {
    let server = rule.pattern.to_string();
    if named.may_carry_secrets(&server) {
        return Vec::new();
    }
    let (problem, fix) = if rule.pattern.scheme() == Scheme::Http {
        ("unencrypted, and no setting names that server with http://", "name it so in a setting")
    } else {
        ("which no setting names", "name the server in a setting")
    };
    let secrets = rule.send.inject.iter().map(|injection| &injection.secret);
    let cautions = secrets.map(|secret| Caution {
        text: format!("the value of `{secret}` goes to {server}, {problem}"),
        fix: format!("{fix}, run it on a terminal, or write the instance by hand"),
    });
    cautions.collect()
}

fn is_named(widening: &Widening, named: &NamedNetworks) -> bool {
    match widening {
        Widening::Network { rule, network } => named.is_named(rule, network),
        _ => false,
    }
}

fn caution(widening: Widening, named: &NamedNetworks) -> Caution {
    let fix = match &widening {
        Widening::Network { network, .. } if network == "metadata" => ON_A_TERMINAL.to_owned(),
        Widening::Network { rule, network } if named.is_own(rule) => {
            format!("permit the network with --network {network}, or run it on a terminal")
        }
        _ => ON_A_TERMINAL.to_owned(),
    };
    Caution { text: widening.to_string(), fix }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use deputy_core::{DescribedProperty, DescribedWant, GrantRequest, OperatorFacts};

    /// The caution about a rule that sends a secret to this server, if the operator's setting is this.
    fn caution(url: &str, setting: &str) -> Option<String> {
        let parts = [("url", url), ("secret", "key"), ("header", "authorization"), ("method", "POST"), ("path", "/")];
        let property =
            |(name, value): (&str, &str)| DescribedProperty { name: name.to_owned(), value: value.to_owned() };
        let properties = parts.into_iter().map(property).collect();
        let want = DescribedWant { kind: "http".to_owned(), properties };
        let mut grant = GrantRequest::read(&[want], OperatorFacts::default()).unwrap().grant;
        let settings = BTreeMap::from([("token-url".to_owned(), setting.to_owned())]);
        let named = NamedNetworks::permit(&mut grant, &[], &settings);
        let cautions = grant.http.iter().flat_map(|rule| sent_secrets(rule, &named));
        cautions.map(|caution| caution.text).next()
    }

    #[test]
    fn add_with_yes_sends_no_secret_plain_unless_a_setting_says_so() {
        assert_eq!(caution("https://idp.example", "https://idp.example/token"), None);
        assert_eq!(caution("http://idp.example", "http://idp.example/token"), None);
        for (url, setting) in [
            ("http://idp.example:443", "https://idp.example/token"),
            ("http://idp.example", "idp.example"),
            ("http://idp.example:8080", "idp.example:8080"),
        ] {
            let text = caution(url, setting).unwrap();
            assert!(text.contains("unencrypted, and no setting names that server with http://"), "{text}");
        }
        let other = caution("https://evil.example", "https://idp.example").unwrap();
        assert!(other.ends_with("which no setting names"), "{other}");
    }
}

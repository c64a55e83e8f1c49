//! What `--yes` does not answer for, and what to do instead.

use deputy_core::LoginName;
use deputy_core::grant::{Grant, HttpRule, Widening};

use super::networks::NamedNetworks;
use super::secret_files::SecretFiles;
use crate::config_change::Caution;

const ON_A_TERMINAL: &str = "run it on a terminal, or write the instance by hand";

/// `unnamed_login` is a login that the component gets because there is no other.
pub(super) fn of(
    grant: &Grant,
    named: &NamedNetworks,
    files: &SecretFiles,
    unnamed_login: Option<&LoginName>,
) -> Vec<Caution> {
    let widenings = grant.widenings(&Grant::default()).into_iter().filter(|widening| !is_named(widening, named));
    let mut cautions: Vec<Caution> = widenings.map(|widening| caution(widening, named)).collect();
    cautions.extend(grant.http.iter().filter(|rule| !named.is_own(&rule.pattern.to_string())).flat_map(sent));
    cautions.extend(unnamed_login.map(|login| Caution {
        text: format!("the component uses the login `{login}`"),
        fix: format!("if that is meant, say so with --login {login}"),
    }));
    cautions.extend(files.existing.iter().map(|(secret, file)| Caution {
        text: format!("{file} exists: what is in it becomes the secret `{secret}` of this component"),
        fix: format!("if that is meant, say so with --secret {secret}={file}"),
    }));
    cautions
}

/// Secrets that the host would send, as they are, to a server that the component chose: it could read them there.
fn sent(rule: &HttpRule) -> impl Iterator<Item = Caution> {
    let server = &rule.pattern;
    rule.send.inject.iter().map(move |injection| Caution {
        text: format!("the value of `{}` goes to {server}, which no setting names", injection.secret),
        fix: "name the server in a setting, run it on a terminal, or write the instance by hand".to_owned(),
    })
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

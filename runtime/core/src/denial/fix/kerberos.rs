//! The lines that would permit a context of Kerberos.

use super::{NEW_TABLE, TABLE, toml_string};
use crate::Instance;
use crate::grant::KerberosTarget;

/// The table of a Kerberos grant with one more target.
pub(super) fn target(instance: &Instance, target: &str) -> String {
    let table = format!("[instances.{}.kerberos]", instance.name);
    match &instance.grant.kerberos {
        Some(grant) => {
            let known = grant.targets.iter().map(|target| toml_string(&target.to_string()));
            let targets: Vec<_> = known.chain([toml_string(target)]).collect();
            format!("{TABLE}\n{table}\ntargets = [{}]", targets.join(", "))
        }
        None => {
            format!("{NEW_TABLE}\n{table}\nlogin = \"…\" # one of [logins.NAME]\ntargets = [{}]", toml_string(target))
        }
    }
}

/// What a component asked for, as the configuration names it: with the realm of the login if it has none.
pub(super) fn named(instance: &Instance, asked: &str) -> Option<String> {
    let target = match &instance.grant.kerberos {
        Some(grant) if !asked.contains('@') => format!("{asked}@{}", grant.login.principal.realm()),
        _ => asked.to_owned(),
    };
    target.parse::<KerberosTarget>().ok().map(|target| target.to_string())
}

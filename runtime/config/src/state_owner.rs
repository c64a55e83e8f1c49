//! Whose state an instance's is, in one way of writing it.

use std::collections::BTreeSet;

use deputy_core::grant::Network;
use deputy_core::{Digest, Instance};

use crate::InstanceEntry;
use crate::canonical::{quoted, set, source};

const VERSION: &str = "deputy state, version 1";

impl InstanceEntry {
    /// What state belongs to: the component by its digest, the hosts that it may reach, the principal of its login, and
    /// its secrets by name and source. Not its settings, the parts of a rule beside the host, nor the values of secrets:
    /// they change while the same component speaks to the same service. `None` without a component.
    ///
    /// A [`StateIdentity`](deputy_core::StateIdentity) is the SHA-256 of this text. As for [`InstanceEntry::canonical`],
    /// the first line has the version: it grows when what is written here changes, and then the operator has to say whose
    /// state each instance inherits.
    pub fn state_owner(&self, component: Digest) -> Option<String> {
        let instance = self.component.as_ref()?;
        let mut lines = vec![VERSION.to_owned(), format!("component {component}")];
        lines.extend(hosts(instance));
        if let Some(grant) = &instance.grant.kerberos {
            lines.push(format!("login {}", quoted(grant.login.principal.as_str())));
        }
        for (name, from) in &instance.sources {
            lines.push(format!("secret {} {}", quoted(name.as_str()), source(from)));
        }
        Some(lines.join("\n"))
    }
}

/// The hosts of all rules, each once: their order and number say nothing about where state may go.
fn hosts(instance: &Instance) -> BTreeSet<String> {
    let http = instance.grant.http.iter().map(|rule| line("http", &rule.pattern.to_string(), &rule.networks));
    let tcp = instance.grant.tcp.iter().map(|rule| line("tcp", &rule.to_string(), &rule.networks));
    http.chain(tcp).collect()
}

fn line(kind: &str, host: &str, networks: &[Network]) -> String {
    format!("{kind} {} {}", quoted(host), set("networks", networks))
}

//! Principals of services as Hadoop's files have them: `nn/_HOST@EXAMPLE.COM`.

use deputy_core::grant::KerberosTarget;

use crate::proposal::ProposalDraft;

/// A service's principal with its realm, checked as a target of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePrincipal(String);

impl ServicePrincipal {
    /// From the first of these properties that is set, or else `SERVICE/_HOST` of the realm. `None`, with a note, if there
    /// is no realm to be had.
    pub(crate) fn find(draft: &mut ProposalDraft<'_>, names: &[String], service: &str) -> Option<Self> {
        let written = names.iter().find_map(|name| draft.get(name));
        let text = written.clone().unwrap_or_else(|| format!("{service}/_HOST"));
        let text = if text.contains('@') { text } else { format!("{text}@{}", draft.realm()?) };
        if text.parse::<KerberosTarget>().is_err() {
            draft.note(format!(
                "{text} is not the principal of a service on a host, such as {service}/_HOST@EXAMPLE.COM"
            ));
            return None;
        }
        if let (None, Some(name)) = (&written, names.first()) {
            draft.note(format!("{name} is not set: {text} is assumed"));
        }
        Some(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The principal of the service on one host.
    pub(crate) fn on(&self, host: &str) -> String {
        self.0.replace("_HOST", &host.to_ascii_lowercase())
    }
}

//! The TCP rules of one instance, with TLS for those that have it. They never change, and are not shared between instances.

use std::sync::Arc;

use deputy_core::grant::{Pinned, TcpRule};
use deputy_core::{Instance, InstanceName, SecretBytes, SecretName};
use rustls::ClientConfig;

use crate::network::{Protocol, RuleTls, RuleTlsError};
use crate::secret_fault::SecretFault;
use crate::secret_provider::SecretProvider;

/// TLS for the connections of one instance.
#[derive(Clone)]
pub(crate) struct TcpPolicy {
    /// By index of the rule; `None` for rules without TLS.
    tls: Arc<[Option<RuleTls>]>,
    secrets: Arc<dyn SecretProvider>,
}

/// A rule that can't be applied: a file that it names can't be used.
#[derive(Debug, thiserror::Error)]
#[error("instance {instance}, rule {rule}")]
pub struct TcpPolicyError {
    instance: InstanceName,
    rule: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl TcpPolicy {
    /// Reads the files that the rules name.
    pub(crate) fn new(instance: &Instance, secrets: Arc<dyn SecretProvider>) -> Result<Self, TcpPolicyError> {
        let load = |rule: &TcpRule| {
            let tls = rule.tls.as_ref().map(|options| RuleTls::load(options, Protocol::Other)).transpose();
            tls.map_err(|source| TcpPolicyError {
                instance: instance.name.clone(),
                rule: rule.to_string(),
                source: source.into(),
            })
        };
        Ok(Self { tls: instance.grant.tcp.iter().map(load).collect::<Result<_, _>>()?, secrets })
    }

    /// A policy without TLS.
    pub(crate) fn nothing(secrets: Arc<dyn SecretProvider>) -> Self {
        Self { tls: Arc::new([]), secrets }
    }

    /// The same policy with the secrets of one call, which its log must not show.
    pub(crate) fn for_call(&self, secrets: Arc<dyn SecretProvider>) -> Self {
        Self { tls: Arc::clone(&self.tls), secrets }
    }

    /// Checks that a secret is the key of each client certificate that names it.
    pub(crate) fn check_secret(&self, name: &SecretName, value: &SecretBytes) -> Result<(), RuleTlsError> {
        let mut rules = self.tls.iter().flatten().filter(|tls| tls.key() == Some(name));
        rules.try_for_each(|tls| tls.check_key(value))
    }

    /// The configuration for a connection, with the current files and key. `None` if its rule has no TLS.
    pub(super) async fn config(&self, pinned: &Pinned) -> Result<Option<Arc<ClientConfig>>, SecretFault> {
        let Some(Some(tls)) = self.tls.get(pinned.rule()) else { return Ok(None) };
        let key = match tls.key() {
            Some(name) => Some(self.secrets.value(name).await.map_err(|error| SecretFault::Source(error.to_string()))?),
            None => None,
        };
        tls.config(key).await.map(Some).map_err(|error| SecretFault::Value(error.to_string()))
    }

    /// The secret that a connection uses, for the audit log.
    pub(super) fn key(&self, pinned: &Pinned) -> Option<&SecretName> {
        self.tls.get(pinned.rule())?.as_ref()?.key()
    }
}

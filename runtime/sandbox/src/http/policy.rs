//! The HTTP policy of one instance: its grant, TLS for each of its rules, and its secrets. It never changes, and is not
//! shared between instances.

use std::sync::Arc;

use deputy_core::grant::{Grant, HttpRule, Scheme, SecretGrant};
use deputy_core::{Instance, InstanceName, PolicyDenial, SecretBytes, SecretName};
use deputy_kerberos::Login;

use tokio::sync::Semaphore;

use super::inject;
use crate::network::{LOOKUPS, Protocol, RuleTls};
use crate::secret_provider::SecretProvider;
use crate::secrets;

/// What one instance may send.
pub(crate) struct HttpPolicy {
    grant: Arc<Grant>,
    /// By index of the rule; `None` for rules without TLS.
    tls: Arc<[Option<RuleTls>]>,
    secrets: Arc<dyn SecretProvider>,
    /// The principal whose Kerberos tokens it sends.
    login: Option<Arc<Login>>,
    /// The instance's concurrent look-ups.
    lookups: Arc<Semaphore>,
}

/// A rule that can't be applied: a file that it names can't be used.
#[derive(Debug, thiserror::Error)]
#[error("instance {instance}, rule {rule}")]
pub struct HttpPolicyError {
    instance: InstanceName,
    rule: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl HttpPolicy {
    /// Reads the files that the rules name.
    pub(crate) fn new(instance: &Instance, secrets: Arc<dyn SecretProvider>) -> Result<Self, HttpPolicyError> {
        let tls = instance.grant.http.iter().map(|rule| load_tls(instance, rule)).collect::<Result<_, _>>()?;
        Ok(Self { grant: Arc::new(instance.grant.clone()), tls, secrets, login: None, lookups: lookups() })
    }

    /// A policy that allows nothing.
    pub(crate) fn nothing(secrets: Arc<dyn SecretProvider>) -> Self {
        Self { grant: Arc::default(), tls: Arc::new([]), secrets, login: None, lookups: lookups() }
    }

    /// The same policy with a login for the rules that have `negotiate`.
    pub(crate) fn with_login(mut self, login: Option<Arc<Login>>) -> Self {
        self.login = login;
        self
    }

    /// The same policy with the secrets of one call, which its log must not show.
    pub(crate) fn for_call(&self, secrets: Arc<dyn SecretProvider>) -> Self {
        let grant = Arc::clone(&self.grant);
        let tls = Arc::clone(&self.tls);
        let lookups = Arc::clone(&self.lookups);
        Self { grant, tls, secrets, login: self.login.clone(), lookups }
    }

    /// The grant, for the instance's other capabilities too.
    pub(crate) fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// The places of the instance's look-ups, by HTTP and by sockets.
    pub(crate) fn lookups(&self) -> &Arc<Semaphore> {
        &self.lookups
    }

    /// Checks that a secret's value fits the use that the grant and the rules make of it. The error never quotes it.
    pub(crate) fn check_secret(&self, name: &SecretName, value: &Arc<SecretBytes>) -> Result<(), String> {
        if let Some(purpose) = self.grant.secrets.get(name).and_then(SecretGrant::purpose) {
            secrets::validate(purpose, value)?;
        }
        for (rule, tls) in self.grant.http.iter().zip(self.tls.iter()) {
            for injection in rule.send.inject.iter().filter(|injection| injection.secret == *name) {
                inject::validate(injection, value)?;
            }
            if let Some(tls) = tls.as_ref().filter(|tls| tls.key() == Some(name)) {
                tls.check_key(value).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// A rule and its TLS.
    pub(super) fn rule(&self, index: usize) -> Option<(&HttpRule, Option<&RuleTls>)> {
        Some((self.grant.http.get(index)?, self.tls.get(index)?.as_ref()))
    }

    /// The login, if one is granted.
    pub(super) fn login(&self) -> Result<&Login, PolicyDenial> {
        self.login.as_deref().ok_or(PolicyDenial::Kerberos)
    }

    pub(super) fn secrets(&self) -> &dyn SecretProvider {
        &*self.secrets
    }
}

fn lookups() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LOOKUPS))
}

fn load_tls(instance: &Instance, rule: &HttpRule) -> Result<Option<RuleTls>, HttpPolicyError> {
    match rule.pattern.scheme() {
        Scheme::Https => RuleTls::load(&rule.send.tls, Protocol::Http).map(Some).map_err(|source| HttpPolicyError {
            instance: instance.name.clone(),
            rule: rule.pattern.to_string(),
            source: source.into(),
        }),
        Scheme::Http | Scheme::Tcp => Ok(None),
    }
}

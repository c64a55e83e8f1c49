//! How one instance sends the requests that its grant permits: TLS for each of its rules, its secrets and its login. It
//! never changes, and is not shared between instances.

use std::sync::Arc;

use deputy_core::grant::{Grant, HttpRule, Permit, RequestOptions, Scheme, SecretGrant};
use deputy_core::{Instance, InstanceName, PolicyDenial, SecretBytes, SecretName};
use deputy_kerberos::Login;

use super::inject;
use crate::network::{Protocol, RuleTls};
use crate::secret_provider::SecretProvider;
use crate::secrets;

/// How one instance sends.
pub(crate) struct HttpPolicy {
    /// By index of the rule; `None` for rules without TLS.
    tls: Arc<[Option<RuleTls>]>,
    secrets: Arc<dyn SecretProvider>,
    /// The principal whose Kerberos tokens it sends.
    login: Option<Arc<Login>>,
}

/// How a permitted request is sent.
#[derive(Clone, Copy)]
pub(super) struct PermittedRule<'a> {
    pub(super) send: &'a RequestOptions,
    /// `None` if the rule's scheme is without TLS.
    pub(super) tls: Option<&'a RuleTls>,
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
        Ok(Self { tls, secrets, login: None })
    }

    /// A policy without rules.
    pub(crate) fn nothing(secrets: Arc<dyn SecretProvider>) -> Self {
        Self { tls: Arc::new([]), secrets, login: None }
    }

    /// The same policy with a login for the rules that have `negotiate`.
    pub(crate) fn with_login(mut self, login: Option<Arc<Login>>) -> Self {
        self.login = login;
        self
    }

    /// The same policy with the secrets of one call, which its log must not show.
    pub(crate) fn for_call(&self, secrets: Arc<dyn SecretProvider>) -> Self {
        Self { tls: Arc::clone(&self.tls), secrets, login: self.login.clone() }
    }

    /// Checks that a secret's value fits the use that the grant and its rules make of it. The error never quotes it.
    pub(crate) fn check_secret(
        &self,
        grant: &Grant,
        name: &SecretName,
        value: &Arc<SecretBytes>,
    ) -> Result<(), String> {
        if let Some(purpose) = grant.secrets.get(name).and_then(SecretGrant::purpose) {
            secrets::validate(purpose, value)?;
        }
        for (rule, tls) in grant.http.iter().zip(self.tls.iter()) {
            for injection in rule.send.inject.iter().filter(|injection| injection.secret == *name) {
                inject::validate(injection, value)?;
            }
            if let Some(tls) = tls.as_ref().filter(|tls| tls.key() == Some(name)) {
                tls.check_key(value).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// The rule of a permit. What has no rule, or lacks the TLS that its scheme needs, is denied.
    pub(super) fn rule<'a>(&'a self, grant: &'a Grant, permit: &Permit) -> Result<PermittedRule<'a>, PolicyDenial> {
        let target = permit.target();
        match (grant.http.get(permit.rule()), self.tls.get(permit.rule()), target.scheme()) {
            (Some(rule), Some(Some(tls)), Scheme::Https) => Ok(PermittedRule { send: &rule.send, tls: Some(tls) }),
            (Some(rule), Some(None), Scheme::Http) => Ok(PermittedRule { send: &rule.send, tls: None }),
            _ => Err(PolicyDenial::Scheme { target: target.clone() }),
        }
    }

    /// The login, if one is granted.
    pub(super) fn login(&self) -> Result<&Login, PolicyDenial> {
        self.login.as_deref().ok_or(PolicyDenial::Kerberos)
    }

    pub(super) fn secrets(&self) -> &dyn SecretProvider {
        &*self.secrets
    }
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

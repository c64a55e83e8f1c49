//! Grants for Kerberos: the login of an instance, and the services that it may authenticate to.

use std::fmt;
use std::str::FromStr;

use super::{Grant, Host, Permit};
use crate::{KerberosPrincipal, KerberosPrincipalError, LoginPlan, PolicyDenial};

/// A login, and the services for which the component may open contexts. The host may use it for HTTP rules with
/// [`negotiate`](super::RequestOptions::negotiate) as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KerberosGrant {
    pub login: LoginPlan,
    pub targets: Vec<KerberosTarget>,
}

/// The principals of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KerberosTarget {
    /// This one: `hdfs/nn1.example.com@EXAMPLE.COM`.
    Exactly(KerberosPrincipal),
    /// `hbase/_HOST@EXAMPLE.COM`: that of each host to which a TCP rule permitted the connection, or an HTTP rule the
    /// request.
    OfHost {
        /// `hbase`
        service: String,
        /// `EXAMPLE.COM`
        realm: String,
    },
}

/// A text is not a service's principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KerberosTargetError {
    #[error(transparent)]
    Principal(#[from] KerberosPrincipalError),
    /// Not a service on a host.
    #[error("not a service's principal: write service/host.example.com@REALM, or service/_HOST@REALM")]
    Host,
}

/// Permission for a context with one service.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct KerberosPermit {
    target: KerberosPrincipal,
}

/// The host part.
const ANY_HOST: &str = "_HOST";

impl KerberosTarget {
    pub fn host(&self) -> Option<Host> {
        match self {
            Self::Exactly(principal) => principal.host()?.parse().ok(),
            Self::OfHost { .. } => None,
        }
    }

    /// The principal of a service on this host, unless the target is on another one.
    fn on(&self, host: &Host) -> Option<KerberosPrincipal> {
        match (self, host) {
            (Self::Exactly(principal), _) => (self.host().as_ref() == Some(host)).then(|| principal.clone()),
            (Self::OfHost { service, realm }, Host::Name(name)) => format!("{service}/{name}@{realm}").parse().ok(),
            (Self::OfHost { .. }, Host::Address(_)) => None,
        }
    }

    /// The principal that a component named, with or without its realm, if it is one of these.
    fn named(&self, asked: &str) -> Option<KerberosPrincipal> {
        match self {
            Self::Exactly(own) => (own.as_str() == asked || own.without_realm() == asked).then(|| own.clone()),
            Self::OfHost { service, realm } => {
                let (name, written) = asked.split_once('@').unwrap_or((asked, realm));
                let (own, host) = name.split_once('/')?;
                let canonical =
                    host.parse::<Host>().ok().filter(|parsed| matches!(parsed, Host::Name(name) if name == host));
                (own == service && written == realm && canonical.is_some())
                    .then(|| format!("{name}@{realm}").parse().ok())?
            }
        }
    }
}

impl Grant {
    /// Permission for a context with a service that a component named. `connected` has the hosts to which a TCP rule has
    /// permitted a connection of the same call.
    ///
    /// # Errors
    /// A denial that says whether there is no login, no such target, or a target whose host is not granted or not
    /// connected to.
    pub fn permit_context(&self, asked: &str, connected: &[Host]) -> Result<KerberosPermit, PolicyDenial> {
        let grant = self.kerberos.as_ref().ok_or(PolicyDenial::Kerberos)?;
        let mut denial = PolicyDenial::KerberosTarget { target: asked.to_owned() };
        for rule in &grant.targets {
            let Some(target) = rule.named(asked) else { continue };
            let Some(host) = target.host().and_then(|host| host.parse::<Host>().ok()) else { continue };
            if !self.has_host(&host) {
                denial = PolicyDenial::KerberosHost { target };
            } else if matches!(rule, KerberosTarget::OfHost { .. }) && !connected.contains(&host) {
                denial = PolicyDenial::KerberosConnection { target };
            } else {
                return Ok(KerberosPermit { target });
            }
        }
        Err(denial)
    }

    /// Permission for the context whose token the host adds to a permitted request, if the rule has it add one. `is_own`
    /// says whether the component set the header itself.
    ///
    /// # Errors
    /// A denial if there is no login, the rule's target is on another host, or the component sent a credential of its own.
    pub fn permit_negotiate(&self, request: &Permit, is_own: bool) -> Result<Option<KerberosPermit>, PolicyDenial> {
        let rule = self.http.get(request.rule()).and_then(|rule| rule.send.negotiate.as_ref());
        let Some(rule) = rule else { return Ok(None) };
        if is_own {
            return Err(PolicyDenial::OwnAuthorization { target: request.target().clone() });
        }
        if self.kerberos.is_none() {
            return Err(PolicyDenial::Kerberos);
        }
        match rule.on(request.target().host()) {
            Some(target) => Ok(Some(KerberosPermit { target })),
            None => Err(PolicyDenial::KerberosTarget { target: rule.to_string() }),
        }
    }

    /// Whether a rule for HTTP or TCP matches this host.
    pub fn has_host(&self, host: &Host) -> bool {
        self.tcp.iter().any(|rule| rule.host.matches(host))
            || self.http.iter().any(|rule| rule.pattern.host().matches(host))
    }
}

impl KerberosPermit {
    /// The service's principal.
    pub fn target(&self) -> &KerberosPrincipal {
        &self.target
    }
}

impl FromStr for KerberosTarget {
    type Err = KerberosTargetError;

    fn from_str(text: &str) -> Result<Self, KerberosTargetError> {
        let principal: KerberosPrincipal = text.parse()?;
        match principal.host() {
            Some(ANY_HOST) => {
                let service = principal.without_realm().split('/').next().unwrap_or_default().to_owned();
                Ok(Self::OfHost { service, realm: principal.realm().to_owned() })
            }
            Some(host) if host.parse::<Host>().is_ok() => Ok(Self::Exactly(principal)),
            _ => Err(KerberosTargetError::Host),
        }
    }
}

impl fmt::Display for KerberosTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(principal) => principal.fmt(f),
            Self::OfHost { service, realm } => write!(f, "{service}/{ANY_HOST}@{realm}"),
        }
    }
}

#[cfg(test)]
mod tests;

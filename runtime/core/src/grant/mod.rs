//! Grants: what an operator permits one instance to do, and the steps from a request to a connection.
//!
//! ```text
//! Target ──Grant::permit_*──▶ Permit ──Permit::pin(addresses)──▶ Pinned ──(sandbox)──▶ socket
//! ```
//!
//! [`Target`] has nothing optional left in it: default ports are filled in, userinfo and odd hosts refused. [`Permit`]
//! and [`Pinned`] can't be made or copied outside this module, and each step consumes the one before it.

mod address;
mod host;
mod kerberos;
mod named_networks;
mod override_header;
mod rule;
mod secret;
mod target;
mod widening;
mod written_server;

pub use address::{AddressClass, Network, NetworkError};
pub use host::{Host, HostError, HostPattern};
pub use kerberos::{KerberosGrant, KerberosPermit, KerberosTarget, KerberosTargetError};
pub use named_networks::NamedNetworks;
pub use override_header::OverrideHeader;
pub use rule::{
    HttpPattern, HttpRule, Injection, InjectionEncoding, InjectionPoint, Method, PathPrefix, PathRules, RequestOptions,
    RuleError, TcpRule, TlsOptions, is_token_byte,
};
pub use secret::{
    AlgorithmError, ClaimGrant, ClaimName, ClaimNameError, ClaimValue, JwtClaims, JwtGrant, JwtPermit, ScramGrant,
    SecretGrant, SecretGrantError, SecretOperation, SecretPurpose, SignatureAlgorithm, Sigv4Grant, Sigv4Permit,
    StringToSign, StringToSignError,
};
pub use target::{HttpTarget, Scheme, Target, TargetError, split_url};
pub use widening::Widening;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::{PolicyDenial, SecretName, StateGrant};

/// What the operator permits one instance to do. The default permits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// HTTP requests, judged by the first rule that allows them.
    pub http: Vec<HttpRule>,
    /// TCP connections, judged by the first rule that allows them.
    pub tcp: Vec<TcpRule>,
    /// Secrets by the operator's names.
    pub secrets: BTreeMap<SecretName, SecretGrant>,
    /// Kerberos contexts with services, as the principal of a login.
    pub kerberos: Option<KerberosGrant>,
    /// State that outlives its leases.
    pub state: Option<StateGrant>,
}

/// A permit for one target. Its addresses are still to be judged.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    target: Target,
    rule: usize,
    networks: Vec<Network>,
}

/// A permit to connect to one target at these addresses, and at no others.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Pinned {
    target: Target,
    rule: usize,
    addresses: Vec<SocketAddr>,
}

impl Grant {
    /// The permit for one HTTP request, by the first rule that allows it.
    ///
    /// # Errors
    /// A denial that names the first part that no rule allows: host, then scheme, port, method, path, override header.
    pub fn permit_http(&self, request: &HttpTarget) -> Result<Permit, PolicyDenial> {
        let mut refusal = PolicyDenial::Host { target: request.target().clone() };
        for (index, rule) in self.http.iter().enumerate() {
            match rule.judge(request) {
                Ok(()) => {
                    return Ok(Permit {
                        target: request.target().clone(),
                        rule: index,
                        networks: rule.networks.clone(),
                    });
                }
                Err(nearer) if nearer.match_depth() > refusal.match_depth() => refusal = nearer,
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    /// The permit for one TCP connection to a host that the component named.
    ///
    /// # Errors
    /// A denial that says whether the host or the port is not granted.
    pub fn permit_tcp(&self, target: &Target) -> Result<Permit, PolicyDenial> {
        let mut refusal = PolicyDenial::Host { target: target.clone() };
        for (index, rule) in self.tcp.iter().enumerate() {
            if !rule.host.matches(target.host()) {
                continue;
            }
            if rule.port == target.port() {
                return Ok(Permit { target: target.clone(), rule: index, networks: rule.networks.clone() });
            }
            refusal = PolicyDenial::Port { target: target.clone() };
        }
        Err(refusal)
    }

    /// The TCP rules that let a component resolve this host, as permits for each granted port.
    ///
    /// # Errors
    /// [`PolicyDenial::Name`] if no rule names the host.
    pub fn permit_name(&self, host: &Host) -> Result<Vec<Permit>, PolicyDenial> {
        let permits: Vec<_> = (self.tcp.iter().enumerate())
            .filter(|(_, rule)| rule.host.matches(host))
            .map(|(index, rule)| Permit {
                target: Target::new(Scheme::Tcp, host.clone(), rule.port),
                rule: index,
                networks: rule.networks.clone(),
            })
            .collect();
        if permits.is_empty() { Err(PolicyDenial::Name { host: host.clone() }) } else { Ok(permits) }
    }

    /// The grant for a secret.
    ///
    /// # Errors
    /// [`PolicyDenial::Secret`] if the name is not granted, or only for the host's own use.
    pub fn secret(&self, name: &str) -> Result<(&SecretName, &SecretGrant), PolicyDenial> {
        (self.secrets.iter())
            .find(|(granted, grant)| granted.as_str() == name && grant.opens())
            .ok_or_else(|| PolicyDenial::Secret { name: name.to_owned() })
    }
}

impl Permit {
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The rule that allowed it.
    pub fn rule(&self) -> usize {
        self.rule
    }

    /// Binds the permit to resolved addresses. One forbidden address denies all of them: an answer that mixes them is an
    /// attack or a mistake, and using the rest would mend neither.
    ///
    /// # Errors
    /// [`PolicyDenial::Address`] with the first address that is not granted.
    pub fn pin(self, addresses: &[IpAddr]) -> Result<Pinned, PolicyDenial> {
        for &address in addresses {
            let class = AddressClass::of(address);
            let granted = class == AddressClass::Public || self.networks.iter().any(|n| n.contains(address));
            if !granted {
                return Err(PolicyDenial::Address { target: self.target, address, class });
            }
        }
        let port = self.target.port();
        let addresses = addresses.iter().map(|&address| SocketAddr::new(address, port)).collect();
        Ok(Pinned { target: self.target, rule: self.rule, addresses })
    }
}

impl Pinned {
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The rule that allowed it.
    pub fn rule(&self) -> usize {
        self.rule
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

#[cfg(test)]
mod tests;

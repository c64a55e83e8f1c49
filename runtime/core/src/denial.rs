//! A use of a capability that the grant does not permit, as text for three readers.
//!
//! - The component gets the input that it sent and a code: [`PolicyDenial::guest`]. With a resolved address in it, every
//!   denial would reveal something about the internal network.
//! - The audit log gets the code, the target and the resolved address.
//! - The operator gets the lines of configuration that would permit it: [`PolicyDenial::fix`]. A receiver has no grant, so
//!   its fix says that no line permits it.

mod fix;
mod fix_place;
mod text;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub use fix_place::FixPlace;

use crate::grant::{AddressClass, Host, Method, SecretOperation, SignatureAlgorithm, Target, TargetError};
use crate::{Instance, KerberosPrincipal, Limit, Limits, ReceiverName, SecretName, Span, StateIdentity, Timestamp};

/// The connector whose call was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// The provider of this instance.
    Instance(&'a Instance),
    /// This receiver, with these limits.
    Receiver(&'a ReceiverName, &'a Limits),
}

impl Principal<'_> {
    fn limits(&self) -> &Limits {
        match self {
            Self::Instance(instance) => &instance.limits,
            Self::Receiver(_, limits) => limits,
        }
    }
}

/// A use of a capability that the grant does not permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyDenial {
    /// A host resolved to an address that is not granted.
    Address {
        /// The target that the component requested.
        target: Target,
        /// The address that the host resolved to.
        address: IpAddr,
        /// The class of the address.
        class: AddressClass,
    },
    Algorithm {
        secret: SecretName,
        algorithm: SignatureAlgorithm,
    },
    /// An audience of a JSON Web Token.
    Audience {
        secret: SecretName,
        /// The audience, or `None` for a token without any.
        audience: Option<String>,
    },
    /// A further claim of a JSON Web Token.
    Claim {
        secret: SecretName,
        /// The name of the claim.
        claim: String,
        /// What of it is not granted.
        value: DeniedClaim,
    },
    /// A response that contains a secret which the host added to the request, or that is compressed and so cannot be
    /// searched for it.
    Echo {
        /// The target that the component requested.
        target: Target,
        secret: SecretName,
    },
    /// A host that no rule names.
    Host {
        /// The target that the component requested.
        target: Target,
    },
    /// An issuer of a JSON Web Token.
    Issuer {
        secret: SecretName,
        issuer: String,
    },
    /// Kerberos without a login.
    Kerberos,
    /// A Kerberos target on a host to which the call has no connection.
    KerberosConnection {
        target: KerberosPrincipal,
    },
    /// A Kerberos target on a host that no rule names.
    KerberosHost {
        target: KerberosPrincipal,
    },
    KerberosTarget {
        /// The name that the component used.
        target: String,
    },
    /// A lifetime of a JSON Web Token.
    Lifetime {
        secret: SecretName,
        /// From `iat` to `exp`.
        seconds: u64,
    },
    Limit(Limit),
    Listen,
    /// A method that no rule for the host names.
    Method {
        /// The target that the component requested.
        target: Target,
        /// The rest of the request.
        request: Box<DeniedRequest>,
    },
    /// A DNS lookup of a host that no TCP rule names.
    Name {
        host: Host,
    },
    /// An operation on a secret.
    Operation {
        secret: SecretName,
        operation: SecretOperation,
    },
    /// A header that could turn a request into another one.
    OverrideHeader {
        /// The target that the component requested.
        target: Target,
        /// The rest of the request.
        request: Box<OverriddenRequest>,
    },
    /// An output file of a receiver with an invalid path.
    OutputPath {
        /// The requested path: not one of plain names below the output directory.
        path: String,
    },
    /// An output file of a receiver whose path another file of this call has.
    OutputTaken {
        path: String,
    },
    /// Output files of a component that is not a receiver.
    Outputs,
    /// A component's `Authorization` in a request to which the host adds one.
    OwnAuthorization {
        /// The target that the component requested.
        target: Target,
    },
    /// A path that no rule for the host names.
    Path {
        /// The target that the component requested.
        target: Target,
        /// The rest of the request.
        request: Box<DeniedRequest>,
    },
    /// A port that no rule for the host names.
    Port {
        /// The target that the component requested.
        target: Target,
    },
    /// A region to sign for.
    Region {
        secret: SecretName,
        region: String,
    },
    /// A scheme that no rule for the host names.
    Scheme {
        /// The target that the component requested.
        target: Target,
    },
    Secret {
        /// The name that the component used.
        name: String,
    },
    /// A service to sign for.
    Service {
        secret: SecretName,
        service: String,
    },
    /// A TCP connection to an address that was not resolved from a granted name and is not granted itself.
    Socket {
        /// The address of the connection.
        address: SocketAddr,
    },
    /// A subject of a JSON Web Token.
    Subject {
        secret: SecretName,
        /// The subject, or `None` for a token without one.
        subject: Option<String>,
    },
    /// State of an instance that was granted none, or outside of the calls that may use it.
    State,
    /// State that something else saved.
    StateOfAnother {
        /// What saved it.
        kept_for: StateIdentity,
    },
    /// A request that has no unambiguous target.
    Target(TargetError),
    /// A time to sign for that is too far from now.
    Time {
        secret: SecretName,
        time: Timestamp,
        /// How far it may be.
        tolerance: Span,
    },
    Udp,
}

/// What of a claim is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeniedClaim {
    /// The token lacks it, and the grant lists its values.
    Missing,
    /// Its value, which is neither a text nor a list of texts.
    Other,
    Text(String),
}

/// A request whose method or path is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedRequest {
    pub method: Method,
    pub path: String,
}

/// A request with a header that could turn it into another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverriddenRequest {
    pub method: Method,
    pub path: String,
    /// The header's name, in lower case.
    pub header: String,
}

impl PolicyDenial {
    /// The stable code, for scripts and the audit log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "address-not-granted",
            Self::Algorithm { .. } => "algorithm-not-granted",
            Self::Audience { .. } => "audience-not-granted",
            Self::Claim { .. } => "claim-not-granted",
            Self::Echo { .. } => "secret-in-response",
            Self::Host { .. } => "host-not-granted",
            Self::Issuer { .. } => "issuer-not-granted",
            Self::Kerberos => "kerberos-not-granted",
            Self::KerberosConnection { .. } => "target-not-connected",
            Self::KerberosHost { .. } => "target-host-not-granted",
            Self::KerberosTarget { .. } => "target-not-granted",
            Self::Lifetime { .. } => "lifetime-not-granted",
            Self::Limit(_) => "over-limit",
            Self::Listen => "listening-not-allowed",
            Self::Method { .. } => "method-not-granted",
            Self::Name { .. } => "name-not-granted",
            Self::Operation { .. } => "operation-not-granted",
            Self::OutputPath { .. } => "odd-output-path",
            Self::OutputTaken { .. } => "output-path-taken",
            Self::Outputs => "outputs-not-allowed",
            Self::OwnAuthorization { .. } => "authorization-not-allowed",
            Self::OverrideHeader { .. } => "header-not-granted",
            Self::Path { .. } => "path-not-granted",
            Self::Port { .. } => "port-not-granted",
            Self::Region { .. } => "region-not-granted",
            Self::Scheme { .. } => "scheme-not-granted",
            Self::Secret { .. } => "secret-not-granted",
            Self::Service { .. } => "service-not-granted",
            Self::Socket { .. } => "socket-not-granted",
            Self::Subject { .. } => "subject-not-granted",
            Self::State => "state-not-granted",
            Self::StateOfAnother { .. } => "state-of-another",
            Self::Target(error) => match error {
                TargetError::Host(_) => "odd-host",
                TargetError::Method => "odd-method",
                TargetError::Path => "odd-path",
                TargetError::Port => "odd-port",
                TargetError::Scheme => "odd-scheme",
                TargetError::Userinfo => "userinfo-not-allowed",
            },
            Self::Time { .. } => "time-not-granted",
            Self::Udp => "udp-not-allowed",
        }
    }

    /// The text for the component: what it sent, and that it is not permitted.
    pub fn guest(&self) -> String {
        match self {
            // Nothing about the address, not even that there is one: a name is either granted and reachable, or not.
            Self::Address { target, .. } => format!("{target} is not granted"),
            // It cannot do anything about it.
            Self::StateOfAnother { .. } => "what is kept was saved by another component".to_owned(),
            other => other.to_string(),
        }
    }

    /// The resolved address, for the audit log alone.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address { address, .. } => Some(*address),
            Self::Socket { address } => Some(address.ip()),
            _ => None,
        }
    }

    /// The lines of configuration that would allow it, or `None` where nothing does. They begin with a comment that says
    /// where they go: a new rule or table, or one that is there already and is to be changed, since a second one like it
    /// would never act. What an instance could be granted, no receiver can: then it says that, and where to go instead.
    pub fn fix(&self, asker: Principal<'_>) -> Option<String> {
        match (self, asker) {
            (Self::Limit(limit), asker) => Some(fix::limit(*limit, asker)),
            (refusal, Principal::Instance(instance)) => fix::grant(refusal, instance),
            (refusal, Principal::Receiver(..)) if refusal.is_for_nobody() => None,
            (_, Principal::Receiver(..)) => {
                Some(format!("# [{asker}] has no grant; what it needs has to come from the provider"))
            }
        }
    }

    /// Whether no line of configuration permits it.
    fn is_for_nobody(&self) -> bool {
        matches!(
            self,
            Self::KerberosConnection { .. }
                | Self::Listen
                | Self::OutputPath { .. }
                | Self::OutputTaken { .. }
                | Self::Outputs
                | Self::OwnAuthorization { .. }
                | Self::Target(_)
                | Self::Time { .. }
                | Self::Udp
        )
    }

    /// How far a request came along the parts of a rule; the nearest miss is the one worth telling.
    pub(crate) fn match_depth(&self) -> u8 {
        match self {
            Self::Scheme { .. } => 1,
            Self::Port { .. } => 2,
            Self::Method { .. } => 3,
            Self::Path { .. } => 4,
            Self::OverrideHeader { .. } => 5,
            _ => 0,
        }
    }
}

impl fmt::Display for Principal<'_> {
    /// As the configuration names its table: `instances.s3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(instance) => write!(f, "instances.{}", instance.name),
            Self::Receiver(name, _) => write!(f, "receivers.{name}"),
        }
    }
}

#[cfg(test)]
mod tests;

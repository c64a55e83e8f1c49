//! A denial as text: what was requested, and that it is not granted.

use std::fmt;

use super::{DeniedClaim, PolicyDenial};

impl fmt::Display for PolicyDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { target, address, class } => {
                write!(f, "{target} leads to {address}, a {class} address, which is not granted")
            }
            Self::Algorithm { secret, algorithm } => {
                write!(f, "signing with {algorithm} is not granted for secret {secret}")
            }
            Self::Audience { secret, audience: Some(audience) } => {
                write!(f, "audience {audience:?} is not granted for secret {secret}")
            }
            Self::Audience { secret, audience: None } => {
                write!(f, "a token without an audience is not granted for secret {secret}")
            }
            Self::Claim { secret, claim, value } => match value {
                DeniedClaim::Missing => write!(f, "a token without claim {claim:?} is not granted for secret {secret}"),
                DeniedClaim::Other => {
                    write!(f, "claim {claim:?} with a value that is no text is not granted for secret {secret}")
                }
                DeniedClaim::Text(text) => {
                    write!(f, "claim {claim:?} with the value {text:?} is not granted for secret {secret}")
                }
            },
            Self::Echo { target, secret } => write!(
                f,
                "the response from {target} contains secret {secret}, or is compressed and cannot be searched for it"
            ),
            Self::Host { target } => write!(f, "{target} is not granted"),
            Self::Issuer { secret, issuer } => write!(f, "issuer {issuer:?} is not granted for secret {secret}"),
            Self::Kerberos => f.write_str("Kerberos is not granted"),
            Self::KerberosConnection { target } => {
                write!(f, "a context with {target} needs a connection to its host first")
            }
            Self::KerberosHost { target } => {
                write!(f, "a context with {target}, whose host is not granted, is refused")
            }
            Self::KerberosTarget { target } => write!(f, "a context with {target:?} is not granted"),
            Self::Lifetime { secret, seconds } => {
                write!(f, "a token from `iat` to `exp` of {seconds} s is not granted for secret {secret}")
            }
            Self::Limit(limit) => write!(f, "over the limit `{limit}`"),
            Self::Listen => f.write_str("listening for connections is not allowed"),
            Self::Method { target, request } => write!(f, "{} to {target} is not granted", request.method),
            Self::Name { host } => write!(f, "resolving {host} is not granted"),
            Self::Operation { secret, operation } => {
                write!(f, "operation {operation} is not granted for secret {secret}")
            }
            Self::OutputPath { path } => write!(
                f,
                "{path:?} is not the path of an output: use plain names with slashes between, such as `conf/core-site.xml`"
            ),
            Self::OutputTaken { path } => {
                write!(f, "{path:?} was put already, or has to be a file and a directory at once")
            }
            Self::Outputs => f.write_str("leaving files is for receivers, and for those while they accept"),
            Self::OwnAuthorization { target } => {
                write!(
                    f,
                    "a component's own authorization to {target} is refused: the host adds one by the rule's `negotiate`"
                )
            }
            Self::OverrideHeader { target, request } => write!(
                f,
                "header {} to {target} is not granted: servers may treat the request as one with another method, host or client",
                request.header
            ),
            Self::Path { target, request } => write!(f, "path {:?} of {target} is not granted", request.path),
            Self::Port { target } => write!(f, "{target}: this port is not granted"),
            Self::Region { secret, region } => {
                write!(f, "signing for region {region} is not granted for secret {secret}")
            }
            Self::Scheme { target } => write!(f, "{target}: this scheme is not granted"),
            Self::Secret { name } => write!(f, "secret {name:?} is not granted"),
            Self::Service { secret, service } => {
                write!(f, "signing for service {service} is not granted for secret {secret}")
            }
            Self::Socket { address } => write!(f, "connecting to {address} is not granted"),
            Self::State => f.write_str("state is for `obtain`, `renew` and `revoke` of an instance that is granted it"),
            Self::StateOfAnother { kept_for } => write!(
                f,
                "the state that is kept was saved by another component, or with other hosts or secrets: by {kept_for}"
            ),
            Self::Subject { secret, subject: Some(subject) } => {
                write!(f, "subject {subject:?} is not granted for secret {secret}")
            }
            Self::Subject { secret, subject: None } => {
                write!(f, "a token without a subject is not granted for secret {secret}")
            }
            Self::Target(error) => write!(f, "not a request that can be granted: {error}"),
            Self::Time { secret, time, tolerance } => {
                write!(f, "signing for {time}, which is more than {tolerance} from now, is refused for secret {secret}")
            }
            Self::Udp => f.write_str("UDP is not allowed"),
        }
    }
}

//! Kerberos logins as an operator configures them: the principal, where its tickets come from, and its KDCs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::grant::{Host, HostError};
use crate::{KerberosPrincipal, LoginName};

/// One configured login. Paths are absolute or relative to the process; the configuration has resolved its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPlan {
    pub name: LoginName,
    /// Whom the host logs in as.
    pub principal: KerberosPrincipal,
    pub tickets: TicketSource,
    pub krb5_conf: Krb5Conf,
}

/// Where the tickets of a login come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketSource {
    /// A keytab: the login gets its own tickets.
    Keytab(PathBuf),
    /// An existing credential cache, which `kinit`, `k5start` or sssd keeps: a path, or a name such as `KCM:1000`.
    Cache(String),
}

/// What the Kerberos library of a login reads as its krb5.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Krb5Conf {
    /// An operator's file. Everything in it holds.
    File(PathBuf),
    /// Realms and their KDCs. Names of hosts are taken as they are, and no name server is asked where a KDC is, or for
    /// another name of a host.
    Realms(BTreeMap<KerberosRealm, Vec<KdcAddress>>),
}

/// The name of a realm: `EXAMPLE.COM`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KerberosRealm(String);

/// The host of a KDC, with a port if it is not 88.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KdcAddress {
    host: Host,
    port: Option<u16>,
}

/// A text is not the name of a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a realm: write letters, digits, dots and hyphens, usually in capital letters, as EXAMPLE.COM")]
pub struct KerberosRealmError;

/// A text is not the address of a KDC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KdcAddressError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl FromStr for KerberosRealm {
    type Err = KerberosRealmError;

    fn from_str(text: &str) -> Result<Self, KerberosRealmError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if plain && !text.is_empty() && text.len() <= 255 { Ok(Self(text.to_owned())) } else { Err(KerberosRealmError) }
    }
}

impl KerberosRealm {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KerberosRealm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KdcAddress {
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl FromStr for KdcAddress {
    type Err = KdcAddressError;

    fn from_str(text: &str) -> Result<Self, KdcAddressError> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an IPv6 address are within brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(KdcAddressError::Port),
        };
        Ok(Self { host: host.parse()?, port })
    }
}

impl fmt::Display for KdcAddress {
    /// As krb5.conf has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_kdc_address_survives_the_round_trip() {
        for text in ["kdc.example.com", "kdc.example.com:88", "10.0.0.1:8888", "[::1]", "[fd00::1]:88"] {
            assert_eq!(text.parse::<KdcAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn login_kdc_address_that_krb5_conf_reads_otherwise_is_rejected() {
        for text in ["", ":88", "kdc:0", "kdc:99999", "kdc:x", "::1", "kdc }", "kdc\n kdc = evil", "tcp/kdc", "a b"] {
            assert!(text.parse::<KdcAddress>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn login_realm_is_one_plain_word() {
        for text in ["EXAMPLE.COM", "TEST", "a-b_c"] {
            assert_eq!(text.parse::<KerberosRealm>().unwrap().as_str(), text);
        }
        for text in ["", "A B", "A=B", "A{", "A\n", "A/B", "A@B", &"A".repeat(256)] {
            assert_eq!(text.parse::<KerberosRealm>(), Err(KerberosRealmError), "{text:?}");
        }
    }
}

//! The krb5.conf of a login: an operator's own, or one that is written for the login alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::wire::Configuration;

/// What the Kerberos library of a login reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Krb5Conf {
    /// An operator's file. Everything in it holds.
    File(PathBuf),
    /// Realms and their KDCs, by name or address with an optional port. Names of hosts are taken as they are, and no name
    /// server is asked where a KDC is, or for another name of a host.
    Realms(BTreeMap<String, Vec<String>>),
}

/// What holds besides the realms. A ticket is of no use to anyone else.
const DEFAULTS: &str = "\
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 forwardable = false
 proxiable = false
";

impl Krb5Conf {
    /// What a principal of this realm needs.
    pub(crate) fn for_realm(&self, realm: &str) -> Configuration {
        match self {
            Self::File(path) => Configuration::File(path.clone()),
            Self::Realms(realms) => Configuration::Text(text(realm, realms)),
        }
    }

    /// Whether a KDC is on this machine, as far as is known.
    pub(crate) fn is_local(&self) -> bool {
        let Self::Realms(realms) = self else { return false };
        let mut kdcs = realms.values().flatten();
        kdcs.any(|kdc| ["127.", "[::1]", "localhost"].iter().any(|local| kdc.starts_with(local)))
    }
}

fn text(realm: &str, realms: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = format!("[libdefaults]\n default_realm = {realm}\n{DEFAULTS}[realms]\n");
    for (realm, kdcs) in realms {
        let kdcs: String = kdcs.iter().map(|kdc| format!("  kdc = {kdc}\n")).collect();
        write!(text, " {realm} = {{\n{kdcs} }}\n").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn krb5_conf_names_the_realms_and_asks_no_name_server() {
        let realms = [
            ("EXAMPLE.COM".to_owned(), vec!["kdc1.example.com".to_owned(), "[::1]:8888".to_owned()]),
            ("OTHER.COM".to_owned(), vec!["10.0.0.1:88".to_owned()]),
        ];
        let conf = Krb5Conf::Realms(realms.into());
        assert!(conf.is_local());
        let Configuration::Text(text) = conf.for_realm("EXAMPLE.COM") else { panic!("{conf:?}") };
        assert!(text.starts_with("[libdefaults]\n default_realm = EXAMPLE.COM\n"), "{text}");
        for line in ["dns_lookup_kdc = false", "rdns = false", "dns_canonicalize_hostname = false"] {
            assert!(text.lines().any(|it| it.trim() == line), "{text}");
        }
        assert!(text.contains(" EXAMPLE.COM = {\n  kdc = kdc1.example.com\n  kdc = [::1]:8888\n }\n"), "{text}");
        assert!(text.ends_with(" OTHER.COM = {\n  kdc = 10.0.0.1:88\n }\n"), "{text}");
        let file = Krb5Conf::File("/etc/krb5.conf".into());
        assert_eq!(file.for_realm("EXAMPLE.COM"), Configuration::File("/etc/krb5.conf".into()));
    }
}

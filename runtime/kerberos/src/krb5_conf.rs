//! The krb5.conf of a login: an operator's own, or one that is written for the login alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use deputy_core::grant::Host;
use deputy_core::{KdcAddress, KerberosRealm, Krb5Conf};

use crate::wire::Configuration;

/// What holds besides the realms. A ticket is of no use to anyone else.
const DEFAULTS: &str = "\
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 forwardable = false
 proxiable = false
";

/// What the library of a principal of this realm reads.
pub(crate) fn configuration(conf: &Krb5Conf, realm: &str) -> Configuration {
    match conf {
        Krb5Conf::File(path) => Configuration::File(path.clone()),
        Krb5Conf::Realms(realms) => Configuration::Text(text(realm, realms)),
    }
}

/// Whether a KDC is on this machine, as far as is known.
pub(crate) fn is_local(conf: &Krb5Conf) -> bool {
    let Krb5Conf::Realms(realms) = conf else { return false };
    realms.values().flatten().any(|kdc| match kdc.host() {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => name == "localhost",
    })
}

fn text(realm: &str, realms: &BTreeMap<KerberosRealm, Vec<KdcAddress>>) -> String {
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
            (
                "EXAMPLE.COM".parse().unwrap(),
                ["kdc1.example.com", "[::1]:8888"].map(|kdc| kdc.parse().unwrap()).to_vec(),
            ),
            ("OTHER.COM".parse().unwrap(), vec!["10.0.0.1:88".parse().unwrap()]),
        ];
        let conf = Krb5Conf::Realms(realms.into());
        assert!(is_local(&conf));
        let Configuration::Text(text) = configuration(&conf, "EXAMPLE.COM") else { panic!("{conf:?}") };
        assert!(text.starts_with("[libdefaults]\n default_realm = EXAMPLE.COM\n"), "{text}");
        for line in ["dns_lookup_kdc = false", "rdns = false", "dns_canonicalize_hostname = false"] {
            assert!(text.lines().any(|it| it.trim() == line), "{text}");
        }
        assert!(text.contains(" EXAMPLE.COM = {\n  kdc = kdc1.example.com\n  kdc = [::1]:8888\n }\n"), "{text}");
        assert!(text.ends_with(" OTHER.COM = {\n  kdc = 10.0.0.1:88\n }\n"), "{text}");
        let file = Krb5Conf::File("/etc/krb5.conf".into());
        assert_eq!(configuration(&file, "EXAMPLE.COM"), Configuration::File("/etc/krb5.conf".into()));
    }
}

//! Names of Kerberos principals: `alice@EXAMPLE.COM`, `hdfs/nn1.example.com@EXAMPLE.COM`.

use std::fmt;
use std::str::FromStr;

/// The longest name, in characters: more than any KDC has.
const LONGEST: usize = 512;

/// A principal with its realm, as it is compared and as the Kerberos library takes it. Nothing in it is quoted: a name that
/// would need that is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KerberosPrincipal {
    name: String,
    /// Where the realm begins in it.
    realm: usize,
}

/// Why a text is no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KerberosPrincipalError {
    /// Nothing before the `@`, between two slashes, or after the `@`.
    #[error("a part of the principal is empty: write it as service/host.example.com@REALM or user@REALM")]
    Empty,
    #[error("the principal has more than {LONGEST} characters")]
    Long,
    /// A character that would have to be quoted, or that is not printable ASCII.
    #[error("the principal has an invalid character: use letters, digits and ._-+$, with / between its parts")]
    Odd,
    /// Without a realm, which a library would then choose.
    #[error("the principal has no realm: add @ and the realm, usually in capital letters")]
    Realm,
}

impl KerberosPrincipal {
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The realm: what follows the `@`.
    pub fn realm(&self) -> &str {
        self.name.get(self.realm..).unwrap_or_default()
    }

    /// The name without its realm.
    pub fn without_realm(&self) -> &str {
        self.name.get(..self.realm.saturating_sub(1)).unwrap_or_default()
    }

    /// The host of a service's principal: the second of exactly two parts.
    pub fn host(&self) -> Option<&str> {
        self.without_realm().split_once('/').map(|(_, host)| host).filter(|host| !host.contains('/'))
    }
}

fn is_plain(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+$".contains(&byte))
}

impl FromStr for KerberosPrincipal {
    type Err = KerberosPrincipalError;

    fn from_str(text: &str) -> Result<Self, KerberosPrincipalError> {
        if text.len() > LONGEST {
            return Err(KerberosPrincipalError::Long);
        }
        let (parts, realm) = text.split_once('@').ok_or(KerberosPrincipalError::Realm)?;
        if !parts.split('/').all(is_plain) || !is_plain(realm) {
            return Err(KerberosPrincipalError::Odd);
        }
        if realm.is_empty() || parts.split('/').any(str::is_empty) {
            return Err(KerberosPrincipalError::Empty);
        }
        Ok(Self { name: text.to_owned(), realm: parts.len() + 1 })
    }
}

impl fmt::Display for KerberosPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kerberos_principal_has_name_host_and_realm() {
        let principal = |text: &str| text.parse::<KerberosPrincipal>().unwrap();
        let service = principal("hdfs/nn1.example.com@EXAMPLE.COM");
        assert_eq!(service.to_string(), "hdfs/nn1.example.com@EXAMPLE.COM");
        assert_eq!((service.host(), service.realm()), (Some("nn1.example.com"), "EXAMPLE.COM"));
        assert_eq!(service.without_realm(), "hdfs/nn1.example.com");
        assert_eq!(principal("alice@EXAMPLE.COM").host(), None);
        assert_eq!(principal("a/b/c@R").host(), None);
        assert_eq!(principal("HOST$@AD.EXAMPLE.COM").without_realm(), "HOST$");
    }

    #[test]
    fn kerberos_principal_that_is_ambiguous_is_rejected() {
        use KerberosPrincipalError::{Empty, Long, Odd, Realm};
        for (text, error) in [
            ("", Realm),
            ("alice", Realm),
            ("@R", Empty),
            ("alice@", Empty),
            ("hdfs/@R", Empty),
            ("/host@R", Empty),
            ("a@R@S", Odd),
            ("a\\@b@R", Odd),
            ("a b@R", Odd),
            ("ä@R", Odd),
            ("a@R\0", Odd),
            ("hdfs/*@R", Odd),
            ("a@R/b", Odd),
        ] {
            assert_eq!(text.parse::<KerberosPrincipal>(), Err(error), "{text:?}");
        }
        assert_eq!(format!("{}@R", "a".repeat(600)).parse::<KerberosPrincipal>(), Err(Long));
    }
}

//! Why something failed, in one table: what a caller does next, and what mends it.

use std::fmt;

/// What a caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Try again with growing delays.
    Unavailable,
    /// A person has to change something first.
    Refused,
    /// The peer's token is malformed, fails its check, is a replay or out of order.
    BadToken,
    /// Not a call for the context's present state.
    WrongState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultCause {
    WrongKey,
    UnknownPrincipal,
    Locked,
    Expired,
    KeyExpired,
    KeyTypes,
    ClockSkew,
    KdcUnreachable,
    KdcTimeout,
    NoKdc,
    NoNetwork,
    Keytab,
    CredentialCache,
    UnknownTarget,
    KdcRefused,
    TicketExpired,
    BadToken,
    WrongState,
    TooMany,
    Configuration,
    Library,
    Process,
    Other,
}

/// One row: the code of logs and metrics, what a caller does next, what is wrong, what mends it.
type Row = (FaultCause, &'static str, FaultKind, &'static str, &'static str);

/// All causes. Their order is that of the protocol with the login process.
const TABLE: [Row; 23] = {
    use FaultCause as C;
    use FaultKind as K;
    [
        (
            C::WrongKey,
            "wrong-key",
            K::Refused,
            "the key is not the principal's current one",
            "export a new keytab at the KDC (`kadmin ktadd`; in Active Directory `msktutil` or `ktpass`)",
        ),
        (
            C::UnknownPrincipal,
            "unknown-principal",
            K::Refused,
            "the KDC does not know the principal",
            "check its spelling and realm, or create it at the KDC",
        ),
        (
            C::Locked,
            "locked",
            K::Refused,
            "the KDC has locked or disabled the principal",
            "have it unlocked (`kadmin modprinc +allow_tix`, or `-unlock` after failed attempts)",
        ),
        (
            C::Expired,
            "expired",
            K::Refused,
            "the principal has expired at the KDC",
            "have its expiration moved (`kadmin modprinc -expire`)",
        ),
        (
            C::KeyExpired,
            "key-expired",
            K::Refused,
            "the principal's key or password has expired at the KDC",
            "give it a new key and export the keytab (`kadmin ktadd`)",
        ),
        (
            C::KeyTypes,
            "key-types",
            K::Refused,
            "the KDC accepts none of the encryption types of the key",
            "export a keytab with aes256-cts-hmac-sha1-96 or aes256-cts-hmac-sha384-192",
        ),
        (
            C::ClockSkew,
            "clock-skew",
            K::Refused,
            "the clocks of this machine and the KDC differ by more than the KDC accepts",
            "synchronise both clocks (NTP)",
        ),
        (
            C::KdcUnreachable,
            "kdc-unreachable",
            K::Unavailable,
            "no KDC of the realm can be reached",
            "see that one runs, that its address is right, and that port 88 is open by UDP and TCP",
        ),
        (
            C::KdcTimeout,
            "kdc-timeout",
            K::Unavailable,
            "no KDC answered within the time limit",
            "see that the KDC answers, and that no firewall drops port 88 by UDP and TCP",
        ),
        (
            C::NoKdc,
            "no-kdc",
            K::Refused,
            "no KDC is known for the realm",
            "name the realm's KDCs: `kdcs` or `realms` of the login, or [realms] in its krb5.conf",
        ),
        (
            C::NoNetwork,
            "no-network",
            K::Unavailable,
            "this machine has no network",
            "connect it: it has no route to any other machine",
        ),
        (
            C::Keytab,
            "keytab",
            K::Refused,
            "the keytab cannot be used",
            "put a keytab of the principal there, readable for Deputy's user alone",
        ),
        (
            C::CredentialCache,
            "credential-cache",
            K::Refused,
            "the credential cache has no valid ticket of the principal",
            "run `kinit` for this cache, or have `k5start` or sssd keep it",
        ),
        (
            C::UnknownTarget,
            "unknown-target",
            K::Refused,
            "the KDC does not know the target, or has no key for it that this login can use",
            "check the service's principal: name, host as the service registered it, realm",
        ),
        (
            C::KdcRefused,
            "kdc-refused",
            K::Refused,
            "the KDC refused by its policy",
            "ask the KDC's operator; the KDC's log has the reason",
        ),
        (
            C::TicketExpired,
            "ticket-expired",
            K::Unavailable,
            "the ticket has expired",
            "nothing: the next attempt gets a new one",
        ),
        (
            C::BadToken,
            "bad-token",
            K::BadToken,
            "the peer's token is malformed, altered, replayed or out of order",
            "see that the peer is the service, and that nothing between changes what it sends",
        ),
        (
            C::WrongState,
            "wrong-state",
            K::WrongState,
            "the context is not in the state for this call",
            "correct the component: `step` until established, then `wrap` and `unwrap`",
        ),
        (
            C::TooMany,
            "too-many",
            K::Unavailable,
            "the login has as many contexts as it may have",
            "let components run at different times",
        ),
        (
            C::Configuration,
            "configuration",
            K::Refused,
            "the Kerberos library cannot use the login's krb5.conf",
            "correct the file; `KRB5_CONFIG=FILE kinit` shows the same error",
        ),
        (
            C::Library,
            "library",
            K::Refused,
            "MIT Kerberos is not installed",
            "install `libgssapi-krb5-2` (Debian, Ubuntu: `apt-get install libgssapi-krb5-2`) or `krb5-libs` (Red Hat, \
             Fedora: `dnf install krb5-libs`)",
        ),
        (
            C::Process,
            "process",
            K::Unavailable,
            "the process that holds the login's tickets ended or cannot be started",
            "it is started again; if this goes on, the log says why",
        ),
        (
            C::Other,
            "other",
            K::Unavailable,
            "the Kerberos library failed",
            "the text of the library says more; `KRB5_TRACE=/dev/stderr kinit` shows each step",
        ),
    ]
};

impl FaultCause {
    /// For logs and metrics: `wrong-key`.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// What a caller does next.
    pub fn kind(self) -> FaultKind {
        self.row().2
    }

    pub fn fix(self) -> &'static str {
        self.row().4
    }

    /// Its number in the protocol with the login process.
    pub(crate) fn number(self) -> u8 {
        let at = TABLE.iter().position(|row| row.0 == self).unwrap_or(TABLE.len() - 1);
        u8::try_from(at).unwrap_or(u8::MAX)
    }

    /// The cause with a number.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        TABLE.get(usize::from(number)).map(|row| row.0)
    }

    fn row(self) -> &'static Row {
        let [.., last] = &TABLE;
        TABLE.iter().find(|row| row.0 == self).unwrap_or(last)
    }
}

impl fmt::Display for FaultCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().3)
    }
}

/// What failed, for the operator. A component sees its kind alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub cause: FaultCause,
    /// What the library or the file says, in one line. Empty if there is no more to say. Never a key.
    pub detail: String,
}

impl Fault {
    pub fn new(cause: FaultCause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into() }
    }

    /// Without a detail.
    pub fn plain(cause: FaultCause) -> Self {
        Self::new(cause, "")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fault_causes_have_numbers_and_codes_of_their_own() {
        for (number, row) in TABLE.iter().enumerate() {
            let number = u8::try_from(number).unwrap();
            assert_eq!(row.0.number(), number, "{:?}", row.0);
            assert_eq!(FaultCause::of_number(number), Some(row.0));
        }
        let codes: BTreeSet<_> = TABLE.iter().map(|row| row.1).collect();
        assert_eq!(codes.len(), TABLE.len());
        assert_eq!(FaultCause::of_number(u8::MAX), None);
    }

    #[test]
    fn fault_causes_are_in_the_page_for_operators() {
        const PAGE: &str = include_str!("../../../docs/hadoop.md");
        for (_, code, _, text, fix) in TABLE {
            let row = format!("| `{code}` | {text} | {fix} |");
            assert!(PAGE.lines().any(|line| line == row), "docs/hadoop.md lacks {row}");
        }
    }

    #[test]
    fn fault_text_says_the_cause_and_the_detail() {
        let fault = Fault::new(FaultCause::Locked, "Client's credentials have been revoked");
        assert_eq!(
            fault.to_string(),
            "the KDC has locked or disabled the principal (Client's credentials have been revoked)"
        );
        assert_eq!(Fault::plain(FaultCause::NoKdc).to_string(), "no KDC is known for the realm");
        assert!(FaultCause::Library.fix().contains("libgssapi-krb5-2"));
        assert!(FaultCause::Library.fix().contains("krb5-libs"));
    }
}

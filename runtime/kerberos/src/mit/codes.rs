//! MIT's error numbers and what they mean here. Numbers, since texts differ by version and language.

use crate::FaultCause;

/// The first number of the table `krb5` in MIT's `krb5_err.et`. The first 128 are the errors of RFC 4120, section 7.5.9,
/// which a KDC sends.
const KRB5: i32 = -1_765_328_384;
/// The first number of the table of the profile library, which reads krb5.conf, in `prof_err.et`.
const PROFILE: i32 = -1_429_577_728;
/// How many numbers a table has.
const TABLE: i32 = 256;

/// The cause that a number means. The same number may mean the own principal while a ticket-granting ticket is got,
/// and the target later.
pub(super) fn cause(code: i32) -> FaultCause {
    if (0..TABLE).contains(&code.wrapping_sub(PROFILE)) {
        return FaultCause::Configuration;
    }
    match code.wrapping_sub(KRB5) {
        // KDC_ERR_NAME_EXP
        1 => FaultCause::Expired,
        // KDC_ERR_C_PRINCIPAL_UNKNOWN, KDC_ERR_WRONG_REALM
        6 | 68 => FaultCause::UnknownPrincipal,
        // KDC_ERR_S_PRINCIPAL_UNKNOWN
        7 => FaultCause::UnknownTarget,
        // KDC_ERR_ETYPE_NOSUPP, KRB5_PROG_ETYPE_NOSUPP, KRB5_BAD_ENCTYPE, KRB5_PREAUTH_FAILED (no key of the keytab fits
        // what the KDC offers), KRB5_CONFIG_ETYPE_NOSUPP
        14 | 150 | 188 | 210 | 237 => FaultCause::KeyTypes,
        // KDC_ERR_CLIENT_REVOKED
        18 => FaultCause::Locked,
        // KDC_ERR_KEY_EXPIRED
        23 => FaultCause::KeyExpired,
        // KDC_ERR_PREAUTH_FAILED, KRB_AP_ERR_BAD_INTEGRITY: one side could not open what the other's key sealed
        24 | 31 => FaultCause::WrongKey,
        // KDC_ERR_SVC_UNAVAILABLE, KRB5_KDC_UNREACH, KRB5_REALM_CANT_RESOLVE
        29 | 156 | 220 => FaultCause::KdcUnreachable,
        // KRB_AP_ERR_TKT_EXPIRED
        32 => FaultCause::TicketExpired,
        // KRB_AP_ERR_SKEW, KRB5_KDCREP_SKEW
        37 | 148 => FaultCause::ClockSkew,
        // The other errors of a KDC: flags, policies, restrictions on hours and machines
        2..=5 | 8..=13 | 15..=17 | 19..=22 | 25..=28 => FaultCause::KdcRefused,
        // KRB5_CONFIG_CANTOPEN, KRB5_CONFIG_BADFORMAT, KRB5_CONFIG_NODEFREALM
        135 | 136 | 224 => FaultCause::Configuration,
        // KRB5_CC_NOTFOUND, KRB5_CC_END, KRB5_FCC_PERM, KRB5_FCC_NOFILE, KRB5_CC_FORMAT
        141 | 142 | 194 | 195 | 199 => FaultCause::CredentialCache,
        // KRB5_REALM_UNKNOWN
        154 => FaultCause::NoKdc,
        // KRB5_KT_NOTFOUND, KRB5_KT_IOERR, KRB5_KT_KVNONOTFOUND
        181 | 184 | 230 => FaultCause::Keytab,
        _ => FaultCause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mit_codes_have_their_causes() {
        // Numbers as `krb5.h` of MIT Kerberos 1.20 spells them.
        for (code, expected) in [
            (-1_765_328_360, FaultCause::WrongKey),
            (-1_765_328_378, FaultCause::UnknownPrincipal),
            (-1_765_328_377, FaultCause::UnknownTarget),
            (-1_765_328_366, FaultCause::Locked),
            (-1_765_328_383, FaultCause::Expired),
            (-1_765_328_361, FaultCause::KeyExpired),
            (-1_765_328_228, FaultCause::KdcUnreachable),
            (-1_765_328_230, FaultCause::NoKdc),
            (-1_765_328_347, FaultCause::ClockSkew),
            (-1_765_328_189, FaultCause::CredentialCache),
            (-1_429_577_725, FaultCause::Configuration),
            (22, FaultCause::Other),
            (i32::MIN, FaultCause::Other),
            (i32::MAX, FaultCause::Other),
        ] {
            assert_eq!(cause(code), expected, "{code}");
        }
    }
}

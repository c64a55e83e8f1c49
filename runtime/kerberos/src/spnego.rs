//! SPNEGO (RFC 4178) around the first token of a Kerberos context, as HTTP Negotiate (RFC 4559) carries it.

/// 1.3.6.1.5.5.2, with its tag and length.
const SPNEGO: [u8; 8] = [0x06, 6, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
/// 1.2.840.113554.1.2.2, with its tag and length.
const KERBEROS: [u8; 11] = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

const APPLICATION: u8 = 0x60;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// Context-specific tags of `NegTokenInit`, and of the choice that it is.
const NEG_TOKEN_INIT: u8 = 0xa0;
const MECH_TYPES: u8 = 0xa0;
const MECH_TOKEN: u8 = 0xa2;

/// A `NegTokenInit` that offers Kerberos alone and has its first token with it.
pub fn negotiate_token(token: &[u8]) -> Vec<u8> {
    let mechanisms = der(MECH_TYPES, &der(SEQUENCE, &KERBEROS));
    let token = der(MECH_TOKEN, &der(OCTETS, token));
    let init = der(NEG_TOKEN_INIT, &der(SEQUENCE, &[mechanisms, token].concat()));
    der(APPLICATION, &[&SPNEGO[..], &init].concat())
}

/// A value with its tag and length in the distinguished encoding (X.690, section 8.1.3).
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let bytes = value.len().to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let long = bytes.get(zeros..).unwrap_or_default();
    let mut encoded = vec![tag];
    match u8::try_from(value.len()) {
        Ok(short) if short < 0x80 => encoded.push(short),
        _ => {
            encoded.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            encoded.extend(long);
        }
    }
    encoded.extend(value);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spnego_token_has_the_lengths_of_its_parts() {
        let short = negotiate_token(&[7; 3]);
        let expected = [
            &[0x60, 0x22][..],
            &SPNEGO,
            &[0xa0, 0x18, 0x30, 0x16, 0xa0, 0x0d, 0x30, 0x0b],
            &KERBEROS,
            &[0xa2, 0x05, 0x04, 3, 7, 7, 7],
        ];
        assert_eq!(short, expected.concat());
        let long = negotiate_token(&[7; 700]);
        assert!(long.starts_with(&[0x60, 0x82]) && long.ends_with(&[7; 700]));
        assert_eq!(usize::from(u16::from_be_bytes([long[2], long[3]])), long.len() - 4);
        assert_eq!(der(4, &[0; 200])[..3], [4, 0x81, 200]);
    }
}

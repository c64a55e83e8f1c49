//! SPNEGO (RFC 4178) around the two tokens of a Kerberos context, as HTTP Negotiate (RFC 4559) carries them.

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
/// Context-specific tags of `NegTokenResp`, and of the choice that it is.
const NEG_TOKEN_RESP: u8 = 0xa1;
const NEG_STATE: u8 = 0xa0;
const RESPONSE_TOKEN: u8 = 0xa2;
const ENUMERATED: u8 = 0x0a;
/// `negState` of a server that accepts and needs nothing more.
const ACCEPT_COMPLETED: u8 = 0;

/// A `NegTokenInit` that offers Kerberos alone and has its first token with it.
pub fn negotiate_token(token: &[u8]) -> Vec<u8> {
    let mechanisms = der(MECH_TYPES, &der(SEQUENCE, &KERBEROS));
    let token = der(MECH_TOKEN, &der(OCTETS, token));
    let init = der(NEG_TOKEN_INIT, &der(SEQUENCE, &[mechanisms, token].concat()));
    der(APPLICATION, &[&SPNEGO[..], &init].concat())
}

/// Kerberos' own token in a server's answer: that of a `NegTokenResp` that accepts, or the bare token, by which some servers
/// answer. `None` if it is malformed, rejects, or wants more.
pub fn negotiate_answer(answer: &[u8]) -> Option<Vec<u8>> {
    if answer.first() == Some(&APPLICATION) {
        return Some(answer.to_vec());
    }
    let (NEG_TOKEN_RESP, choice, []) = value(answer)? else { return None };
    let (SEQUENCE, mut fields, []) = value(choice)? else { return None };
    let mut token = None;
    while !fields.is_empty() {
        let (tag, field, rest) = value(fields)?;
        match (tag, value(field)?) {
            (NEG_STATE, (ENUMERATED, [ACCEPT_COMPLETED], [])) => {}
            (NEG_STATE, _) => return None,
            (RESPONSE_TOKEN, (OCTETS, bytes, [])) => token = Some(bytes.to_vec()),
            (RESPONSE_TOKEN, _) => return None,
            // The mechanism, which is the only one that was offered, and its checksum.
            _ => {}
        }
        fields = rest;
    }
    token
}

/// The first value in the distinguished encoding: its tag, its bytes, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        short if short < 0x80 => (usize::from(short), rest),
        // Two bytes of a length are more than any header has.
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
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

    /// An answer as a Java server gives it: state, mechanism, token.
    fn response(state: u8, token: &[u8]) -> Vec<u8> {
        let state = der(NEG_STATE, &der(ENUMERATED, &[state]));
        let token = der(RESPONSE_TOKEN, &der(OCTETS, token));
        der(NEG_TOKEN_RESP, &der(SEQUENCE, &[state, der(0xa1, &KERBEROS), token].concat()))
    }

    #[test]
    fn spnego_answer_has_the_token_of_the_mechanism() {
        assert_eq!(negotiate_answer(&response(0, &[7; 108])), Some(vec![7; 108]));
        assert_eq!(negotiate_answer(&response(0, &[7; 700])), Some(vec![7; 700]));
        assert_eq!(negotiate_answer(&[0x60, 1, 2]), Some(vec![0x60, 1, 2]), "the library reads a bare token");
    }

    #[test]
    fn spnego_answer_that_does_not_accept_has_no_token() {
        for state in 1..=3 {
            assert_eq!(negotiate_answer(&response(state, &[7; 108])), None);
        }
        let without_token = der(NEG_TOKEN_RESP, &der(SEQUENCE, &der(NEG_STATE, &der(ENUMERATED, &[0]))));
        assert_eq!(negotiate_answer(&without_token), None);
    }

    #[test]
    fn spnego_answer_that_is_cut_or_too_long_is_rejected() {
        let whole = response(0, &[7; 300]);
        for end in 0..whole.len() {
            assert_eq!(negotiate_answer(&whole[..end]), None, "{end}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(negotiate_answer(&longer), None);
        assert_eq!(negotiate_answer(&[0xa1, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(negotiate_answer(&[0xa1, 0x80]), None);
    }
}

//! `application/x-www-form-urlencoded` bodies: sets one field. All other bytes are kept.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use zeroize::Zeroizing;

/// All but the unreserved characters of RFC 3986. A space becomes `%20`, which every server decodes, and not the older
/// `+`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether a content type is that of a form.
pub(super) fn is_form(content_type: &[u8]) -> bool {
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// The form with this field set to this value, and to no other.
pub(super) fn with_field(form: &[u8], field: &str, value: &[u8]) -> Zeroizing<Vec<u8>> {
    // Reserved from the start: a vector that grows leaves copies of the secret behind.
    let capacity = form.len() + 3 * (field.len() + value.len()) + 2;
    let mut out = Zeroizing::new(Vec::with_capacity(capacity));
    for pair in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty() && name(pair) != field.as_bytes()) {
        separate(&mut out);
        out.extend_from_slice(pair);
    }
    separate(&mut out);
    encode(field.as_bytes(), &mut out);
    out.push(b'=');
    encode(value, &mut out);
    out
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'&');
    }
}

/// A pair's name, decoded as servers do.
fn name(pair: &[u8]) -> Vec<u8> {
    let raw = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let spaced: Vec<u8> = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

/// Appends a text as a form writes it. The pieces are copied straight into the buffer, so that no other copy of a secret
/// is left in memory.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    for piece in percent_encode(text, RESERVED) {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(form: &str, field: &str, value: &str) -> String {
        String::from_utf8(with_field(form.as_bytes(), field, value.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn form_field_replaces_the_same_field_however_it_was_written() {
        for (form, expected) in [
            ("", "client_secret=s"),
            ("a=1", "a=1&client_secret=s"),
            ("client_secret=mine&a=1", "a=1&client_secret=s"),
            ("client%5Fsecret=mine", "client_secret=s"),
            ("client%5fsecret", "client_secret=s"),
            ("client_secret=1&client_secret=2&b", "b&client_secret=s"),
            ("a=%zz&&b=%4", "a=%zz&b=%4&client_secret=s"),
            ("xclient_secret=1", "xclient_secret=1&client_secret=s"),
        ] {
            assert_eq!(set(form, "client_secret", "s"), expected, "{form}");
        }
        assert_eq!(set("my+key=1&my%20key=2", "my key", "s"), "my%20key=s");
    }

    #[test]
    fn form_value_cannot_add_fields() {
        assert_eq!(set("", "k", "a&b=c d+%\n\u{e9}"), "k=a%26b%3Dc%20d%2B%25%0A%C3%A9");
    }

    #[test]
    fn form_is_built_without_reallocation() {
        let form = with_field(b"a=1&b=2", "key", b"\xff\xff\xff\xff");
        assert!(form.len() <= form.capacity() && form.capacity() == 7 + 3 * 7 + 2);
    }

    #[test]
    fn form_is_recognised_by_its_content_type() {
        for text in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-urlencoded ; charset=utf-8"] {
            assert!(is_form(text.as_bytes()), "{text}");
        }
        for text in ["", "application/json", "multipart/form-data", "application/x-www-form-urlencodedx"] {
            assert!(!is_form(text.as_bytes()), "{text}");
        }
    }
}

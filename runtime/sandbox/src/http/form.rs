//! `application/x-www-form-urlencoded` bodies: one field taken out, one put in. What is not touched is kept byte by byte.

use zeroize::Zeroizing;

/// Whether a content type is a form's.
pub(super) fn is_form(content_type: &[u8]) -> bool {
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// The form with this field set to this value, and to no other.
pub(super) fn with_field(form: &[u8], field: &str, value: &[u8]) -> Zeroizing<Vec<u8>> {
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let room = form.len() + 3 * (field.len() + value.len()) + 2;
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    let others = form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty() && name(pair) != field.as_bytes());
    for pair in others {
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
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, tail) = match (byte, tail) {
            (b'+', _) => (b' ', tail),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (byte, tail),
            },
            _ => (byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Appends a text as a form has it. A space becomes `%20`, which every server decodes, and not the older `+`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            let hex =
                |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |c| c.to_ascii_uppercase() as u8);
            out.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(form: &str, field: &str, value: &str) -> String {
        String::from_utf8(with_field(form.as_bytes(), field, value.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn a_field_is_added_and_replaces_what_was_there_however_it_was_written() {
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
    fn a_value_cannot_add_fields_of_its_own() {
        assert_eq!(set("", "k", "a&b=c d+%\n\u{e9}"), "k=a%26b%3Dc%20d%2B%25%0A%C3%A9");
    }

    #[test]
    fn room_is_made_once() {
        let form = with_field(b"a=1&b=2", "key", b"\xff\xff\xff\xff");
        assert!(form.len() <= form.capacity() && form.capacity() == 7 + 3 * 7 + 2);
    }

    #[test]
    fn a_form_is_told_by_its_content_type() {
        for text in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-urlencoded ; charset=utf-8"] {
            assert!(is_form(text.as_bytes()), "{text}");
        }
        for text in ["", "application/json", "multipart/form-data", "application/x-www-form-urlencodedx"] {
            assert!(!is_form(text.as_bytes()), "{text}");
        }
    }
}

//! Percent-encoding (RFC 3986), hexadecimal digits, base64 (RFC 4648) and JSON strings.
//!
//! Written here and not taken from crates, for the size of components: each of these crates brings tables, formatting or
//! error types that a component of some 100 KiB has no use for.

/// Percent-encodes all but the unreserved characters of RFC 3986, as AWS's rules, URLs and form bodies require: a space
/// becomes `%20`, and digits are upper-case.
#[must_use]
pub fn percent(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(digits(byte).map(|digit| digit.to_ascii_uppercase()));
        }
    }
    encoded
}

/// The body of an `application/x-www-form-urlencoded` request.
#[must_use]
pub fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = fields
        .into_iter()
        .map(|(name, value)| format!("{}={}", percent(name.as_bytes()), percent(value.as_bytes())))
        .collect();
    pairs.join("&")
}

/// The fields of an `application/x-www-form-urlencoded` body, in its order.
pub fn form_fields(body: &str) -> impl Iterator<Item = (String, String)> {
    body.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_text(name), form_text(value))
    })
}

fn form_text(encoded: &str) -> String {
    String::from_utf8_lossy(&percent_decode(&encoded.replace('+', " "))).into_owned()
}

/// Decodes percent-encoding. A `%` that two digits do not follow is kept.
#[must_use]
pub fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let escape = behind.first_chunk::<2>().filter(|_| byte == b'%');
        let value = escape.and_then(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?));
        decoded.push(value.unwrap_or(byte));
        rest = value.and(behind.get(2..)).unwrap_or(behind);
    }
    decoded
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|&byte| digits(byte)).collect()
}

/// Base64 with the standard alphabet and padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            encoded.push(if index <= group.len() { sextet(bits >> shift & 63) } else { '=' });
        }
    }
    encoded
}

fn sextet(bits: u32) -> char {
    char::from(match bits as u8 {
        character @ 0..=25 => b'A' + character,
        character @ 26..=51 => b'a' + character - 26,
        digit @ 52..=61 => b'0' + digit - 52,
        62 => b'+',
        _ => b'/',
    })
}

/// A JSON string, with its quotes.
#[must_use]
pub fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 15].map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0'))
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_keeps_unreserved_characters_only() {
        assert_eq!(percent(b"aZ09-._~"), "aZ09-._~");
        assert_eq!(percent(" /+%=&*'\u{1234}".as_bytes()), "%20%2F%2B%25%3D%26%2A%27%E1%88%B4");
    }

    #[test]
    fn form_value_cannot_add_a_field() {
        assert_eq!(form([("a", "1&b=2"), ("c d", "é")]), "a=1%26b%3D2&c%20d=%C3%A9");
    }

    #[test]
    fn percent_decode_is_the_inverse_and_keeps_lone_signs() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(percent_decode(&percent(&all)), all);
        assert_eq!(percent_decode("100%"), b"100%");
        assert_eq!(percent_decode("%4"), b"%4");
        assert_eq!(percent_decode("%zz%41"), b"%zzA");
    }

    #[test]
    fn base64_matches_the_examples_of_the_rfc() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbe, 0x00]), "+/++AA==");
    }

    #[test]
    fn json_string_cannot_be_ended_from_inside() {
        assert_eq!(json("a\"b\\c\nd\u{1}é"), r#""a\"b\\c\u000ad\u0001é""#);
    }

    #[test]
    fn hex_is_lower_case_and_padded() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }

    #[test]
    fn form_fields_are_what_form_encoded() {
        let fields = [("a b", "c&d=é"), ("e", "")];
        let decoded: Vec<_> = form_fields(&form(fields)).collect();
        assert_eq!(decoded, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(
            form_fields("&a+b&=%zz").collect::<Vec<_>>(),
            [("a b".into(), "".into()), ("".into(), "%zz".into())]
        );
    }
}

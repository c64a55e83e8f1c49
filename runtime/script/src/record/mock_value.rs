//! Made-up values in the place of real ones. A made-up value has the form of the real one, as far as components look at that,
//! and nothing else of it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// Claims of a JSON Web Token that are times.
const TIMES: [&str; 3] = ["exp", "iat", "nbf"];
/// From this length on, hexadecimal digits and capitals are no words.
const MIN_FORM_LEN: usize = 8;
/// Letters of a made-up value that come from a name.
const MAX_NAME: usize = 40;

/// A made-up value for a real one. Equal names and numbers give equal values.
pub(super) fn made_up(name: &str, number: usize, real: &str) -> String {
    let name = words(name);
    let plain = if number == 1 { format!("mock-{name}") } else { format!("mock-{name}-{number}") };
    let all = |is: fn(char) -> bool| real.chars().all(is);
    if let Some(claims) = claims(real) {
        return web_token(&plain, &claims);
    }
    if all(|c| c.is_ascii_digit()) {
        return format!("1{number:0>width$}", width = real.len().saturating_sub(1));
    }
    if is_uuid(real) {
        return format!("00000000-0000-4000-8000-{number:012x}");
    }
    if real.len() >= MIN_FORM_LEN && all(|c| c.is_ascii_hexdigit()) && real.contains(|c: char| c.is_ascii_digit()) {
        return format!("{number:0>width$x}", width = real.len());
    }
    if real.len() >= MIN_FORM_LEN && all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        return plain.to_uppercase().replace('-', "");
    }
    if real.ends_with('=') && STANDARD.decode(real).is_ok() {
        return STANDARD.encode(plain);
    }
    plain
}

/// A name in lower case, with hyphens for everything else.
fn words(name: &str) -> String {
    let name: String = name.to_ascii_lowercase().chars().take(MAX_NAME).collect();
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let name = name.trim_matches('-');
    if name.is_empty() { "value".to_owned() } else { name.to_owned() }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// The claims of a JSON Web Token.
fn claims(text: &str) -> Option<Map<String, Value>> {
    let mut parts = text.split('.');
    let (header, claims) = (parts.next()?, parts.next()?);
    parts.next()?;
    json(header)?;
    json(claims)
}

fn json(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn web_token(name: &str, claims: &Map<String, Value>) -> String {
    let mut made_up = Map::from_iter([("sub".to_owned(), Value::from(name))]);
    let times = claims.iter().filter(|(name, value)| TIMES.contains(&name.as_str()) && value.is_number());
    made_up.extend(times.map(|(name, value)| (name.clone(), value.clone())));
    let parts = [r#"{"alg":"none"}"#.to_owned(), Value::from(made_up).to_string(), name.to_owned()];
    parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_makes_values_up_in_the_form_of_the_real_ones() {
        for (real, expected) in [
            ("hunter2!", "mock-access-token"),
            ("AKIAIOSFODNN7EXAMPLE", "MOCKACCESSTOKEN"),
            ("0123456789abcdef", "0000000000000001"),
            ("123456", "100001"),
            ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "00000000-0000-4000-8000-000000000001"),
            ("aHVudGVyMg==", "bW9jay1hY2Nlc3MtdG9rZW4="),
        ] {
            assert_eq!(made_up("access_token", 1, real), expected, "{real}");
        }
        assert_eq!(made_up("a", 2, "hunter2!"), "mock-a-2");
        assert_eq!(made_up("\u{1b}[2J", 1, "hunter2!"), "mock-2j");
    }

    #[test]
    fn record_keeps_the_times_of_a_web_token_alone() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let real = format!(
            "{}.{}.{}",
            part(r#"{"alg":"RS256","kid":"k"}"#),
            part(r#"{"exp":17,"sub":"alice","scope":"all"}"#),
            part("signature")
        );
        let made_up = made_up("id_token", 1, &real);
        assert_eq!(Value::from(claims(&made_up).unwrap()).to_string(), r#"{"exp":17,"sub":"mock-id-token"}"#);
        assert!(!made_up.contains(&part("signature")));
    }
}

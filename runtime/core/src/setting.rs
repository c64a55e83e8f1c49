//! Settings whose names say that their values are secrets.

/// Last words of such names.
const WORDS: [&str; 6] = ["apikey", "passphrase", "passwd", "password", "secret", "token"];
/// What comes before a last word `key`.
const KEYS: [&str; 4] = ["access", "api", "private", "secret"];

/// Whether a setting's name, such as `db-password` or `apiKey`, says that its value is a secret. Settings are no place for
/// one: they are not redacted where a secret is.
pub fn is_secret_setting(name: &str) -> bool {
    let words = name_words(name);
    match words.as_slice() {
        [.., before, last] if last == "key" => KEYS.contains(&before.as_str()),
        [.., last] => WORDS.contains(&last.as_str()),
        [] => false,
    }
}

/// The words of a name in lower case, whichever way they are joined.
pub fn name_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (is_after_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        is_after_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_that_names_a_secret_is_recognised_by_its_last_word() {
        for name in [
            "password",
            "db-password",
            "PASSWORD",
            "bindPassword",
            "client_secret",
            "secret",
            "form.client_secret",
            "token",
            "refresh-token",
            "api-key",
            "apiKey",
            "api_key",
            "apikey",
            "access-key",
            "x.private-key",
            "secret-key",
            "passphrase",
        ] {
            assert!(is_secret_setting(name), "{name}");
        }
        for name in [
            "",
            "-",
            "key",
            "public-key",
            "key-id",
            "access-key-id",
            "secret-name",
            "token-url",
            "tokens",
            "password-file",
            "region",
            "monkey",
            "tokenizer",
            "partition-key",
        ] {
            assert!(!is_secret_setting(name), "{name}");
        }
    }
}

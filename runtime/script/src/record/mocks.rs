//! Which values of an exchange are secret, and what stands for each of them in the script.
//!
//! What is known to be secret is always replaced: the instance's secrets, and whatever of an answer is in the payload or in
//! the handle. So is what has the name of a secret, or looks random. With [`Replacement::Everything`], all other texts of an answer
//! are replaced as well, unless they are times or come from the settings.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::is_secret_setting;
use serde_json::Value;

use super::body::AnswerBody;
use super::mock_value::made_up;

/// What of an answer is replaced beside what is known to be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacement {
    Everything,
    /// What has the name of a secret, or looks random.
    Likely,
}

/// Real values, and what stands for each of them.
pub(super) struct Mocks {
    caution: Replacement,
    known: BTreeMap<String, String>,
    used: BTreeSet<String>,
    /// The values of settings, and their words.
    public: BTreeSet<String>,
    /// What the component returned.
    returned: Vec<String>,
}

/// Shorter values stand in texts by chance: they are replaced where they are the whole value.
pub(super) const LEAST: usize = 6;

/// Words in the names of what is secret, in lower case.
const SECRET_WORDS: [&str; 14] = [
    "assertion",
    "auth",
    "code",
    "cookie",
    "credential",
    "hmac",
    "jwt",
    "key",
    "nonce",
    "passw",
    "secret",
    "session",
    "signature",
    "token",
];
/// Ends of names that have such a word and say something about the secret.
const ABOUT: [&str; 13] = [
    "alg",
    "algorithm",
    "at",
    "count",
    "endpoint",
    "expiration",
    "expiry",
    "in",
    "lifetime",
    "ttl",
    "type",
    "uri",
    "url",
];
/// A word of this length that has letters and digits is not a word.
const RANDOM: usize = 10;
/// Nor is a longer one of letters alone.
const LONG: usize = 32;

impl Mocks {
    pub(super) fn new(caution: Replacement, settings: &BTreeMap<String, String>) -> Self {
        let mut public = BTreeSet::new();
        for value in settings.iter().filter(|(name, _)| !is_secret_setting(name)).map(|(_, value)| value) {
            public.extend(value.split([' ', ',']).map(str::to_owned));
            public.insert(value.clone());
        }
        Self { caution, known: BTreeMap::new(), used: BTreeSet::new(), public, returned: Vec::new() }
    }

    /// Has a value stand for a real one.
    pub(super) fn set(&mut self, real: &str, mock: &str) {
        self.known.entry(real.to_owned()).or_insert_with(|| mock.to_owned());
        self.used.insert(mock.to_owned());
    }

    /// Has a made-up value stand for a real one, and returns it.
    pub(super) fn add(&mut self, name: &str, real: &str) -> String {
        if let Some(mock) = self.known.get(real) {
            return mock.clone();
        }
        let mocks = (1..).map(|number| made_up(name, number, real));
        let mock = mocks.take(usize::from(u16::MAX)).find(|mock| !self.used.contains(mock) && mock != real);
        let mock = mock.unwrap_or_default();
        self.set(real, &mock);
        mock
    }

    /// Knows what the component returned: what of an answer is in it is replaced.
    pub(super) fn note_returned(&mut self, bytes: &[u8]) {
        self.returned.extend(std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()).map(str::to_owned));
    }

    /// The same for what is in no answer.
    pub(super) fn learn_returned(&mut self, name: &str, bytes: &[u8]) {
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()) else { return };
        match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => {
                AnswerBody::Json(value).each(&mut |name, text| self.learn(name, text, self.caution));
            }
            // It is no leaf of an answer that may be kept.
            _ => drop(self.add(name, text.trim())),
        }
    }

    /// Knows what is secret in an answer.
    pub(super) fn learn_answer(&mut self, body: &AnswerBody, headers: &[(String, String)]) {
        body.each(&mut |name, text| self.learn(name, text, self.caution));
        for (name, value) in headers {
            self.learn(name, value, Replacement::Likely);
        }
    }

    fn learn(&mut self, name: &str, text: &str, caution: Replacement) {
        let is_secret = is_secret_name(name);
        if text.is_empty() || self.public.contains(text) || is_time(text) {
            return;
        }
        if !is_secret && (text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok()) {
            return;
        }
        let is_about = is_about(name);
        let is_returned = text.len() >= LEAST && self.returned.iter().any(|returned| returned.contains(text));
        let is_plain = is_about && !text.contains('=') && !words(text).any(looks_random);
        if is_secret || (is_returned && !is_plain) || (caution == Replacement::Everything && !is_about) {
            self.add(name, text);
            return;
        }
        let words: Vec<_> = words(text).filter(|word| looks_random(word) && !self.public.contains(*word)).collect();
        for word in words {
            self.add("value", word);
        }
    }

    /// A text with what stands for each real value.
    pub(super) fn replaced(&self, text: &str) -> String {
        if let Some(mock) = self.known.get(text) {
            return mock.clone();
        }
        let mut reals: Vec<_> = self.known.iter().filter(|(real, _)| real.len() >= LEAST).collect();
        // The longest first: one value may be a part of another.
        reals.sort_by_key(|(real, _)| std::cmp::Reverse(real.len()));
        reals.iter().fold(text.to_owned(), |text, (real, mock)| text.replace(real.as_str(), mock))
    }

    /// The real values.
    pub(super) fn reals(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }
}

/// Whether a value of this name is secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word)) && !is_about(&name)
}

/// Whether it says something about a secret: `token_type`, `expires_in`.
fn is_about(name: &str) -> bool {
    let name = name.to_lowercase();
    let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
    ABOUT.contains(&last) || (last.ends_with("type") && last != name) || name.ends_with("tokentype")
}

/// Whether a text is a time of RFC 3339 or of HTTP.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_date = text.len() >= 10
        && bytes.iter().take(10).enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && text.chars().skip(10).all(|c| c.is_ascii_digit() || "TZtz: .+-".contains(c))
        && text.len() <= 40;
    let is_http = text.ends_with(" GMT") && text.get(3..5) == Some(", ") && text.len() == 29;
    is_date || is_http
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"_+=~".contains(c))
}

fn looks_random(word: &str) -> bool {
    let count = |is: fn(&char) -> bool| word.chars().filter(is).count();
    let (letters, digits) = (count(char::is_ascii_alphabetic), count(char::is_ascii_digit));
    let turns = word
        .as_bytes()
        .windows(2)
        .filter(|two| matches!(two, [before, after] if before.is_ascii_lowercase() && after.is_ascii_uppercase()));
    word.len() >= LONG || (word.len() >= RANDOM && ((letters >= 2 && digits >= 2) || turns.count() >= 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BTreeMap<String, String> {
        BTreeMap::from([("scope".to_owned(), "read write".to_owned()), ("password".to_owned(), "hunter2".to_owned())])
    }

    fn replaced(caution: Replacement, returned: &str, body: &str) -> String {
        let mut mocks = Mocks::new(caution, &settings());
        mocks.note_returned(returned.as_bytes());
        mocks.learn_returned("payload", returned.as_bytes());
        let body = AnswerBody::read(body, "");
        mocks.learn_answer(&body, &[]);
        body.replaced(&mocks)
    }

    #[test]
    fn mocks_stand_for_what_is_named_as_a_secret_or_looks_random() {
        let body = r#"{"access_token":"aaaaaaaa","token_type":"Bearer","expires_in":"600","scope":"read","id":"x","more":[{"refresh_token":"aaaaaaaabb","request":"XbCdYf0123456"}]}"#;
        let text = replaced(Replacement::Likely, "", body);
        let expected = r#"{"access_token":"mock-access-token","expires_in":"600","id":"x","more":[{"refresh_token":"mock-refresh-token","request":"mock-value"}],"scope":"read","token_type":"Bearer"}"#;
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap().to_string(), expected);
    }

    #[test]
    fn mocks_stand_for_what_was_returned_whatever_its_name() {
        for (returned, body) in [
            ("alice:swordfish", r#"{"user":"a","pw":"swordfish"}"#),
            (r#"{"pw":"swordfish"}"#, r#"<a><pw>swordfish</pw></a>"#),
            ("swordfish\n", "swordfish"),
            ("swordfish", "user=a&pw=swordfish"),
            ("https://a.example/?t=swordfish", r#"{"url":"https://a.example/?t=swordfish"}"#),
        ] {
            let text = replaced(Replacement::Likely, returned, body);
            assert!(!text.contains("swordfish") && text.contains("mock-"), "{body}: {text}");
        }
    }

    #[test]
    fn mocks_stand_for_everything_but_times_and_settings() {
        let body = r#"{"a":"plain","b":"2026-01-01T00:00:00Z","c":"write","d":17,"e":true,"f":"17"}"#;
        let text = replaced(Replacement::Everything, "", body);
        let expected = r#"{"a":"mock-a","b":"2026-01-01T00:00:00Z","c":"write","d":17,"e":true,"f":"17"}"#;
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap().to_string(), expected);
        assert!(replaced(Replacement::Likely, "", body).contains("plain"));
    }

    #[test]
    fn mocks_of_two_values_differ_and_the_longer_goes_first() {
        let mut mocks = Mocks::new(Replacement::Likely, &settings());
        assert_eq!(mocks.add("token", "aaaaaaaa"), "mock-token");
        assert_eq!(mocks.add("token", "aaaaaaaabb"), "mock-token-2");
        assert_eq!(mocks.add("token", "aaaaaaaa"), "mock-token");
        assert_eq!(mocks.replaced("Bearer aaaaaaaabb, aaaaaaaa"), "Bearer mock-token-2, mock-token");
    }
}

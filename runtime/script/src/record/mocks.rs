//! Which values of an exchange are secret, and what stands for each of them in the script.
//!
//! What is known to be secret is always replaced: the instance's secrets, and whatever of an answer is in the payload or in
//! the handle. So is what has the name of a secret, or looks random. With [`Replacement::Everything`], all other texts of an answer
//! are replaced as well, unless they are times, types, hosts of URLs, or come from the settings. A number is a text here, but stays
//! if it is short, or has the name of a time or a count.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use deputy_core::is_secret_setting;
use serde_json::Value;

use super::body::AnswerBody;
use super::mock_value::made_up;
use super::names::{is_kind_name, is_metadata_name, is_quantity_name, is_secret_name, is_url_name};

/// What of an answer is replaced beside what is known to be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacement {
    Everything,
    /// What has the name of a secret, or looks random.
    Likely,
}

/// Real values, and what stands for each of them.
pub(super) struct Mocks {
    scope: Replacement,
    known: BTreeMap<String, String>,
    /// Those that are replaced within a text. The longest is first: one value may be a part of another.
    longest_first: BTreeMap<(Reverse<usize>, String), String>,
    used: BTreeSet<String>,
    /// The next number of each made-up value.
    numbers: BTreeMap<String, usize>,
    /// The values of settings, and their words.
    public: BTreeSet<String>,
    /// Words of settings and rules.
    public_words: BTreeSet<String>,
    /// What the component returned, and its words.
    returned: Vec<String>,
    returned_words: BTreeSet<String>,
    /// How many texts of answers were looked at.
    texts: usize,
    is_full: bool,
}

/// Shorter values stand in texts by chance: they are replaced where they are the whole value.
pub(super) const MIN_SEARCHED_LEN: usize = 6;
/// Values that are replaced, and texts of answers that are looked at, at most: a server chooses both numbers.
pub(super) const MAX_VALUES: usize = 1000;
pub(super) const MAX_TEXTS: usize = 20_000;

/// A number of fewer digits is a version or a status.
pub(super) const MIN_DIGITS: usize = 4;
/// A number of this length is no time and no count.
const MIN_OPAQUE_DIGITS: usize = 17;
/// A word of this length that has letters and digits is not a word.
const MIN_OPAQUE_LEN: usize = 10;
/// Nor is a longer one of letters alone.
const OPAQUE_WORD_LEN: usize = 32;

impl Mocks {
    pub(super) fn new(scope: Replacement, settings: &BTreeMap<String, String>) -> Self {
        let mut mocks = Self {
            scope,
            known: BTreeMap::new(),
            longest_first: BTreeMap::new(),
            used: BTreeSet::new(),
            numbers: BTreeMap::new(),
            public: BTreeSet::new(),
            public_words: BTreeSet::new(),
            returned: Vec::new(),
            returned_words: BTreeSet::new(),
            texts: 0,
            is_full: false,
        };
        for value in settings.iter().filter(|(name, _)| !is_secret_setting(name)).map(|(_, value)| value) {
            mocks.public.extend(value.split([' ', ',']).map(str::to_owned));
            mocks.public.insert(value.clone());
            mocks.note_public(value);
        }
        mocks
    }

    /// Knows a text that is no secret: its words are not replaced alone.
    pub(super) fn note_public(&mut self, text: &str) {
        self.public_words.extend(words(text).map(str::to_owned));
    }

    /// Whether the answers have more values or texts than are replaced.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Has a value stand for a real one.
    pub(super) fn set(&mut self, real: &str, mock: &str) {
        self.used.insert(mock.to_owned());
        if self.known.contains_key(real) {
            return;
        }
        self.known.insert(real.to_owned(), mock.to_owned());
        if real.len() >= MIN_SEARCHED_LEN {
            self.longest_first.insert((Reverse(real.len()), real.to_owned()), mock.to_owned());
        }
    }

    /// Has a made-up value stand for a real one, and returns it.
    pub(super) fn add(&mut self, name: &str, real: &str) -> String {
        if let Some(mock) = self.known.get(real) {
            return mock.clone();
        }
        let first = made_up(name, 1, real);
        if self.known.len() >= MAX_VALUES {
            self.is_full = true;
            return first;
        }
        let from = self.numbers.get(&first).copied().unwrap_or(1);
        let mut mocks = (from..).take(MAX_VALUES.saturating_add(2)).map(|number| (number, made_up(name, number, real)));
        let (number, mock) = mocks.find(|(_, mock)| !self.used.contains(mock) && mock != real).unwrap_or_default();
        self.numbers.insert(first, number.saturating_add(1));
        self.set(real, &mock);
        mock
    }

    /// Knows what the component returned: what of an answer is in it is replaced.
    pub(super) fn note_returned(&mut self, bytes: &[u8]) {
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()) else { return };
        match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => {
                AnswerBody::Json(value).each(&mut |_, text| self.note_returned_words(text));
            }
            _ => self.note_returned_words(text),
        }
        self.returned.push(text.to_owned());
    }

    fn note_returned_words(&mut self, text: &str) {
        let long = words(text).filter(|word| word.len() >= MIN_SEARCHED_LEN);
        self.returned_words.extend(long.map(str::to_owned));
    }

    /// The same for what is in no answer.
    pub(super) fn learn_returned(&mut self, name: &str, bytes: &[u8]) {
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()) else { return };
        match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => self.learn_body(&AnswerBody::Json(value)),
            // It is no leaf of an answer that may be kept.
            _ => drop(self.add(name, text.trim())),
        }
    }

    /// Knows what is secret in an answer.
    pub(super) fn learn_answer(&mut self, body: &AnswerBody, headers: &[(String, String)]) {
        self.learn_body(body);
        for (name, value) in headers {
            self.learn(name, value, Replacement::Likely);
        }
    }

    fn learn_body(&mut self, body: &AnswerBody) {
        body.each(&mut |name, text| self.learn(name, text, self.scope));
        body.each_name(&mut |name| self.learn_name(name));
    }

    fn learn(&mut self, name: &str, text: &str, scope: Replacement) {
        if !self.has_room() || text.is_empty() || self.public.contains(text) || is_time(text) {
            return;
        }
        let is_secret = is_secret_name(name);
        let is_returned = self.is_returned(text);
        if text.parse::<f64>().is_ok() {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let is_likely = (is_secret || is_returned) && digits >= MIN_DIGITS && !is_quantity_name(name);
            if is_likely || digits >= MIN_OPAQUE_DIGITS {
                self.add(name, text);
            }
            return;
        }
        if text.parse::<bool>().is_ok() && !is_secret {
            return;
        }
        let is_plain = is_metadata_name(name) && !text.contains('=') && !words(text).any(looks_random);
        let is_url = is_url_name(name) && text.contains("://");
        let is_all = scope == Replacement::Everything && !is_kind_name(name) && !is_url;
        if is_secret || (is_returned && !is_plain) || is_all {
            self.add(name, text);
            return;
        }
        if scope == Replacement::Everything && is_url {
            for part in url_parts(text).filter(|part| part.len() >= MIN_SEARCHED_LEN) {
                self.add(name, part);
            }
        }
        for word in words(text) {
            let is_returned = !is_plain && self.returned_words.contains(word) && !self.public_words.contains(word);
            if (looks_random(word) || is_returned) && !self.public.contains(word) {
                self.add("value", word);
            }
        }
    }

    /// A name that looks random is a value.
    fn learn_name(&mut self, name: &str) {
        if !self.has_room() || self.public.contains(name) {
            return;
        }
        for part in opaque_parts(name) {
            self.add("value", part);
        }
    }

    /// A name of a secret's member, without what looks random in it.
    pub(super) fn mock_name(&mut self, name: &str) -> String {
        let mut mock = name.to_owned();
        for part in opaque_parts(name) {
            mock = mock.replace(part, &self.add("value", part));
        }
        mock
    }

    fn is_returned(&self, text: &str) -> bool {
        text.len() >= MIN_SEARCHED_LEN && self.returned.iter().any(|returned| returned.contains(text))
    }

    fn has_room(&mut self) -> bool {
        self.texts = self.texts.saturating_add(1);
        self.is_full |= self.texts > MAX_TEXTS;
        !self.is_full
    }

    /// A text with what stands for each real value.
    pub(super) fn replaced(&self, text: &str) -> String {
        if let Some(mock) = self.known.get(text) {
            return mock.clone();
        }
        let mut replaced = text.to_owned();
        for ((_, real), mock) in &self.longest_first {
            if replaced.contains(real.as_str()) {
                replaced = replaced.replace(real.as_str(), mock);
            }
        }
        replaced
    }

    /// The real values.
    pub(super) fn reals(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }
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

/// What a URL has beside scheme and host: its login, and what follows the host.
fn url_parts(url: &str) -> impl Iterator<Item = &str> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_once(['/', '?', '#']).unwrap_or((rest, ""));
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    [login, path].into_iter()
}

/// Parts of a name that no author of a format chose. Names such as `base64EncodedV2` have few numbers.
fn opaque_parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| is_opaque_part(part))
}

fn is_opaque_part(part: &str) -> bool {
    let numbers = part.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).count();
    match part.len() {
        0..MIN_OPAQUE_LEN => false,
        MIN_OPAQUE_LEN..20 => numbers >= 3,
        20..OPAQUE_WORD_LEN => numbers >= 2,
        _ => numbers >= 1,
    }
}

fn looks_random(word: &str) -> bool {
    let count = |is: fn(&char) -> bool| word.chars().filter(is).count();
    let (letters, digits) = (count(char::is_ascii_alphabetic), count(char::is_ascii_digit));
    let turns = word
        .as_bytes()
        .windows(2)
        .filter(|two| matches!(two, [before, after] if before.is_ascii_lowercase() && after.is_ascii_uppercase()));
    word.len() >= OPAQUE_WORD_LEN
        || (word.len() >= MIN_OPAQUE_LEN && ((letters >= 2 && digits >= 2) || turns.count() >= 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BTreeMap<String, String> {
        BTreeMap::from([("scope".to_owned(), "read write".to_owned()), ("password".to_owned(), "hunter2".to_owned())])
    }

    fn replaced(scope: Replacement, returned: &str, body: &str) -> String {
        let mut mocks = Mocks::new(scope, &settings());
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

    #[test]
    fn mocks_stand_for_secret_and_returned_numbers() {
        let body = r#"{"user":"alice","pin":4930,"number":"4930211234","passcode":493021,"session_timeout":3600,"code":200,"n":12345678901234567890,"id":4930219}"#;
        let text = replaced(Replacement::Likely, r#"{"login":"alice","a":4930211234,"id":4930219}"#, body);
        for real in ["4930", "12345678901234567890"] {
            assert!(!text.contains(real), "{real}: {text}");
        }
        assert!(text.contains("3600") && text.contains("200"), "{text}");
    }

    #[test]
    fn mocks_stand_for_values_in_markup_and_names() {
        for (body, real) in [
            (r#"<creds secret="hunter2"/>"#, "hunter2"),
            (r#"<form><input name="csrf" value="hunter2"></form>"#, "hunter2"),
            ("<r><token><![CDATA[hunter2]]></token></r>", "hunter2"),
            ("<r><token>hunter2<x/></token></r>", "hunter2"),
            ("<r><token>hunt&#101;r2</token></r>", "hunt&#101;r2"),
            (r#"{"ghp_16C7k42R292w6912Z771":{}}"#, "16C7k42R292w6912Z771"),
        ] {
            let text = replaced(Replacement::Likely, "", body);
            assert!(!text.contains(real) && text.contains("mock-"), "{body}: {text}");
        }
        let names = r#"{"base64EncodedV2":"x","authorizationSignedResponseAlgValuesSupported":"x"}"#;
        assert!(replaced(Replacement::Likely, "", names).contains("base64EncodedV2"));
    }

    #[test]
    fn mocks_stand_for_returned_words() {
        let body = r#"{"user":"alice","login":"pw swordfish, 4930211234, read"}"#;
        let text = replaced(Replacement::Likely, "alice:swordfish:4930211234", body);
        assert!(!text.contains("swordfish") && !text.contains("4930211234") && text.contains("read"), "{text}");
    }

    #[test]
    fn mocks_stand_for_paths_of_urls() {
        let body = r#"{"magic_url":"https://a.example/login/hunter2","token_type":"Bearer","created_at":"hunter2"}"#;
        let text = replaced(Replacement::Everything, "", body);
        assert!(!text.contains("hunter2") && text.contains("https://a.example/mock-magic-url"), "{text}");
        assert!(text.contains("Bearer"), "{text}");
        assert_eq!(url_parts("https://u:p@a.example?x=y").collect::<Vec<_>>(), ["u:p", "x=y"]);
    }

    #[test]
    fn mocks_are_bounded_in_values_and_texts() {
        let answer = |count: usize| {
            let values: Vec<_> = (0..count).map(|number| format!("a{number}")).collect();
            AnswerBody::Json(Value::from(values))
        };
        let mut mocks = Mocks::new(Replacement::Everything, &settings());
        mocks.learn_answer(&answer(MAX_VALUES), &[]);
        assert!(!mocks.is_full());
        mocks.learn_answer(&answer(500_000), &[]);
        assert!(mocks.is_full() && mocks.reals().count() == MAX_VALUES);
        let mut mocks = Mocks::new(Replacement::Likely, &settings());
        mocks.learn_answer(&answer(MAX_TEXTS + 1), &[]);
        assert!(mocks.is_full() && mocks.reals().count() == 0);
    }
}

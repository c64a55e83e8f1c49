//! The forms in which a secret's value may turn up in a text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use deputy_core::SecretBytes;
use serde_json::Value;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A shorter value is looked for as it is alone: its encoded forms are too common in innocent texts.
const ENCODED_FROM: usize = 6;
/// So is a longer one: its forms would take forty times its size, and no line of a log shows that much.
const ENCODED_UPTO: usize = 64 << 10;
/// A part of a value (a line of a key, a member of a JSON object) is a secret of its own from this length on.
const PART_FROM: usize = 8;
/// As many parts of a value are looked for, and the forms of as many of their bytes: a component chooses what it returns.
const MAX_PARTS: usize = 1024;
/// Members of a JSON object that are no secrets: identifiers and public keys.
const PUBLIC: [&str; 14] = [
    "AccessKeyId",
    "Expiration",
    "alg",
    "auth_uri",
    "client_email",
    "crv",
    "e",
    "key_ops",
    "kid",
    "kty",
    "n",
    "use",
    "x",
    "y",
];

/// What is looked for, in upper and in lower case: a host's name is written in lower case, whatever it was made of.
/// Everything in it can give a secret away: it is wiped, and has no `Debug`.
pub struct SecretVariants {
    variants: Vec<Variant>,
    /// The forms that begin with a byte in lower case, the longest first.
    by_first: Vec<Vec<usize>>,
    longest: usize,
}

struct Variant {
    bytes: Zeroizing<Vec<u8>>,
    name: Arc<str>,
}

impl SecretVariants {
    /// The forms of values with names.
    pub fn of(values: &[(String, Arc<SecretBytes>)]) -> Self {
        let mut variants = Vec::new();
        for (name, value) in values {
            let name: Arc<str> = name.as_str().into();
            let mut add = |bytes: Vec<u8>| {
                if !bytes.is_empty() {
                    variants.push(Variant { bytes: Zeroizing::new(bytes), name: Arc::clone(&name) });
                }
            };
            let value = value.expose();
            all_variants(value, &mut add);
            let mut encoded = 0;
            for part in parts(value).into_iter().take(MAX_PARTS) {
                encoded += part.len();
                if encoded <= ENCODED_UPTO { all_variants(&part, &mut add) } else { add(part.to_vec()) }
            }
        }
        variants.sort_by(|a, b| b.bytes.len().cmp(&a.bytes.len()).then_with(|| a.bytes.cmp(&b.bytes)));
        variants.dedup_by(|a, b| a.bytes == b.bytes);
        let mut by_first = vec![Vec::new(); 256];
        for (index, variant) in variants.iter().enumerate() {
            if let Some(list) = variant.bytes.first().and_then(|first| by_first.get_mut(index_of(*first))) {
                list.push(index);
            }
        }
        let longest = variants.first().map_or(0, |variant| variant.bytes.len());
        Self { variants, by_first, longest }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.variants.len()
    }

    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    pub(crate) fn blank(&self, raw: &[u8], upto: usize) -> Vec<u8> {
        self.blank_until(raw, upto, |_| false)
    }

    /// Blanks a text that was cut at its end. What may be the beginning of a secret there is left out.
    pub(crate) fn blank_cut(&self, raw: &[u8]) -> Vec<u8> {
        self.blank_until(raw, raw.len(), |rest| self.is_begun_by(rest))
    }

    fn blank_until(&self, raw: &[u8], upto: usize, is_end: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut blanked = Vec::with_capacity(raw.len().min(upto));
        let mut at = 0;
        while at < upto
            && let Some(rest) = raw.get(at..)
            && let Some(first) = rest.first()
            && !is_end(rest)
        {
            match self.at(rest) {
                Some(variant) => {
                    blanked.extend_from_slice(format!("[secret {}]", variant.name).as_bytes());
                    at += variant.bytes.len();
                }
                None => {
                    blanked.push(*first);
                    at += 1;
                }
            }
        }
        blanked
    }

    /// The name of a secret that is anywhere in a text, in any form.
    pub fn find(&self, text: &[u8]) -> Option<&str> {
        let hit = (0..text.len()).find_map(|at| self.at(text.get(at..)?));
        hit.map(|variant| &*variant.name)
    }

    /// How many bytes at a text's end may be the beginning of a secret that what follows completes.
    pub(crate) fn begun(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest);
        let begun = (from..text.len()).find(|at| self.is_begun_by(text.get(*at..).unwrap_or_default()));
        begun.map_or(0, |at| text.len() - at)
    }

    /// Whether this is the beginning of a secret, and not the whole.
    fn is_begun_by(&self, text: &[u8]) -> bool {
        self.candidates(text).any(|variant| variant.bytes.len() > text.len() && begins_with(&variant.bytes, text))
    }

    /// The longest form that a text begins with.
    fn at(&self, text: &[u8]) -> Option<&Variant> {
        self.candidates(text).find(|variant| begins_with(text, &variant.bytes))
    }

    /// The forms that begin with the text's first byte.
    fn candidates(&self, text: &[u8]) -> impl Iterator<Item = &Variant> {
        let indices = text.first().and_then(|first| self.by_first.get(index_of(*first)));
        indices.into_iter().flatten().filter_map(|index| self.variants.get(*index))
    }
}

fn index_of(byte: u8) -> usize {
    usize::from(byte.to_ascii_lowercase())
}

/// Whether it does, in whatever letter case.
fn begins_with(text: &[u8], beginning: &[u8]) -> bool {
    text.get(..beginning.len()).is_some_and(|text| text.eq_ignore_ascii_case(beginning))
}

/// The value as it is, as JSON and debug outputs write it, in hexadecimal, percent-encoded, and in base64 (also inside of
/// a longer text that was encoded as a whole, such as `user:password`).
fn all_variants(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    add(value.to_vec());
    if !(ENCODED_FROM..=ENCODED_UPTO).contains(&value.len()) {
        return;
    }
    if let Ok(text) = std::str::from_utf8(value) {
        add(unquoted(format!("{text:?}")));
        if let Ok(json) = serde_json::to_string(text) {
            add(unquoted(json));
        }
    }
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or(b'?');
        add(value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect());
        for (kept, plus) in [(b"-._~".as_slice(), false), (b"-._*", true), (b"-_.!~*'()", false), (b"-._~/", false)] {
            let mut encoded = Vec::with_capacity(value.len() * 3);
            for &byte in value {
                match byte {
                    b' ' if plus => encoded.push(b'+'),
                    byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => encoded.push(byte),
                    byte => encoded.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
                }
            }
            add(encoded);
        }
    }
    for letters in [alphabet::STANDARD, alphabet::URL_SAFE] {
        let engine = GeneralPurpose::new(&letters, NO_PAD);
        add(engine.encode(value).into_bytes());
        for before in 0..3 {
            let shifted = Zeroizing::new([vec![0; before], value.to_vec()].concat());
            // Only whole letters of the value: the first may hold bits of what is before it, the last of what follows.
            let from = (before * 8).div_ceil(6);
            let to = shifted.len() * 8 / 6;
            add(engine.encode(&*shifted).as_bytes().get(from..to).unwrap_or_default().to_vec());
        }
    }
}

/// A quoted text without its quotation marks.
fn unquoted(text: String) -> Vec<u8> {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().as_bytes().to_vec()
}

/// The lines of a key in PEM, and the texts of a JSON object, however deep: each may be printed alone.
fn parts(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    if value.contains(&b'\n') {
        let secrets = lines.filter(|line| line.len() >= PART_FROM && !line.starts_with(b"-----"));
        parts.extend(secrets.map(|line| Zeroizing::new(line.to_vec())));
    }
    if value.trim_ascii_start().starts_with(b"{")
        && let Ok(object) = serde_json::from_slice(value)
    {
        texts(object, &mut parts);
    }
    parts
}

/// The reader of JSON has bounded how deep this goes.
fn texts(value: Value, parts: &mut Vec<Zeroizing<Vec<u8>>>) {
    match value {
        Value::Array(items) => items.into_iter().for_each(|item| texts(item, parts)),
        Value::Object(members) => {
            let secret = members.into_iter().filter(|(name, _)| !PUBLIC.contains(&name.as_str()));
            secret.for_each(|(_, member)| texts(member, parts));
        }
        Value::String(text) if text.len() >= PART_FROM => parts.push(Zeroizing::new(text.into_bytes())),
        _ => {}
    }
}

//! Payloads of the service `s3`: the JSON of AWS's `credential_process`, version 1.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

/// A set of AWS credentials. Each value is one word of printable ASCII, so that it ends no header, no line of a file and
/// no environment variable. It can't be printed; what it had to copy is wiped.
pub struct AwsCredentials<'p> {
    access_key_id: Text<'p>,
    secret_access_key: Text<'p>,
    session_token: Option<Text<'p>>,
    expiration: Option<Text<'p>>,
}

/// A payload holds no AWS credentials. No part of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    #[error("it is not the JSON of a credential_process: an object with AccessKeyId and SecretAccessKey")]
    Form,
    /// A field that must be there.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A value that could end what it is put into.
    #[error("its {0} is not one word of printable ASCII")]
    Value(&'static str),
    /// Another version of the JSON.
    #[error("it is not version 1 of the JSON of a credential_process")]
    Version,
}

/// A value. With an escape in the JSON it is a copy, which is wiped.
struct Text<'p>(Cow<'p, str>);

/// The JSON as it came.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Process<'p> {
    #[serde(default)]
    version: Member<'p>,
    #[serde(borrow, default)]
    access_key_id: Member<'p>,
    #[serde(borrow, default)]
    secret_access_key: Member<'p>,
    #[serde(borrow, default)]
    session_token: Member<'p>,
    #[serde(borrow, default)]
    expiration: Member<'p>,
}

/// A member of the object, as far as it can be distinguished.
#[derive(Default)]
enum Member<'p> {
    /// Absent or `null`.
    #[default]
    Absent,
    Number(u64),
    Text(Text<'p>),
    Other,
}

impl<'p> AwsCredentials<'p> {
    /// Credentials out of their parts.
    ///
    /// # Errors
    /// If a value is not one word of printable ASCII.
    pub fn new(
        access_key_id: &'p str,
        secret_access_key: &'p str,
        session_token: Option<&'p str>,
        expiration: Option<&'p str>,
    ) -> Result<Self, AwsError> {
        Self {
            access_key_id: Text(access_key_id.into()),
            secret_access_key: Text(secret_access_key.into()),
            session_token: session_token.map(|text| Text(text.into())),
            expiration: expiration.map(|text| Text(text.into())),
        }
        .judged()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// If it is not the JSON of a `credential_process`. One that leaves out its version is taken for version 1.
    pub fn parse(payload: &'p [u8]) -> Result<Self, AwsError> {
        // The parser's own words hold pieces of what it parsed.
        let process: Process<'p> = serde_json::from_slice(payload).map_err(|_| AwsError::Form)?;
        if !matches!(process.version, Member::Absent | Member::Number(1)) {
            return Err(AwsError::Version);
        }
        Self {
            access_key_id: process.access_key_id.required("AccessKeyId")?,
            secret_access_key: process.secret_access_key.required("SecretAccessKey")?,
            session_token: process.session_token.optional("SessionToken")?,
            expiration: process.expiration.optional("Expiration")?,
        }
        .judged()
    }

    fn judged(self) -> Result<Self, AwsError> {
        for (name, value) in self.members() {
            if value.is_some_and(|text| !is_word(text)) {
                return Err(AwsError::Value(name));
            }
        }
        Ok(self)
    }

    /// The members of the JSON, in order.
    fn members(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("AccessKeyId", Some(self.access_key_id())),
            ("SecretAccessKey", Some(self.secret_access_key())),
            ("SessionToken", self.session_token()),
            ("Expiration", self.expiration()),
        ]
    }

    pub fn to_json(&self) -> String {
        let mut json = String::from("{\"Version\":1");
        for (name, value) in self.members().into_iter().filter_map(|(name, value)| Some((name, value?))) {
            // All that a string of JSON has to escape of a word of printable ASCII.
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            json.push_str(&format!(",\"{name}\":\"{escaped}\""));
        }
        json.push('}');
        json
    }

    /// The public half of the key.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id.0
    }

    /// The secret half of the key.
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key.0
    }

    /// The token that makes them temporary, if they are.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|text| &*text.0)
    }

    /// When they end, as the payload says it.
    pub fn expiration(&self) -> Option<&str> {
        self.expiration.as_ref().map(|text| &*text.0)
    }
}

/// When a lease ends, as AWS's libraries read it. `valid_until` is RFC 3339 in UTC, or `never`.
///
/// Not every library parses a fraction of a second, so it is left out. Credentials that do not expire end with the year 9999:
/// clients take a missing expiration for an error.
pub fn aws_expiration(valid_until: &str) -> String {
    const LAST: &str = "9999-12-31T23:59:59Z";
    match valid_until.split(['.', 'Z']).next() {
        Some(seconds) if seconds.len() == "2015-08-30T12:36:00".len() => format!("{seconds}Z"),
        _ => LAST.to_owned(),
    }
}

/// Whether a text is one word for every program that reads such values: some take a `#` after a space for a comment, some
/// take away spaces at the ends, and no header holds a letter beyond ASCII.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl<'p> Member<'p> {
    fn optional(self, name: &'static str) -> Result<Option<Text<'p>>, AwsError> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Number(_) | Self::Other => Err(AwsError::Value(name)),
        }
    }

    fn required(self, name: &'static str) -> Result<Text<'p>, AwsError> {
        self.optional(name)?.ok_or(AwsError::Missing(name))
    }
}

impl<'de: 'p, 'p> Deserialize<'de> for Member<'p> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member of a credential_process's JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Member<'de>, E> {
        Ok(Member::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Member<'de>, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Member<'de>, E> {
        Ok(Member::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Member<'de>, E> {
        Ok(Member::Other)
    }

    fn visit_unit<E>(self) -> Result<Member<'de>, E> {
        Ok(Member::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Member<'de>, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(copy) = &mut self.0 {
            copy.zeroize();
        }
    }
}

impl fmt::Debug for AwsCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[credentials]")
    }
}

#[cfg(test)]
mod tests;

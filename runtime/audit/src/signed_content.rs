//! What was to be signed with a secret, beside what the grant was checked for.

use serde::{Serialize, Serializer};

/// What a signature covers, as far as it is known and short enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignedContent {
    /// The time of a SigV4 signature, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_time: Option<String>,
    /// Members of a JSON Web Token's header.
    #[serde(skip_serializing_if = "NamedTexts::is_empty")]
    pub header: NamedTexts,
    /// Claims of a JSON Web Token, beside issuer and audiences.
    #[serde(skip_serializing_if = "NamedTexts::is_empty")]
    pub claims: NamedTexts,
}

/// Texts by name, each name once, in the order of their importance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedTexts(Vec<(String, String)>);

/// Stands for the number of texts that were left out.
const LEFT_OUT: &str = "…";

impl SignedContent {
    /// Leaves out texts, the last ones first, until header and claims have at most `max` bytes each; says how many.
    pub fn shorten(&mut self, max: usize) {
        self.header.shorten(max);
        self.claims.shorten(max);
    }
}

impl NamedTexts {
    /// Adds a text, unless its name is there already.
    pub fn push(&mut self, name: String, text: String) {
        if !self.0.iter().any(|(other, _)| *other == name) {
            self.0.push((name, text));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names with their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    fn shorten(&mut self, max: usize) {
        let mut bytes = 0;
        let fits = |(name, text): &&(String, String)| {
            bytes += name.len() + text.len();
            bytes <= max
        };
        let kept = self.0.iter().take_while(fits).count();
        let left_out = self.0.len() - kept;
        if left_out > 0 {
            self.0.truncate(kept);
            self.0.push((LEFT_OUT.to_owned(), format!("{left_out} more")));
        }
    }
}

impl Serialize for NamedTexts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[(&str, &str)]) -> NamedTexts {
        let mut named = NamedTexts::default();
        texts.iter().for_each(|(name, text)| named.push((*name).to_owned(), (*text).to_owned()));
        named
    }

    #[test]
    fn signed_content_is_json_of_what_there_is() {
        let time = Some("2026-01-01T00:00:00.000Z".to_owned());
        let content = SignedContent { signed_time: time, ..SignedContent::default() };
        assert_eq!(serde_json::to_string(&content).unwrap(), r#"{"signed-time":"2026-01-01T00:00:00.000Z"}"#);
        let claims = texts(&[("sub", "a\""), ("exp", "1"), ("sub", "other")]);
        let content = SignedContent { claims, header: texts(&[("alg", "RS256")]), signed_time: None };
        let shown = r#"{"header":{"alg":"RS256"},"claims":{"sub":"a\"","exp":"1"}}"#;
        assert_eq!(serde_json::to_string(&content).unwrap(), shown);
    }

    #[test]
    fn signed_content_is_shortened_from_its_end() {
        let long = "x".repeat(100);
        let claims = texts(&[("sub", "alice"), ("exp", "1"), ("a", &long), ("b", "short")]);
        let mut content = SignedContent { claims, ..SignedContent::default() };
        content.shorten(1_000);
        assert_eq!(content.claims.iter().count(), 4);
        content.shorten(100);
        assert_eq!(content.claims, texts(&[("sub", "alice"), ("exp", "1"), ("…", "2 more")]));
        content.shorten(0);
        assert_eq!(content.claims.iter().count(), 1);
    }
}

//! `jwt` of a secret: which JSON Web Tokens may be signed with it.

use std::collections::BTreeMap;
use std::str::FromStr;

use deputy_core::Span;
use deputy_core::grant::{ClaimGrant, ClaimName, JwtGrant, SignatureAlgorithm};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, TableReader};

/// The value of a claim.
#[derive(Debug, PartialEq)]
struct ClaimText(String);

pub(crate) fn read(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<JwtGrant> {
    let like = "{ algorithms = [\"RS256\"], issuers = [\"…\"], audiences = [\"…\"], max-lifetime = \"10m\" }";
    let mut fields = value.table(sink, like)?;
    let algorithms = algorithms(sink, &mut fields);
    let issuers = fields.required(sink, "issuers", "[\"…\"]").and_then(|value| texts(sink, value));
    let audiences = optional_texts(sink, &mut fields, "audiences");
    let subjects = optional_texts(sink, &mut fields, "subjects");
    let claims = fields.optional("claims").map_or_else(|| Some(BTreeMap::new()), |value| claims(sink, value));
    let lifetime = fields.required(sink, "max-lifetime", "\"10m\"").and_then(|value| lifetime(sink, value));
    fields.finish(sink);
    match JwtGrant::new(algorithms?, issuers?, audiences?, lifetime?) {
        Ok(grant) => Some(grant.with_subjects(subjects?).with_claims(claims?)),
        Err(error) => value.invalid(sink, &error),
    }
}

/// The further claims: which values each may have.
fn claims(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<BTreeMap<ClaimName, ClaimGrant>> {
    let like = "{ scope = [\"read\"] }";
    let mut claims = value.is_table().then(BTreeMap::new);
    for (key, value) in value.entries(sink, like) {
        let name = key.parsed::<ClaimName>(sink);
        let grant = claim(sink, value);
        claims = claims.zip(name.zip(grant)).map(|(mut claims, (name, grant))| {
            claims.extend(grant.map(|grant| (name, grant)));
            claims
        });
    }
    claims
}

/// `true` for any value; `false` grants nothing.
fn claim(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Option<ClaimGrant>> {
    if value.is_flag() {
        return value.flag(sink).map(|granted| granted.then_some(ClaimGrant::Any));
    }
    texts(sink, value).map(|texts| Some(ClaimGrant::OneOf(texts.into_iter().collect())))
}

/// Times in tokens are whole seconds.
fn lifetime(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Span> {
    let span: Span = value.parsed(sink, "\"10m\"")?;
    let least = Span::secs(1);
    let most = Span::secs(366 * 86_400);
    if span < least || span > most || !span.as_millis().is_multiple_of(1000) {
        sink.error(value.at(), format!("{span} is not a valid token lifetime"))
            .expected(format!("whole seconds, from {least} to {most}"));
        return None;
    }
    Some(span)
}

/// A list that may be missing, but not empty: an empty one says nothing that its absence does not say.
fn optional_texts(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>, key: &'static str) -> Option<Vec<String>> {
    fields.optional(key).map_or_else(|| Some(Vec::new()), |value| texts(sink, value))
}

fn texts(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Vec<String>> {
    let texts: Vec<ClaimText> = value.parsed_list(sink, "[\"…\"]")?;
    Some(texts.into_iter().map(|ClaimText(text)| text).collect())
}

impl FromStr for ClaimText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err("not the value of a claim: write it exactly as in the token");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Reads the algorithms of a grant.
pub(crate) fn algorithms(sink: &mut DiagnosticSink, fields: &mut TableReader<'_>) -> Option<Vec<SignatureAlgorithm>> {
    fields.required(sink, "algorithms", "[\"ES256\"]")?.parsed_list(sink, "[\"ES256\"]")
}

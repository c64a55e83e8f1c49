//! What a JSON value has to be.
//!
//! An object needs the members that are named, and may have others; everything else is compared whole. A table with one key
//! that begins with a dollar sign says something about the value: `{ "$regex" = "^a" }`, `{ "$any" = true }`,
//! `{ "$absent" = true }`, `{ "$null" = true }`.

use serde_json::Value;

use super::pattern::Pattern;
use crate::mismatch::Mismatch;

/// Values of a JSON tree that are compared.
pub(crate) const MAX_JSON_DEPTH: usize = 64;

/// Compares a JSON value with what is expected of it.
pub(crate) fn match_json(place: &str, expected: &Value, found: &Value) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    compare(place, expected, Some(found), &mut mismatches, MAX_JSON_DEPTH);
    mismatches
}

fn compare(place: &str, expected: &Value, found: Option<&Value>, mismatches: &mut Vec<Mismatch>, depth: usize) {
    if let Some((rule, value)) = rule(expected) {
        if !follows(rule, value, found) {
            let found = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            mismatches.push(Mismatch::new(place, format!("{rule} {value}"), found));
        }
        return;
    }
    match (expected, found, depth.checked_sub(1)) {
        (Value::Object(expected), Some(Value::Object(found)), Some(depth)) => {
            for (name, value) in expected {
                compare(&format!("{place}.{name}"), value, found.get(name), mismatches, depth);
            }
        }
        (Value::Array(expected), Some(Value::Array(found)), Some(depth)) if expected.len() == found.len() => {
            for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{place}[{at}]"), expected, Some(found), mismatches, depth);
            }
        }
        (expected, Some(found), _) if expected == found => {}
        (expected, found, _) => {
            let found = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            mismatches.push(Mismatch::new(place, expected, found));
        }
    }
}

fn rule(expected: &Value) -> Option<(&str, &Value)> {
    let object = expected.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().filter(|(name, _)| name.starts_with('$')).map(|(name, value)| (name.as_str(), value))
}

/// A rule that is not known is never followed, so that a misspelt one shows.
fn follows(rule: &str, value: &Value, found: Option<&Value>) -> bool {
    match (rule, found) {
        ("$absent", found) => found.is_none(),
        ("$any", found) => found.is_some(),
        ("$null", found) => found == Some(&Value::Null),
        ("$regex", Some(Value::String(text))) => {
            let pattern = value.as_str().and_then(|source| Pattern::new(source.to_owned()).ok());
            pattern.is_some_and(|pattern| pattern.is_match(text))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_match_needs_the_named_members_only() {
        let found = json!({ "a": 1, "b": [{ "c": "x", "d": null }], "e": true });
        assert_eq!(match_json("$", &json!({ "b": [{ "c": "x" }] }), &found), []);
        assert_eq!(match_json("$", &json!({ "b": [{ "c": { "$regex": "^x$" } }] }), &found), []);
        assert_eq!(
            match_json("$", &json!({ "z": { "$absent": true }, "b": [{ "d": { "$null": true } }] }), &found),
            []
        );
    }

    #[test]
    fn json_mismatch_names_the_path() {
        let found = json!({ "b": [{ "c": "x" }] });
        let wrong = match_json("payload", &json!({ "b": [{ "c": "y" }], "z": 1 }), &found);
        let places: Vec<_> = wrong.iter().map(|wrong| (wrong.place.as_str(), wrong.found.as_str())).collect();
        assert_eq!(places, [("payload.b[0].c", "\"x\""), ("payload.z", "nothing")]);
        assert_eq!(match_json("$", &json!({ "b": [] }), &found).len(), 1, "arrays are compared whole");
        assert_eq!(match_json("$", &json!({ "b": { "$rgeex": "" } }), &found).len(), 1, "a misspelt rule");
    }
}

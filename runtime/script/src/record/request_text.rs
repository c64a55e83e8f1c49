//! What a recorded script expects of a request.
//!
//! What is expected is the value that was sent with made-up secrets and answers, if it is the same with the real ones:
//! otherwise it depends on a secret, and any value that begins alike will do. So no real value gets into the script.

use std::collections::BTreeMap;

use deputy_core::toml_string;
use deputy_sandbox::TapedExchange;
use serde_json::Value;

use super::toml_text::{ANY_JSON, expected_json, table};

/// Headers that the host sets, or that say nothing about the component.
const IGNORED_REQUEST_HEADERS: [&str; 9] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "user-agent",
    "date",
];

/// The lines of a request, below its method and URL. `real` is the same request of the real call.
pub(super) fn lines(sent: &TapedExchange, real: &TapedExchange) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let found = query(sent);
    if !found.is_empty() {
        lines.push(("query".to_owned(), fields(&found, &query(real), &[])));
    }
    let found = headers(sent);
    let mut kept = found.clone();
    kept.retain(|name, _| !sent.injected.contains(name));
    if !kept.is_empty() {
        lines.push(("headers".to_owned(), fields(&kept, &headers(real), &[])));
    }
    lines.extend(body(sent, real, found.get("content-type").map_or("", String::as_str)));
    lines
}

fn query(exchange: &TapedExchange) -> BTreeMap<String, String> {
    form_fields(exchange.target.split_once('?').map_or("", |(_, query)| query).as_bytes())
}

fn headers(exchange: &TapedExchange) -> BTreeMap<String, String> {
    let kept = exchange.headers.iter().filter(|(name, _)| !IGNORED_REQUEST_HEADERS.contains(&name.as_str()));
    kept.cloned().collect()
}

fn json(exchange: &TapedExchange) -> serde_json::Result<Value> {
    serde_json::from_slice(&exchange.body)
}

fn body(sent: &TapedExchange, real: &TapedExchange, content_type: &str) -> Option<(String, String)> {
    if sent.body.is_empty() {
        return None;
    }
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let fields = fields(&form_fields(&sent.body), &form_fields(&real.body), &sent.injected);
        return Some(("form".to_owned(), fields));
    }
    if let (Ok(found), Ok(real)) = (json(sent), json(real)) {
        return Some(("json".to_owned(), same_json(&found, Some(&real))));
    }
    let text = std::str::from_utf8(&sent.body).ok()?;
    let is_same = sent.body == real.body;
    Some((
        "body".to_owned(),
        if is_same { toml_string(text) } else { pattern(text, &String::from_utf8_lossy(&real.body)) },
    ))
}

/// The first value of each name.
fn form_fields(form: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(form) {
        fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    fields
}

fn fields(sent: &BTreeMap<String, String>, real: &BTreeMap<String, String>, left_out: &[String]) -> String {
    let kept = sent.iter().filter(|(name, _)| !left_out.contains(name) && real.contains_key(*name));
    table(kept.map(|(name, value)| {
        let real = real.get(name).map_or("", String::as_str);
        (name.clone(), if value == real { toml_string(value) } else { pattern(value, real) })
    }))
}

/// What a value that depends on a secret begins with, in both calls, up to the end of a word.
fn pattern(sent: &str, real: &str) -> String {
    let alike = sent.chars().zip(real.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a);
    let alike: String = alike.collect();
    let end = alike.rfind(|c: char| !c.is_alphanumeric()).and_then(|at| alike.get(..at)).map_or(0, |start| {
        start
            .len()
            .saturating_add(alike.get(start.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8))
    });
    let regex = match alike.get(..end).filter(|start| !start.is_empty()) {
        Some(start) => format!("^{}", regex::escape(start)),
        None => ".".to_owned(),
    };
    format!("{{ regex = {} }}", toml_string(&regex))
}

/// A value as it is in both calls.
fn same_json(sent: &Value, real: Option<&Value>) -> String {
    match (sent, real) {
        // It would be read as a rule.
        (Value::Object(sent), _) if sent.len() == 1 && sent.keys().all(|name| name.starts_with('$')) => {
            ANY_JSON.to_owned()
        }
        (Value::Object(sent), Some(Value::Object(real))) => {
            table(sent.iter().map(|(name, value)| (name.clone(), same_json(value, real.get(name)))))
        }
        (sent, Some(real)) if sent == real => expected_json(sent),
        _ => ANY_JSON.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(target: &str, headers: &[(&str, &str)], body: &str) -> TapedExchange {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TapedExchange {
            target: target.to_owned(),
            headers: headers.collect(),
            body: body.as_bytes().to_vec().into(),
            ..TapedExchange::default()
        }
    }

    #[test]
    fn record_expects_what_does_not_depend_on_a_secret() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let sent =
            exchange("/a?b=c&d=mock", &[("authorization", "AWS4 Credential=MOCK/1, Signature=0"), form], "e=f&g=mock");
        let real =
            exchange("/a?b=c&d=real", &[("authorization", "AWS4 Credential=AKIA/1, Signature=f"), form], "e=f&g=real");
        let lines = lines(&sent, &real);
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            lines,
            [
                ("query", r#"{ b = "c", d = { regex = "." } }"#),
                (
                    "headers",
                    r#"{ authorization = { regex = "^AWS4 Credential=" }, content-type = "application/x-www-form-urlencoded" }"#
                ),
                ("form", r#"{ e = "f", g = { regex = "." } }"#),
            ]
        );
    }

    #[test]
    fn record_leaves_out_what_the_host_adds() {
        let mut sent = exchange("/", &[("authorization", "x"), ("host", "a"), ("accept", "b")], "");
        sent.injected = vec!["authorization".to_owned()];
        assert_eq!(lines(&sent, &sent), [("headers".to_owned(), "{ accept = \"b\" }".to_owned())]);
    }

    #[test]
    fn record_expects_the_same_parts_of_a_json_body() {
        let sent = exchange("/", &[], r#"{"a":1,"b":{"c":"mock","d":null},"e":[1]}"#);
        let real = exchange("/", &[], r#"{"a":1,"b":{"c":"real","d":null},"e":[2]}"#);
        let expected = r#"{ a = 1, b = { c = { "$any" = true }, d = { "$null" = true } }, e = { "$any" = true } }"#;
        assert_eq!(lines(&sent, &real), [("json".to_owned(), expected.to_owned())]);
        let (sent, real) = (exchange("/", &[], "<a>mock</a>"), exchange("/", &[], "<a>real</a>"));
        assert_eq!(lines(&sent, &real), [("body".to_owned(), "{ regex = \"^<a>\" }".to_owned())]);
    }
}

//! `link.proto` and the messages here are the same. Both are read as text: what a derive made of them could not be asked.

use std::collections::BTreeMap;

const PROTO: &str = include_str!("../link.proto");
const RUST: &str = include_str!("message.rs");

/// A field: what comes before its type (`repeated`, `optional`, or the oneof that it is one of), its type, its name.
type Field = (String, String, String);

/// By message, and by the number on the wire.
type Messages = BTreeMap<String, BTreeMap<u32, Field>>;

fn put(messages: &mut Messages, message: &str, number: u32, field: Field) {
    let before = messages.entry(message.to_owned()).or_default().insert(number, field);
    assert!(before.is_none(), "{message} has the number {number} twice");
}

/// `repeated string instances = 1;` or `map<string, string> settings = 3;`
fn field_of_proto(line: &str, oneof: &str) -> (u32, Field) {
    let (declared, number) = line.strip_suffix(';').unwrap().rsplit_once(" = ").unwrap();
    let (kind, name) = declared.rsplit_once(' ').unwrap();
    let (label, kind) = match kind.split_once(' ') {
        Some((label @ ("optional" | "repeated"), kind)) => (label, kind),
        _ => (oneof, kind),
    };
    (number.parse().unwrap(), (label.to_owned(), kind.to_owned(), name.to_owned()))
}

fn of_proto(text: &str) -> Messages {
    let mut messages = Messages::new();
    let (mut message, mut oneof) = (String::new(), String::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        if let Some(name) = line.strip_prefix("message ") {
            assert_eq!(message, "", "no message is inside of another");
            name.trim_end_matches([' ', '{', '}']).clone_into(&mut message);
            messages.entry(message.clone()).or_default();
            if line.ends_with('}') {
                message.clear();
            }
        } else if let Some(name) = line.strip_prefix("oneof ") {
            name.trim_end_matches(" {").clone_into(&mut oneof);
        } else if line == "}" {
            let inner = if oneof.is_empty() { &mut message } else { &mut oneof };
            inner.clear();
        } else if !message.is_empty() {
            let (number, field) = field_of_proto(line, &oneof);
            put(&mut messages, &message, number, field);
        } else {
            assert!(line.starts_with("syntax = \"proto3\"") || line.starts_with("package "), "{line}");
        }
    }
    messages
}

/// What stands between `#[prost(` and `)]`: a kind, perhaps `optional` or `repeated`, and the number.
fn field_of_rust(attribute: &str, declared: &str) -> (u32, Field) {
    let (kind, tag) = attribute.split_once("tag = ").unwrap();
    let kind = kind.trim_end_matches([' ', ',']).trim_end_matches(", boxed");
    let (name, of_rust) = declared.trim_start_matches("pub ").trim_end_matches(',').split_once(": ").unwrap();
    let (kind, label) = match kind.rsplit_once(", ") {
        Some((kind, label @ ("optional" | "repeated"))) => (kind, label),
        _ => (kind, ""),
    };
    // A message is optional without a word.
    let label = if (kind, label) == ("message", "optional") { "" } else { label };
    let kind = match kind {
        "bytes = \"vec\"" => "bytes",
        "btree_map = \"string, string\"" => "map<string, string>",
        // Between the innermost brackets: `Option<Known>`.
        "message" => of_rust.rsplit('<').next().unwrap().trim_end_matches('>'),
        scalar => scalar,
    };
    (tag.trim_matches('"').parse().unwrap(), (label.to_owned(), kind.to_owned(), name.to_owned()))
}

fn snake_case(name: &str) -> String {
    let letters = name.char_indices().flat_map(|(at, letter)| {
        let bar = (at > 0 && letter.is_ascii_uppercase()).then_some('_');
        bar.into_iter().chain([letter.to_ascii_lowercase()])
    });
    letters.collect()
}

fn of_rust(text: &str) -> Messages {
    let mut messages = Messages::new();
    // Who has the cases of an enum: its message, and the name that they have there.
    let mut oneofs = BTreeMap::new();
    let (mut inside, mut attribute) = (String::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[prost(").and_then(|rest| rest.strip_suffix(")]")) {
            attribute = (rest != "skip_debug").then_some(rest);
        } else if let Some(name) = line.strip_prefix("pub struct ") {
            name.trim_end_matches([' ', '{', '}']).clone_into(&mut inside);
            messages.entry(inside.clone()).or_default();
        } else if let Some(name) = line.strip_prefix("pub enum ") {
            name.trim_end_matches(" {").clone_into(&mut inside);
        } else if let Some(attribute) = attribute.filter(|_| !line.starts_with("//")) {
            if let Some(cases) = attribute.strip_prefix("oneof = ") {
                let name = line.strip_prefix("pub ").unwrap().split_once(':').unwrap().0;
                let cases = cases.trim_matches('"').split_once('"').unwrap().0;
                oneofs.insert(cases.to_owned(), (inside.clone(), name.to_owned()));
            } else if let Some((message, oneof)) = oneofs.get(&inside) {
                let (name, kind) = line.trim_end_matches("),").split_once('(').unwrap();
                let (number, _) = field_of_rust(attribute, &format!("{name}: {kind}"));
                put(&mut messages, message, number, (oneof.clone(), kind.to_owned(), snake_case(name)));
            } else {
                let (number, field) = field_of_rust(attribute, line);
                put(&mut messages, &inside, number, field);
            }
        }
        if !line.starts_with("//") && !line.starts_with("#[prost(") {
            attribute = None;
        }
    }
    messages
}

#[test]
fn the_file_for_other_languages_says_what_is_spoken() {
    let (proto, rust) = (of_proto(PROTO), of_rust(RUST));
    for (name, fields) in &rust {
        assert_eq!(proto.get(name), Some(fields), "{name}");
    }
    assert_eq!(proto.keys().collect::<Vec<_>>(), rust.keys().collect::<Vec<_>>());
    let fields: usize = rust.values().map(BTreeMap::len).sum();
    assert!(rust.len() >= 20 && fields >= 85, "{} messages with {fields} fields", rust.len());
}

#[test]
fn a_difference_would_be_seen() {
    let rust = of_rust(RUST);
    for (old, new) in [
        ("bytes payload = 6;", "bytes payload = 7;"),
        ("bytes payload = 6;", "string payload = 6;"),
        ("bytes payload = 6;", "repeated bytes payload = 6;"),
        ("Ping pong = 10;", "Ping ping = 10;"),
        ("Known what = 1;", "Fetch what = 1;"),
        ("  map<string, string> settings = 3;\n", ""),
        ("optional uint64 wall_ms = 24;", "uint64 wall_ms = 24;"),
        ("message Goodbye {", "message Adieu {"),
        ("oneof reply {", "oneof answer {"),
    ] {
        assert!(PROTO.contains(old), "{old}");
        assert_ne!(of_proto(&PROTO.replace(old, new)), rust, "{new}");
    }
}

//! The texts of XML and HTML, wherever they stand: between tags, in attributes, in CDATA sections and in comments.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MarkupText<'t> {
    /// The element or attribute, or what an input of a form is called.
    pub(super) name: &'t str,
    /// As it is written, without space around it.
    pub(super) raw: &'t str,
    /// Where that is.
    pub(super) range: Range<usize>,
    /// Whether characters are written as entities.
    pub(super) is_escaped: bool,
}

static TOKEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = concat!(
        r"(?s)<!\[CDATA\[(?<cdata>.*?)\]\]>",
        r"|<!--(?<comment>.*?)-->",
        r"|<[?!][^<>]*>",
        r"|</(?<close>[A-Za-z_][\w:.-]*)\s*>",
        r#"|<(?<open>[A-Za-z_][\w:.-]*)(?<attributes>(?:"[^"]*"|'[^']*'|[^<>"'])*)>"#,
        r"|(?<text>[^<]+)|<",
    );
    Regex::new(pattern).ok()
});
static ATTRIBUTE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern =
        r#"(?<name>[A-Za-z_:@][\w:.@-]*)\s*=\s*(?:"(?<double>[^"]*)"|'(?<single>[^']*)'|(?<bare>[^\s"'=<>`]+))"#;
    Regex::new(pattern).ok()
});

/// Open elements that are known: those of HTML need no end.
const MAX_DEPTH: usize = 64;

/// The texts of a document, in its order.
pub(super) fn texts(document: &str) -> Vec<MarkupText<'_>> {
    let mut texts = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for token in TOKEN.iter().flat_map(|regex| regex.captures_iter(document)) {
        let element = open.last().copied().unwrap_or_default();
        if let Some(name) = named(&token, "open") {
            let attributes = token.name("attributes").map_or(0..0, |found| found.range());
            texts.extend(attribute_texts(document, attributes.clone()));
            let is_closed = document.get(attributes).is_some_and(|attributes| attributes.ends_with('/'));
            if !is_closed && open.len() < MAX_DEPTH {
                open.push(name);
            }
        } else if let Some(name) = named(&token, "close") {
            if let Some(at) = open.iter().rposition(|open| *open == name) {
                open.truncate(at);
            }
        } else {
            for (group, is_escaped) in [("cdata", false), ("comment", false), ("text", true)] {
                let range = token.name(group).map_or(0..0, |found| found.range());
                texts.extend(text(document, element, range, is_escaped));
            }
        }
    }
    texts
}

fn named<'t>(token: &Captures<'t>, group: &str) -> Option<&'t str> {
    token.name(group).map(|found| found.as_str())
}

fn text<'t>(document: &'t str, name: &'t str, range: Range<usize>, is_escaped: bool) -> Option<MarkupText<'t>> {
    let written = document.get(range.clone())?;
    let raw = written.trim();
    if raw.is_empty() {
        return None;
    }
    let start = range.start.saturating_add(written.len().saturating_sub(written.trim_start().len()));
    Some(MarkupText { name, raw, range: start..start.saturating_add(raw.len()), is_escaped })
}

/// The values of an element's attributes. Namespaces are no texts.
fn attribute_texts(document: &str, attributes: Range<usize>) -> Vec<MarkupText<'_>> {
    let written = document.get(attributes.clone()).unwrap_or_default();
    let mut texts = Vec::new();
    for found in ATTRIBUTE.iter().flat_map(|regex| regex.captures_iter(written)) {
        let name = named(&found, "name").unwrap_or_default();
        let value = found.name("double").or(found.name("single")).or(found.name("bare"));
        let Some(value) = value.filter(|_| !name.starts_with("xmlns")) else { continue };
        let range = value.start().saturating_add(attributes.start)..value.end().saturating_add(attributes.start);
        texts.extend(text(document, name, range, true));
    }
    let own_name = texts.iter().find(|text| text.name.eq_ignore_ascii_case("name")).map(|text| text.raw);
    if let Some(own_name) = own_name {
        for text in texts.iter_mut().filter(|text| ["value", "content"].contains(&text.name)) {
            text.name = own_name;
        }
    }
    texts
}

/// A text with the characters that its entities stand for. An entity that is not known stays.
pub(super) fn unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(';').and_then(|(entity, rest)| Some((character(entity)?, rest))) {
            Some((character, rest)) => {
                plain.push(character);
                plain.push_str(rest);
            }
            None => {
                plain.push('&');
                plain.push_str(part);
            }
        }
    }
    plain
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "apos" => Some('\''),
        "gt" => Some('>'),
        "lt" => Some('<'),
        "quot" => Some('"'),
        _ => {
            let number = entity.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)
        }
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_finds_each_text_of_markup() {
        let document = "<?xml version=\"1.0\"?><r xmlns=\"u\">a<b c=\"d\" e='f'/> g <h><![CDATA[i<j]]></h>k</r><!-- l --><input name=\"csrf\" value=m><";
        let found = texts(document);
        let pairs: Vec<_> = found.iter().map(|text| (text.name, text.raw)).collect();
        assert_eq!(
            pairs,
            [
                ("r", "a"),
                ("c", "d"),
                ("e", "f"),
                ("r", "g"),
                ("h", "i<j"),
                ("r", "k"),
                ("", "l"),
                ("name", "csrf"),
                ("csrf", "m")
            ]
        );
        for text in &found {
            assert_eq!(document.get(text.range.clone()), Some(text.raw));
        }
    }

    #[test]
    fn record_reads_the_entities_of_markup() {
        assert_eq!(unescape("a&amp;b&#60;&#x3e;&quot;&apos;&none;&"), "a&b<>\"'&none;&");
        assert_eq!(unescape(&escape("a&b<c>\"'")), "a&b<c>\"'");
    }
}

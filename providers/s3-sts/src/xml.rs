//! The texts of an XML response.
//!
//! The responses of STS are flat and small, so one pass collects every text with the path of its element. Two things that
//! STS does not send are rejected: a document type, which can only define entities, and deep nesting, whose paths would
//! fill the memory.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// The texts of an error are at a depth of 3, those of credentials at 4.
const MAX_DEPTH: usize = 16;

/// The non-empty texts of a document, each with the path of its element.
pub(crate) struct Leaves(Vec<(String, String)>);

/// Not well-formed, not UTF-8, or not a response of STS. Gives no details, which would quote the response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Leaves {
    pub(crate) fn read(document: &[u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(document).map_err(|_| Malformed)?;
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut leaves = Vec::new();
        let mut path = Vec::new();
        let mut current = String::new();
        let mut closed = false;
        loop {
            match reader.read_event().map_err(|_| Malformed)? {
                Event::Start(start) => {
                    path.push(utf8(start.local_name().as_ref())?.to_owned());
                    if path.len() > MAX_DEPTH {
                        return Err(Malformed);
                    }
                    current.clear();
                }
                Event::End(_) => {
                    let text = current.trim();
                    if !text.is_empty() {
                        leaves.push((path.join("/"), text.to_owned()));
                    }
                    current.clear();
                    path.pop();
                    closed = true;
                }
                Event::Text(text) => current.push_str(utf8(&text)?),
                Event::CData(text) => current.push_str(utf8(&text)?),
                Event::GeneralRef(entity) => match entity.resolve_char_ref().map_err(|_| Malformed)? {
                    Some(letter) => current.push(letter),
                    None => current.push_str(resolve_predefined_entity(utf8(&entity)?).ok_or(Malformed)?),
                },
                Event::DocType(_) => return Err(Malformed),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if path.is_empty() && closed => return Ok(Self(leaves)),
                Event::Eof => return Err(Malformed),
            }
        }
    }

    /// The trimmed text of the first element whose path ends with `path`, such as `Error/Code`.
    pub(crate) fn find(&self, path: &str) -> Option<&str> {
        let mut leaves = self.0.iter();
        let (_, text) = leaves
            .find(|(leaf, _)| leaf.strip_suffix(path).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))?;
        Some(text)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(document: &str, path: &str) -> Option<String> {
        Leaves::read(document.as_bytes()).unwrap().find(path).map(str::to_owned)
    }

    #[test]
    fn xml_text_is_found_by_the_end_of_its_path() {
        let document = "<?xml version='1.0'?><a:R xmlns:a='u'><Error><Code> X </Code></Error><NoCode>Y</NoCode></a:R>";
        assert_eq!(find(document, "Error/Code").as_deref(), Some("X"));
        assert_eq!(find(document, "R/Error/Code").as_deref(), Some("X"));
        assert_eq!(find(document, "Code").as_deref(), Some("X"));
        assert_eq!(find(document, "Message"), None);
    }

    #[test]
    fn xml_entities_and_cdata_are_text() {
        assert_eq!(find("<a>1 &lt; 2 &amp;&#x41;&#66;<![CDATA[<&>]]></a>", "a").as_deref(), Some("1 < 2 &AB<&>"));
    }

    #[test]
    fn xml_that_is_malformed_is_rejected_without_panic() {
        for document in [
            "",
            "   ",
            "text",
            "<",
            "<a",
            "<a>",
            "</a>",
            "<a></b>",
            "<a>&unknown;</a>",
            "<a>&#x110000;</a>",
            "<a>&#0;</a>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<a>&",
            "<a>&#xZ;</a>",
            "<a><![CDATA[</a>",
            "{\"Error\": 1}",
        ] {
            assert_eq!(Leaves::read(document.as_bytes()).err(), Some(Malformed), "{document:?}");
        }
        assert_eq!(Leaves::read(b"<a>\xff</a>").err(), Some(Malformed));
    }

    #[test]
    fn xml_that_is_truncated_is_rejected() {
        let document = "<R xmlns=\"u\"><C><K a='1'>&amp;x</K><!-- c --><E/></C></R>";
        for (end, _) in document.char_indices() {
            let cut = &document.as_bytes()[..end];
            assert!(Leaves::read(cut).is_err(), "{end}");
        }
    }

    #[test]
    fn xml_that_is_deeply_nested_is_rejected() {
        let nested = |depth| format!("{}x{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(Leaves::read(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(Leaves::read(nested(MAX_DEPTH + 1).as_bytes()).err(), Some(Malformed));
    }
}

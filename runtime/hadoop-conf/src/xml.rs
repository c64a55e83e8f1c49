//! One configuration file: `<configuration>` with properties, as Hadoop's `Configuration` reads it.

use std::path::Path;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::HadoopConfError;

/// Configurations within configurations, and the parts of a property.
const MAX_DEPTH: usize = 16;
/// The properties of one file. Hadoop's own defaults of a service have some hundreds.
const MAX_PROPERTIES: usize = 20_000;

/// One `<property>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Files that are read later do not change it.
    pub(crate) is_final: bool,
}

/// Reads the properties of a file's text, in their order.
pub(crate) fn properties(path: &Path, text: &str) -> Result<Vec<Property>, HadoopConfError> {
    FileReader { path, text, reader: Reader::from_str(text), stack: Vec::new(), property: None, found: Vec::new() }
        .read()
}

struct FileReader<'a> {
    path: &'a Path,
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// The names of the open elements, and their texts.
    stack: Vec<(String, String)>,
    property: Option<Property>,
    found: Vec<Property>,
}

impl<'a> FileReader<'a> {
    fn read(mut self) -> Result<Vec<Property>, HadoopConfError> {
        let mut has_root = false;
        loop {
            let event = self.reader.read_event();
            match event.map_err(|error| self.syntax(error.to_string()))? {
                Event::Start(start) => {
                    has_root = true;
                    self.open(&start)?;
                }
                Event::Empty(start) => {
                    has_root = true;
                    self.open(&start)?;
                    self.close()?;
                }
                Event::End(_) => self.close()?,
                Event::Text(text) => self.push(&String::from_utf8_lossy(&text)),
                Event::CData(text) => self.push(&String::from_utf8_lossy(&text)),
                Event::GeneralRef(entity) => {
                    let name = String::from_utf8_lossy(&entity).into_owned();
                    let letter = entity.resolve_char_ref().map_err(|error| self.syntax(error.to_string()))?;
                    match (letter, resolve_predefined_entity(&name)) {
                        (Some(letter), _) => self.push(letter.encode_utf8(&mut [0; 4])),
                        (None, Some(text)) => self.push(text),
                        (None, None) => return Err(self.syntax(format!("the entity &{name}; is not known"))),
                    }
                }
                Event::DocType(_) => {
                    return Err(HadoopConfError::DocumentType { path: self.path.to_owned(), line: self.line() });
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if !self.stack.is_empty() => return Err(self.syntax("it ends within an element".to_owned())),
                Event::Eof if !has_root => return Err(self.syntax("there is no <configuration>".to_owned())),
                Event::Eof => return Ok(self.found),
            }
        }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), HadoopConfError> {
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        if name == "include" {
            let file = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return Err(HadoopConfError::Include { path: self.path.to_owned(), line: self.line(), name: file });
        }
        if self.stack.is_empty() && name != "configuration" {
            return Err(self.syntax(format!("<{name}> stands where <configuration> is expected")));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.syntax(format!("more than {MAX_DEPTH} elements within each other")));
        }
        if name == "property" {
            if self.property.is_some() {
                return Err(self.syntax("a <property> within another one".to_owned()));
            }
            self.property = Some(self.of_attributes(start)?);
        }
        self.stack.push((name, String::new()));
        Ok(())
    }

    /// `<property name="…" value="…" final="true"/>`: the short form.
    fn of_attributes(&self, start: &BytesStart<'_>) -> Result<Property, HadoopConfError> {
        let mut property = Property::default();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| self.syntax(error.to_string()))?;
            let text = String::from_utf8_lossy(&attribute.value);
            let value =
                quick_xml::escape::unescape(&text).map_err(|error| self.syntax(error.to_string()))?.into_owned();
            match attribute.key.local_name().as_ref() {
                b"name" => property.name = value,
                b"value" => property.value = value,
                b"final" => property.is_final = value == "true",
                _ => {}
            }
        }
        Ok(property)
    }

    fn push(&mut self, text: &str) {
        if let Some((_, texts)) = self.stack.last_mut() {
            texts.push_str(text);
        }
    }

    fn close(&mut self) -> Result<(), HadoopConfError> {
        let Some((name, text)) = self.stack.pop() else { return Ok(()) };
        let text = text.trim();
        match (name.as_str(), &mut self.property) {
            ("name", Some(property)) => text.clone_into(&mut property.name),
            ("value", Some(property)) => text.clone_into(&mut property.value),
            ("final", Some(property)) => property.is_final = text == "true",
            ("property", property) => self.found.extend(property.take().filter(|property| !property.name.is_empty())),
            _ => {}
        }
        if self.found.len() > MAX_PROPERTIES {
            return Err(HadoopConfError::TooMany { path: self.path.to_owned(), limit: MAX_PROPERTIES });
        }
        Ok(())
    }

    fn syntax(&self, problem: String) -> HadoopConfError {
        HadoopConfError::Syntax { path: self.path.to_owned(), line: self.line(), problem }
    }

    fn line(&self) -> usize {
        let read = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        self.text.bytes().take(read).filter(|byte| *byte == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Property>, String> {
        properties(Path::new("conf/core-site.xml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn xml_properties_have_two_forms() {
        let text = "<?xml version=\"1.0\"?>\n<?xml-stylesheet type=\"text/xsl\" href=\"configuration.xsl\"?>\n\
            <!-- a comment -->\n<configuration>\n\
            <property><name> a </name><value>1 &lt; 2 &#38; 3</value><final>true</final></property>\n\
            <property name=\"b\" value=\"x &amp; y\"/>\n\
            <configuration><property><name>c</name><value><![CDATA[<z>]]></value><description>d</description></property>\n\
            </configuration><property><value>no name</value></property></configuration>";
        let property =
            |name: &str, value: &str, is_final| Property { name: name.into(), value: value.into(), is_final };
        assert_eq!(
            read(text),
            Ok(vec![property("a", "1 < 2 & 3", true), property("b", "x & y", false), property("c", "<z>", false)])
        );
    }

    #[test]
    fn xml_include_and_document_type_are_refused() {
        let include = "<configuration xmlns:xi=\"http://www.w3.org/2001/XInclude\">\n<xi:include href=\"other.xml\"/>";
        let error = read(include).unwrap_err();
        assert!(error.starts_with("conf/core-site.xml:2: includes another file (xi:include)"), "{error}");
        assert!(error.ends_with("`xmllint --xinclude --output FOLDER/core-site.xml conf/core-site.xml`"), "{error}");
        let bomb = "<!DOCTYPE c [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\n<configuration/>";
        assert!(read(bomb).unwrap_err().contains("document type (DTD), which is not read"));
    }

    #[test]
    fn xml_that_is_malformed_names_its_line() {
        for (text, problem) in [
            ("", "there is no <configuration>"),
            ("<configuration>\n", "it ends within an element"),
            ("<configuration>\n<property>\n</configuration>", "core-site.xml:3: "),
            ("<html></html>", "<html> stands where <configuration> is expected"),
            ("<configuration>&bomb;</configuration>", "the entity &bomb; is not known"),
            ("<configuration><property><property/></property></configuration>", "within another one"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn xml_depth_and_count_have_bounds() {
        let deep = "<configuration>".repeat(MAX_DEPTH + 1);
        assert!(read(&deep).unwrap_err().contains("more than 16 elements within each other"));
        let many = "<property name=\"a\" value=\"b\"/>".repeat(MAX_PROPERTIES + 1);
        let error = read(&format!("<configuration>{many}</configuration>")).unwrap_err();
        assert!(error.contains("more than 20000 properties"), "{error}");
    }
}

//! Text with placeholders: `token = {{ api.access_token | json }}`.

use crate::payloads::Payloads;
use crate::reference::Reference;
use deputy_kit::types::Failure;

#[derive(Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Reference(Reference),
}

impl Template {
    /// The error is the problem of a setting.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, remainder) = after.split_once("}}").ok_or("`{{` without `}}`")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Reference(Reference::parse(inside)?));
            rest = remainder;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        })
    }

    /// What stands between the placeholders.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Reference(_) => None,
        })
    }

    /// The text with a value for every placeholder. Values are not scanned for placeholders: a payload with braces reaches no
    /// other.
    pub(crate) fn fill(&self, setting: &str, payloads: &Payloads) -> Result<Vec<u8>, Failure> {
        let mut filled = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Piece::Reference(reference) => {
                    let value = reference.resolve(payloads);
                    filled.extend(value.map_err(|problem| reference.unusable(setting, &problem))?);
                }
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, Failure> {
        let payloads = [("a", r#"{"x":"{{ b.payload }}"}"#), ("b", "hunter2")];
        let payloads = payloads.map(|(name, payload)| (name.to_owned(), payload.as_bytes().to_vec()));
        let filled = Template::parse(template).unwrap().fill("template.f", &Payloads::new(payloads.into_iter()))?;
        Ok(String::from_utf8(filled).unwrap())
    }

    #[test]
    fn template_fills_placeholders_and_nothing_else() {
        assert_eq!(filled("").unwrap(), "");
        assert_eq!(filled("a } } b {c} \n").unwrap(), "a } } b {c} \n");
        assert_eq!(filled("{{b.payload}}{{ b.payload }}!").unwrap(), "hunter2hunter2!");
    }

    #[test]
    fn template_does_not_scan_payloads_for_placeholders() {
        assert_eq!(filled("{{ a.x }}").unwrap(), "{{ b.payload }}");
    }

    #[test]
    fn template_error_names_setting_instance_and_field() {
        let failure = filled("{{ b.x }}").unwrap_err();
        assert_eq!(failure.setting.as_deref(), Some("template.f"));
        assert_eq!(failure.message, "setting `template.f`: instance `b`: its payload is not JSON");
    }

    #[test]
    fn template_refuses_unclosed_and_empty_braces() {
        for text in ["{{", "a {{ b.payload", "{{ b.payload }", "{{}}", "{{ b }}", "{{ a.x {{ b.payload }}"] {
            assert!(Template::parse(text).is_err(), "{text:?}");
        }
    }
}

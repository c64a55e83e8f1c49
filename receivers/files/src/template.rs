//! Text with placeholders: `token = {{ api.access_token | json }}`.

use crate::value::{Payloads, Reference};
use deputy_kit::settings::misconfigured;
use deputy_kit::types::Failure;

/// A template of one setting.
#[derive(Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Reference(Reference),
}

impl Template {
    /// Reads it. The error completes the sentence "setting x: …".
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, behind) = after.split_once("}}").ok_or("a `{{` has no `}}`")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Reference(Reference::parse(inside)?));
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The instances that it names.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference.instance.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text with every placeholder's value in its place. Values are not looked at again: a payload that holds braces
    /// reaches no other.
    pub(crate) fn fill(&self, setting: &str, payloads: &Payloads) -> Result<Vec<u8>, Failure> {
        let mut filled = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Piece::Reference(reference) => {
                    let wrong =
                        |problem| misconfigured(setting, &format!("instance `{}`: {problem}", reference.instance));
                    filled.extend(reference.of(payloads).map_err(wrong)?);
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
    fn placeholders_are_filled_and_all_else_stays_as_it_is() {
        assert_eq!(filled("").unwrap(), "");
        assert_eq!(filled("a } } b {c} \n").unwrap(), "a } } b {c} \n");
        assert_eq!(filled("{{b.payload}}{{ b.payload }}!").unwrap(), "hunter2hunter2!");
    }

    #[test]
    fn a_payload_with_braces_reaches_no_other_payload() {
        assert_eq!(filled("{{ a.x }}").unwrap(), "{{ b.payload }}");
    }

    #[test]
    fn what_is_missing_is_told_by_setting_instance_and_field() {
        let Failure::Misconfigured(text) = filled("{{ b.x }}").unwrap_err() else { panic!() };
        assert_eq!(text, "setting `template.f`: instance `b`: its payload is not JSON");
    }

    #[test]
    fn braces_that_are_not_closed_or_hold_nothing_are_refused() {
        for text in ["{{", "a {{ b.payload", "{{ b.payload }", "{{}}", "{{ b }}", "{{ a.x {{ b.payload }}"] {
            assert!(Template::parse(text).is_err(), "{text:?}");
        }
    }
}

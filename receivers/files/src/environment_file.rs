//! Environment files: lines `NAME=value`, quoted so that a shell, systemd and the usual libraries read the same value.
//!
//! These readers agree on little. A value of harmless characters is written bare, any other in single quotes, where all
//! readers take every character but two literally. Those two, and line breaks, are refused; `base64` encodes such a value.

use crate::payloads::Payloads;
use crate::reference::Reference;
use crate::template::Template;
use deputy_kit::settings::wrong_setting;
use deputy_kit::types::Failure;
use std::collections::BTreeSet;

/// The variables of one file, in order.
#[derive(Debug)]
pub(crate) struct EnvironmentFile(Vec<(String, Template)>);

impl EnvironmentFile {
    /// Parses lines `NAME=template`. Skips empty ones and those that begin with `#`. The error is the problem of a setting.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut variables = Vec::new();
        let mut names = BTreeSet::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, template) = line.split_once('=').ok_or("each line must be NAME=value")?;
            if !is_name(name) {
                return Err(
                    "a variable's name must consist of letters, digits and underscores, and not begin with a digit"
                        .to_owned(),
                );
            }
            if !names.insert(name) {
                return Err(format!("variable {name} is defined twice"));
            }
            let template = Template::parse(template)?;
            if let Some(fault) = template.literals().find_map(|text| fault(text.as_bytes())) {
                return Err(format!("variable {name}: its text {fault}"));
            }
            variables.push((name.to_owned(), template));
        }
        Ok(Self(variables))
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().flat_map(|(_, template)| template.references())
    }

    /// Why the value of a placeholder cannot stand in the file. The problem never contains it.
    pub(crate) fn value_fault(value: &[u8]) -> Option<String> {
        fault(value).map(|fault| format!("its value {fault}: add `| base64`"))
    }

    pub(crate) fn fill(&self, setting: &str, payloads: &Payloads) -> Result<Vec<u8>, Failure> {
        let mut filled = String::new();
        for (name, template) in &self.0 {
            let value = quoted(&template.fill(setting, payloads)?).map_err(|fault| {
                wrong_setting(setting, &format!("variable {name}: its value {fault}: add `| base64`"))
            })?;
            filled.push_str(&format!("{name}={value}\n"));
        }
        Ok(filled.into_bytes())
    }
}

fn is_name(name: &str) -> bool {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

/// A value as it is written after the `=`. The error never contains it.
fn quoted(value: &[u8]) -> Result<String, &'static str> {
    let text = match (fault(value), str::from_utf8(value)) {
        (None, Ok(text)) => text,
        (fault, _) => return Err(fault.unwrap_or(NOT_TEXT)),
    };
    let is_harmless = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte));
    Ok(if is_harmless { text.to_owned() } else { format!("'{text}'") })
}

const NOT_TEXT: &str = "is not valid UTF-8";

/// Why a value, or a part of one, can't be written.
fn fault(value: &[u8]) -> Option<&'static str> {
    match str::from_utf8(value) {
        Err(_) => Some(NOT_TEXT),
        Ok(text) if text.chars().any(char::is_control) => Some("contains line breaks or other control characters"),
        Ok(text) if text.contains(['\'', '\\']) => Some("contains ' or \\, which not every reader takes literally"),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, payload: &[u8]) -> Result<String, Failure> {
        let payloads = Payloads::new([("a".to_owned(), payload.to_vec())].into_iter());
        Ok(String::from_utf8(EnvironmentFile::parse(text).unwrap().fill("env.f", &payloads)?).unwrap())
    }

    #[test]
    fn environment_file_quotes_only_where_needed() {
        for (payload, line) in [
            ("AKIA/b+c==", "TOKEN=AKIA/b+c==\n"),
            ("", "TOKEN=\n"),
            ("two words", "TOKEN='two words'\n"),
            ("$(reboot) `x` \"y\" #z; &", "TOKEN='$(reboot) `x` \"y\" #z; &'\n"),
            ("~", "TOKEN='~'\n"),
            ("{\"a\": 1}", "TOKEN='{\"a\": 1}'\n"),
            ("é", "TOKEN='é'\n"),
        ] {
            assert_eq!(filled("TOKEN={{ a.payload }}", payload.as_bytes()).unwrap(), line);
        }
    }

    #[test]
    fn environment_file_keeps_order_and_quotes_literal_text() {
        let text = "# who we are\n\n  REGION=eu-west-1\nAUTH=Bearer {{ a.payload }}\n EMPTY=\n";
        assert_eq!(filled(text, b"t0k").unwrap(), "REGION=eu-west-1\nAUTH='Bearer t0k'\nEMPTY=\n");
    }

    #[test]
    fn environment_file_refuses_values_that_end_a_line_or_quote() {
        for payload in [
            b"hunter2\nLD_PRELOAD=x".as_slice(),
            b"hunter2\r",
            b"hunter2\0",
            b"hunter2'; reboot; '",
            b"hunter2\\",
            b"hunter2\xff",
            "hunter2\u{85}".as_bytes(),
        ] {
            let failure = filled("TOKEN={{ a.payload }}", payload).unwrap_err();
            let text = failure.message;
            assert_eq!(failure.setting.as_deref(), Some("env.f"));
            assert!(
                text.starts_with("setting `env.f`: variable TOKEN: its value ") && !text.contains("hunter2"),
                "{text}"
            );
            let fault = EnvironmentFile::value_fault(payload).unwrap();
            assert!(fault.ends_with(": add `| base64`") && !fault.contains("hunter2"), "{fault}");
            let encoded = filled("TOKEN={{ a.payload | base64 }}", payload).unwrap();
            assert!(encoded.starts_with("TOKEN=aHVudGVyM"), "{encoded}");
        }
    }

    #[test]
    fn environment_file_refuses_malformed_lines() {
        for text in
            ["TOKEN", "=x", "1A=x", "A B=x", "export A=x", "A-B=x", "É=x", "A=1\nA=2", "A={{ a }}", "A=it's", "A=\\"]
        {
            assert!(EnvironmentFile::parse(text).is_err(), "{text:?}");
        }
    }
}

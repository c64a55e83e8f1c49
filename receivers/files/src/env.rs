//! Environment files: lines `NAME=value`, quoted so that a shell, systemd and the usual libraries read the same.
//!
//! They agree on little. A value of harmless characters stands bare; one with others in single quotes, in which all of
//! them take every character but two as it is. Those two, and what would end the line, are refused: there is `base64`.

use crate::template::Template;
use crate::value::Payloads;
use deputy_kit::settings::misconfigured;
use deputy_kit::types::Failure;
use std::collections::BTreeSet;

/// The lines of one setting.
#[derive(Debug)]
pub(crate) struct Env(Vec<(String, Template)>);

impl Env {
    /// Reads lines `NAME=template`; empty ones and those that begin with `#` are passed over. The error completes the
    /// sentence "setting x: …".
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut lines, mut names) = (Vec::new(), BTreeSet::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, template) = line.split_once('=').ok_or("each line is NAME=value")?;
            if !is_name(name) {
                return Err("a variable's name is letters, digits and underscores, and begins with no digit".to_owned());
            }
            if !names.insert(name) {
                return Err(format!("variable {name} stands there twice"));
            }
            lines.push((name.to_owned(), Template::parse(template)?));
        }
        Ok(Self(lines))
    }

    /// The instances that it names.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(_, template)| template.instances())
    }

    /// The whole file.
    pub(crate) fn fill(&self, setting: &str, payloads: &Payloads) -> Result<Vec<u8>, Failure> {
        let mut filled = String::new();
        for (name, template) in &self.0 {
            let quoted = quoted(&template.fill(setting, payloads)?);
            let wrong = |problem| misconfigured(setting, &format!("variable {name}: {problem}"));
            filled.push_str(&format!("{name}={}\n", quoted.map_err(wrong)?));
        }
        Ok(filled.into_bytes())
    }
}

fn is_name(name: &str) -> bool {
    let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    word && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

/// A value as it stands behind the `=`. The error never holds it.
fn quoted(value: &[u8]) -> Result<String, &'static str> {
    let text = str::from_utf8(value).map_err(|_| "its value is no text: add `| base64`")?;
    if text.chars().any(char::is_control) {
        return Err("its value has line breaks or control characters, which no line can hold: add `| base64`");
    }
    if text.contains(['\'', '\\']) {
        return Err("its value has a ' or a \\, which not every reader takes as it is: add `| base64`");
    }
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    Ok(if text.bytes().all(bare) { text.to_owned() } else { format!("'{text}'") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, payload: &[u8]) -> Result<String, Failure> {
        let payloads = Payloads::new([("a".to_owned(), payload.to_vec())].into_iter());
        Ok(String::from_utf8(Env::parse(text).unwrap().fill("env.f", &payloads)?).unwrap())
    }

    #[test]
    fn a_value_is_quoted_only_where_it_has_to_be() {
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
    fn lines_keep_their_order_and_texts_of_the_operator_s_are_quoted_too() {
        let text = "# who we are\n\n  REGION=eu-west-1\nAUTH=Bearer {{ a.payload }}\n EMPTY=\n";
        assert_eq!(filled(text, b"t0k").unwrap(), "REGION=eu-west-1\nAUTH='Bearer t0k'\nEMPTY=\n");
    }

    #[test]
    fn a_value_that_could_end_its_line_or_its_quotes_is_refused_and_not_repeated() {
        for payload in [
            b"hunter2\nLD_PRELOAD=x".as_slice(),
            b"hunter2\r",
            b"hunter2\0",
            b"hunter2'; reboot; '",
            b"hunter2\\",
            b"hunter2\xff",
            "hunter2\u{85}".as_bytes(),
        ] {
            let Failure::Misconfigured(text) = filled("TOKEN={{ a.payload }}", payload).unwrap_err() else { panic!() };
            assert!(
                text.starts_with("setting `env.f`: variable TOKEN: its value ") && !text.contains("hunter2"),
                "{text}"
            );
            let encoded = filled("TOKEN={{ a.payload | base64 }}", payload).unwrap();
            assert!(encoded.starts_with("TOKEN=aHVudGVyM"), "{encoded}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in ["TOKEN", "=x", "1A=x", "A B=x", "export A=x", "A-B=x", "É=x", "A=1\nA=2", "A={{ a }}"] {
            assert!(Env::parse(text).is_err(), "{text:?}");
        }
    }
}

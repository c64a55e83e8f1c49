//! Reading the settings of an instance, with errors that name the setting.

use crate::description::{SettingSpec, is_meant};
use crate::failure;
use crate::types::{Failure, Setting};

/// The settings of one instance: all names are known and no value is empty.
#[derive(Clone, Copy)]
pub struct SettingsReader<'a>(&'a [Setting]);

impl<'a> SettingsReader<'a> {
    /// Settings with these names. A name such as `profile.*` stands for all that begin with `profile.`.
    ///
    /// # Errors
    /// `misconfigured` if a name is unknown or a value is empty. A misspelt name must be an error: the default would
    /// silently take its place.
    pub fn new(settings: &'a [Setting], known: &[&str]) -> Result<Self, Failure> {
        Self::read(settings, known.iter().copied())
    }

    /// Settings as they are described.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn described(settings: &'a [Setting], known: &[&[SettingSpec]]) -> Result<Self, Failure> {
        Self::read(settings, known.iter().copied().flatten().map(|setting| setting.name))
    }

    fn read<'n>(settings: &'a [Setting], known: impl Iterator<Item = &'n str> + Clone) -> Result<Self, Failure> {
        for Setting { name, value } in settings {
            if !known.clone().any(|known| is_meant(known, name)) {
                let known: Vec<_> = known.map(|name| name.replace(".*", ".NAME")).collect();
                let known = known.join(", ");
                return Err(wrong_setting(name, &format!("no such setting here; there are: {known}")));
            }
            if value.trim().is_empty() {
                return Err(wrong_setting(name, "empty; give it a value or remove it"));
            }
        }
        Ok(Self(settings))
    }

    /// The value, if the setting is present.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }

    /// The value.
    ///
    /// # Errors
    /// `misconfigured` if the setting is missing.
    pub fn required(&self, name: &str) -> Result<&'a str, Failure> {
        self.optional(name).ok_or_else(|| wrong_setting(name, "missing"))
    }

    /// The members of a family: the part of each name behind the first dot, and the value.
    pub fn family(&self, family: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |setting| Some((member(family, &setting.name)?, setting.value.as_str())))
    }

    /// The parsed value, if the setting is present.
    ///
    /// # Errors
    /// `misconfigured` with the error of `parse`, which completes the sentence "setting x: …".
    pub fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        self.optional(name).map(parse).transpose().map_err(|problem| wrong_setting(name, &problem))
    }
}

/// The part of a setting's name behind the family and the dot.
fn member<'n>(family: &str, name: &'n str) -> Option<&'n str> {
    name.strip_prefix(family)?.strip_prefix('.')
}

/// `misconfigured` by one setting: the host shows its line.
#[must_use]
pub fn wrong_setting(name: &str, problem: &str) -> Failure {
    failure::misconfigured(format!("setting `{}`: {problem}", crate::text::one_line(name, 100))).setting(name)
}

/// Settings of these names and values, for tests of components.
#[must_use]
pub fn settings_of(pairs: &[(&str, &str)]) -> Vec<Setting> {
    pairs.iter().map(|(name, value)| Setting { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

/// Parses a duration such as `900s`, `15m`, `1h`, or a bare number of seconds.
///
/// # Errors
/// For other texts, and if the number is too large.
pub fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let scale = match text.strip_prefix(digits) {
        Some("" | "s") => Some(1),
        Some("m") => Some(60),
        Some("h") => Some(3600),
        _ => None,
    };
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let seconds = number.zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    seconds.ok_or_else(|| "not a duration such as 900s, 15m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Next;

    fn text(failure: &Failure) -> &str {
        let name = failure.message.split('`').nth(1);
        assert_eq!((failure.next, failure.setting.as_deref()), (Next::Misconfigured, name));
        &failure.message
    }

    #[test]
    fn settings_name_an_unknown_one() {
        let written = settings_of(&[("regoin", "eu-west-1")]);
        let failure = SettingsReader::new(&written, &["region", "endpoint"]).err().unwrap();
        assert_eq!(text(&failure), "setting `regoin`: no such setting here; there are: region, endpoint");
    }

    #[test]
    fn settings_family_has_members_of_any_name() {
        let written = settings_of(&[("profile.s3-prod", "prod"), ("profile.a.b", "x"), ("region", "eu-west-1")]);
        let reader = SettingsReader::new(&written, &["region", "profile.*"]).unwrap();
        assert_eq!(reader.family("profile").collect::<Vec<_>>(), [("s3-prod", "prod"), ("a.b", "x")]);
        assert_eq!(reader.family("prof").count(), 0);
        for name in ["profile", "profile.", "profiles.a", "Profile.a"] {
            let written = settings_of(&[(name, "x")]);
            let failure = SettingsReader::new(&written, &["region", "profile.*"]).err().unwrap();
            assert_eq!(
                text(&failure),
                format!("setting `{name}`: no such setting here; there are: region, profile.NAME")
            );
        }
    }

    #[test]
    fn settings_reject_an_empty_value() {
        let written = settings_of(&[("region", " ")]);
        let failure = SettingsReader::new(&written, &["region"]).err().unwrap();
        assert_eq!(text(&failure), "setting `region`: empty; give it a value or remove it");
    }

    #[test]
    fn settings_name_a_missing_one() {
        let reader = SettingsReader::new(&[], &["region"]).unwrap();
        assert_eq!(text(&reader.required("region").unwrap_err()), "setting `region`: missing");
        assert_eq!(reader.optional("region"), None);
    }

    #[test]
    fn settings_name_the_one_that_does_not_parse() {
        let written = settings_of(&[("duration", "soon")]);
        let reader = SettingsReader::new(&written, &["duration"]).unwrap();
        let failure = reader.parsed("duration", seconds).unwrap_err();
        assert_eq!(text(&failure), "setting `duration`: not a duration such as 900s, 15m or 1h");
    }

    #[test]
    fn settings_durations_are_seconds_minutes_or_hours() {
        assert_eq!(seconds("900"), Ok(900));
        assert_eq!(seconds("900s"), Ok(900));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("12h"), Ok(43_200));
        for text in
            ["", "s", "1d", "-1", "+1", "1.5h", "1 h", "1hh", "é", "99999999999999999999", "9999999999999999999h"]
        {
            assert!(seconds(text).is_err(), "{text:?} passed");
        }
    }
}

//! An instance's settings, read with errors that name the setting.

use crate::types::{Failure, Setting};

/// The settings of one instance, all of known names and none of them empty.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [Setting]);

impl<'a> Reader<'a> {
    /// # Errors
    /// `misconfigured`, where a setting's name is not among the known ones or its value is empty. A misspelt name must
    /// not pass: the default would silently stand in its place.
    pub fn new(settings: &'a [Setting], known: &[&str]) -> Result<Self, Failure> {
        Self::with_families(settings, known, &[])
    }

    /// The same with families of settings: `profile` has a member `profile.s3-prod`, and as many others as there are
    /// names.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_families(settings: &'a [Setting], known: &[&str], families: &[&str]) -> Result<Self, Failure> {
        let member = |name: &str| families.iter().any(|family| member(family, name).is_some_and(|it| !it.is_empty()));
        for Setting { name, value } in settings {
            if !known.contains(&name.as_str()) && !member(name) {
                let families = families.iter().map(|family| format!("{family}.NAME"));
                let known: Vec<_> = known.iter().map(|name| (*name).to_owned()).chain(families).collect();
                let known = known.join(", ");
                return Err(misconfigured(name, &format!("no such setting here; there are: {known}")));
            }
            if value.trim().is_empty() {
                return Err(misconfigured(name, "it is empty; give it a value or remove it"));
            }
        }
        Ok(Self(settings))
    }

    /// The value as written, if the setting is there.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }

    /// The value as written.
    ///
    /// # Errors
    /// `misconfigured`, where the setting is missing.
    pub fn required(&self, name: &str) -> Result<&'a str, Failure> {
        self.optional(name).ok_or_else(|| misconfigured(name, "it is missing"))
    }

    /// The members of a family: what is behind the first dot of their names, and their values.
    pub fn family(&self, family: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |setting| Some((member(family, &setting.name)?, setting.value.as_str())))
    }

    /// The value as `parse` reads it, if the setting is there.
    ///
    /// # Errors
    /// `misconfigured` with what `parse` says, completing the sentence "setting x: …".
    pub fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        self.optional(name).map(parse).transpose().map_err(|problem| misconfigured(name, &problem))
    }
}

/// The name of a family's member.
fn member<'n>(family: &str, name: &'n str) -> Option<&'n str> {
    name.strip_prefix(family)?.strip_prefix('.')
}

/// The failure that names a setting and what is wrong with it.
#[must_use]
pub fn misconfigured(name: &str, problem: &str) -> Failure {
    Failure::Misconfigured(format!("setting `{}`: {problem}", crate::text::one_line(name, 100)))
}

/// Reads a duration such as `900s`, `15m`, `1h`, or a bare number of seconds.
///
/// # Errors
/// Everything else, also what is too large.
pub fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
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

    fn settings(pairs: &[(&str, &str)]) -> Vec<Setting> {
        pairs.iter().map(|(name, value)| Setting { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
    }

    fn text(failure: &Failure) -> &str {
        match failure {
            Failure::Misconfigured(text) => text,
            other => panic!("not misconfigured: {other:?}"),
        }
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let written = settings(&[("regoin", "eu-west-1")]);
        let failure = Reader::new(&written, &["region", "endpoint"]).err().unwrap();
        assert_eq!(text(&failure), "setting `regoin`: no such setting here; there are: region, endpoint");
    }

    #[test]
    fn a_family_has_members_of_any_name_and_none_without() {
        let written = settings(&[("profile.s3-prod", "prod"), ("profile.a.b", "x"), ("region", "eu-west-1")]);
        let reader = Reader::with_families(&written, &["region"], &["profile"]).unwrap();
        assert_eq!(reader.family("profile").collect::<Vec<_>>(), [("s3-prod", "prod"), ("a.b", "x")]);
        assert_eq!(reader.family("prof").count(), 0);
        for name in ["profile", "profile.", "profiles.a", "Profile.a"] {
            let written = settings(&[(name, "x")]);
            let failure = Reader::with_families(&written, &["region"], &["profile"]).err().unwrap();
            assert_eq!(
                text(&failure),
                format!("setting `{name}`: no such setting here; there are: region, profile.NAME")
            );
        }
    }

    #[test]
    fn an_empty_setting_is_not_taken_for_a_value() {
        let written = settings(&[("region", " ")]);
        let failure = Reader::new(&written, &["region"]).err().unwrap();
        assert_eq!(text(&failure), "setting `region`: it is empty; give it a value or remove it");
    }

    #[test]
    fn a_missing_setting_is_named() {
        let reader = Reader::new(&[], &["region"]).unwrap();
        assert_eq!(text(&reader.required("region").unwrap_err()), "setting `region`: it is missing");
        assert_eq!(reader.optional("region"), None);
    }

    #[test]
    fn a_parser_s_complaint_names_the_setting() {
        let written = settings(&[("duration", "soon")]);
        let reader = Reader::new(&written, &["duration"]).unwrap();
        let failure = reader.parsed("duration", seconds).unwrap_err();
        assert_eq!(text(&failure), "setting `duration`: not a duration such as 900s, 15m or 1h");
    }

    #[test]
    fn durations_are_read_in_seconds_minutes_and_hours() {
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

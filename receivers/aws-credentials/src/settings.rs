//! The settings: which instance is which profile, and what the config file says of it.

use deputy_kit::settings::{Reader, misconfigured};
use deputy_kit::types::{Failure, Setting};
use deputy_kit::url::Url;

const KNOWN: [&str; 2] = ["default", "region"];
const FAMILIES: [&str; 3] = ["profile", "region", "endpoint"];

/// All settings, checked. What they say of an instance of which there is no lease has no effect: it may come yet.
pub(crate) struct Config<'a>(Reader<'a>);

impl<'a> Config<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let reader = Reader::with_families(settings, &KNOWN, &FAMILIES)?;
        let checked = |family: &'a str, check: fn(&str) -> Result<(), String>| {
            let mut members = reader.family(family);
            let wrong = |(name, problem): (&str, String)| misconfigured(&format!("{family}.{name}"), &problem);
            members.try_for_each(|(name, value)| check(value).map_err(|problem| wrong((name, problem))))
        };
        checked("profile", profile)?;
        checked("region", region)?;
        checked("endpoint", |url| Url::parse(url).map(drop))?;
        reader.parsed("region", region)?;
        Ok(Self(reader))
    }

    /// The profile of an instance.
    pub(crate) fn profile(&self, instance: &'a str) -> &'a str {
        self.member("profile", instance).unwrap_or(instance)
    }

    /// Whether an instance is the default profile as well.
    pub(crate) fn is_default(&self, instance: &str) -> bool {
        self.0.optional("default") == Some(instance)
    }

    /// The region of an instance.
    pub(crate) fn region(&self, instance: &str) -> Option<&'a str> {
        self.member("region", instance).or_else(|| self.0.optional("region"))
    }

    /// Where an instance's S3 is, if it is not AWS's.
    pub(crate) fn endpoint(&self, instance: &str) -> Option<&'a str> {
        self.member("endpoint", instance)
    }

    /// Whether there is anything for a config file.
    pub(crate) fn has_config(&self) -> bool {
        let members = |family| self.0.family(family).next().is_some();
        self.0.optional("region").is_some() || members("region") || members("endpoint")
    }

    fn member(&self, family: &'a str, instance: &str) -> Option<&'a str> {
        self.0.family(family).find(|(name, _)| *name == instance).map(|(_, value)| value)
    }
}

/// A profile's name stands between brackets, in configuration files with spaces around it, and in environment variables.
fn profile(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+/".contains(&byte));
    if plain && (1..=128).contains(&name.len()) {
        Ok(())
    } else {
        Err("must be 1 to 128 ASCII letters, digits and characters of -_.@+/".to_owned())
    }
}

fn region(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain && (1..=63).contains(&name.len()) { Ok(()) } else { Err("not a region, such as eu-west-1".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<Setting> {
        pairs.iter().map(|(name, value)| Setting { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
    }

    #[test]
    fn without_settings_a_profile_has_its_instance_s_name() {
        let config = Config::read(&[]).unwrap();
        assert_eq!(config.profile("s3-prod"), "s3-prod");
        assert!(!config.is_default("s3-prod") && !config.has_config() && config.region("s3-prod").is_none());
    }

    #[test]
    fn an_instance_s_own_setting_goes_before_that_of_all() {
        let written = settings(&[
            ("region", "us-east-1"),
            ("region.s3-prod", "eu-west-1"),
            ("profile.s3-prod", "prod"),
            ("default", "s3-prod"),
            ("endpoint.s3-lab", "http://127.0.0.1:8333"),
        ]);
        let config = Config::read(&written).unwrap();
        assert_eq!((config.region("s3-prod"), config.region("s3-lab")), (Some("eu-west-1"), Some("us-east-1")));
        assert_eq!((config.profile("s3-prod"), config.profile("s3-lab")), ("prod", "s3-lab"));
        assert_eq!((config.endpoint("s3-prod"), config.endpoint("s3-lab")), (None, Some("http://127.0.0.1:8333")));
        assert!(config.is_default("s3-prod") && !config.is_default("s3-lab") && config.has_config());
    }

    #[test]
    fn what_could_begin_another_line_or_section_is_refused_with_its_setting() {
        for (name, value) in [
            ("profile.a", "x]\n[default"),
            ("profile.a", "two words"),
            ("profile.a", "é"),
            ("region", "eu\nrole_arn = x"),
            ("region.a", "EU"),
            ("endpoint.a", "https://h/\nx = y"),
            ("endpoint.a", "h:80"),
            ("default", " "),
            ("regoin", "x"),
            ("profile", "x"),
            ("profile.", "x"),
        ] {
            let Err(Failure::Misconfigured(text)) = Config::read(&settings(&[(name, value)])) else {
                panic!("{name} = {value:?} passed")
            };
            assert!(text.starts_with(&format!("setting `{name}`: ")) && !text.contains('\n'), "{text:?}");
        }
    }
}

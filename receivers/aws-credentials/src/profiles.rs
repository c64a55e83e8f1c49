//! Which profiles there are, and whose credentials are in each.

use crate::settings::ProfileSettings;
use deputy_kit::settings::wrong_setting;
use deputy_kit::types::Failure;
use std::collections::BTreeMap;

/// The instance of each profile.
///
/// # Errors
/// If two instances have the same profile.
pub(crate) fn profiles<'a>(
    settings: &ProfileSettings<'a>,
    instances: &[&'a str],
) -> Result<BTreeMap<&'a str, &'a str>, Failure> {
    let mut profiles: BTreeMap<&str, &str> = BTreeMap::new();
    for &instance in instances {
        let names = [Some(settings.profile(instance)), settings.is_default(instance).then_some("default")];
        for name in names.into_iter().flatten() {
            // One instance may be the profile by its name and as the default.
            if let Some(other) = profiles.insert(name, instance).filter(|other| *other != instance) {
                let setting = if name == "default" { "default".to_owned() } else { format!("profile.{instance}") };
                let problem = format!("profile `{name}` is used by both `{other}` and `{instance}`");
                return Err(wrong_setting(&setting, &problem));
            }
        }
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Setting;

    fn made(pairs: &[(&str, &str)]) -> Result<(), Failure> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let settings: Vec<Setting> = pairs.iter().map(setting).collect();
        profiles(&ProfileSettings::read(&settings).unwrap(), &["a", "b"]).map(drop)
    }

    #[test]
    fn profiles_refuse_one_name_for_two_instances() {
        for settings in [
            [("profile.a", "x"), ("profile.b", "x")],
            [("profile.a", "b"), ("region", "eu")],
            [("profile.a", "default"), ("default", "b")],
        ] {
            let failure = made(&settings).unwrap_err();
            assert!(failure.message.contains("is used by both `a` and `b`"), "{failure:?}");
            assert!(matches!(failure.setting.as_deref(), Some("profile.b" | "default")), "{failure:?}");
        }
        made(&[("profile.a", "default"), ("default", "a")]).unwrap();
    }
}

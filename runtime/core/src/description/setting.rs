//! The settings that a component describes, and what is wrong with those that an operator wrote.

use super::{DescribedProperty, first};

/// What stands for the rest of a name at its end.
const ANY: &str = ".*";

/// A setting that a component reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedSetting {
    /// The name. `profile.*` stands for all that begin with `profile.`.
    pub name: String,
    /// `text`, `type`, `default`, `needed` and others.
    pub properties: Vec<DescribedProperty>,
}

/// What is wrong with the name of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingFault {
    /// The component does not read it.
    #[error("the component has no setting `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The component cannot do without it.
    #[error("the setting `{name}` is missing: {text}")]
    Missing {
        /// The name.
        name: String,
        /// What it is for, in the component's words.
        text: String,
    },
}

impl SettingFault {
    /// The setting.
    pub fn setting(&self) -> &str {
        match self {
            Self::Unknown { name } | Self::Missing { name, .. } => name,
        }
    }
}

impl DescribedSetting {
    /// What it is for.
    pub fn text(&self) -> &str {
        self.property("text").unwrap_or_default()
    }

    /// What it holds.
    pub fn kind(&self) -> Option<&str> {
        self.property("type")
    }

    /// What the component does without it.
    pub fn default(&self) -> Option<&str> {
        self.property("default")
    }

    /// When it is needed: `yes` for always.
    pub fn needed(&self) -> Option<&str> {
        self.property("needed")
    }

    /// Whether the component cannot do without it.
    pub fn is_needed(&self) -> bool {
        self.needed() == Some("yes")
    }

    /// Whether a setting of this name is meant.
    pub fn has(&self, name: &str) -> bool {
        match self.name.strip_suffix('*').filter(|_| self.name.ends_with(ANY)) {
            Some(family) => name.strip_prefix(family).is_some_and(|rest| !rest.is_empty()),
            None => self.name == name,
        }
    }

    fn property(&self, name: &str) -> Option<&str> {
        first(&self.properties, name)
    }
}

pub(super) fn faults<'a>(
    known: &[DescribedSetting],
    settings: impl Iterator<Item = &'a str> + Clone,
) -> Vec<SettingFault> {
    let unknown = settings.clone().filter(|name| !known.iter().any(|setting| setting.has(name)));
    let unknown = unknown.map(|name| SettingFault::Unknown { name: name.to_owned() });
    let missing = known.iter().filter(|setting| setting.is_needed() && !settings.clone().any(|name| setting.has(name)));
    let missing =
        missing.map(|setting| SettingFault::Missing { name: setting.name.clone(), text: setting.text().to_owned() });
    unknown.chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, needed: Option<&str>) -> DescribedSetting {
        let needed = needed.map(|value| DescribedProperty { name: "needed".to_owned(), value: value.to_owned() });
        DescribedSetting { name: name.to_owned(), properties: needed.into_iter().collect() }
    }

    fn faults_of(settings: &[&str]) -> Vec<String> {
        let known = [setting("region", Some("yes")), setting("role", Some("without region")), setting("path.*", None)];
        faults(&known, settings.iter().copied()).iter().map(|fault| fault.setting().to_owned()).collect()
    }

    #[test]
    fn description_names_unknown_settings_and_missing_ones() {
        assert_eq!(faults_of(&["region"]), [""; 0]);
        assert_eq!(faults_of(&["regoin", "role"]), ["regoin", "region"]);
        assert_eq!(faults_of(&[]), ["region"]);
    }

    #[test]
    fn description_family_has_members_of_any_name() {
        assert_eq!(faults_of(&["region", "path.a", "path.b.c"]), [""; 0]);
        assert_eq!(faults_of(&["region", "path", "path.", "paths.a", "path.*x"]), ["path", "path.", "paths.a"]);
        assert!(!setting("*", None).has("region"), "a star alone is a name");
    }
}

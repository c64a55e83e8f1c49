//! `--set NAME=VALUE`

use std::collections::BTreeMap;
use std::str::FromStr;

/// A setting of a component, as the command line has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingArg {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Debug, thiserror::Error)]
#[error("not NAME=VALUE")]
pub(crate) struct SettingArgError;

impl FromStr for SettingArg {
    type Err = SettingArgError;

    fn from_str(text: &str) -> Result<Self, SettingArgError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err(SettingArgError),
        }
    }
}

/// The settings by name; the last one of a name counts.
pub(crate) fn settings(arguments: &[SettingArg]) -> BTreeMap<String, String> {
    arguments.iter().map(|setting| (setting.name.clone(), setting.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_argument_is_split_at_the_first_equals_sign() {
        let setting: SettingArg = "url=https://a.example/?b=c".parse().unwrap();
        assert_eq!((setting.name.as_str(), setting.value.as_str()), ("url", "https://a.example/?b=c"));
        assert_eq!("a=".parse::<SettingArg>().unwrap().value, "");
        assert!("a".parse::<SettingArg>().is_err() && "=a".parse::<SettingArg>().is_err());
    }
}

//! The settings: the file, its version, names of tokens, and which instance wins.

use crate::HadoopCredentials;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::tokens::HADOOP_TOKEN;
use deputy_kit::types::{Failure, Setting};
use deputy_kit_hadoop::rpc_settings::name;
use deputy_kit_hadoop::token_file::FileVersion;

/// What is merged: the token of a provider, and a whole file that another program maintains.
pub(crate) const KINDS: [&str; 2] = [HADOOP_TOKEN, "hadoop-token-file/1"];

/// The path of the token file, unless the settings name another one.
const FILE: &str = "hadoop.tokens";

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 5] = [
    SettingSpec::new("file", "text", "the path of the token file").default(FILE),
    SettingSpec::new("version", "0 | 1", "the format of the file: every client reads 0").default("0"),
    SettingSpec::new(
        "prefer",
        "list",
        "instances whose tokens win over those of others, the strongest first; without it two tokens of one name are an error",
    ),
    SettingSpec::new(
        "alias.*",
        "list",
        "the names of an instance's token in the file, in place of the provider's: alias.INSTANCE",
    ),
    SettingSpec::new(
        "service.*",
        "text",
        "the service of an instance's token, in place of the provider's: service.INSTANCE",
    ),
];

const FAMILIES: [&str; 2] = ["alias", "service"];

/// The checked settings. Those of an instance without a lease have no effect: the lease may come later.
pub(crate) struct MergeSettings<'a> {
    reader: SettingsReader<'a>,
    /// The path of the token file.
    pub(crate) file: &'a str,
    /// The version to write.
    pub(crate) version: FileVersion,
    /// Instances whose tokens win over those of others, the strongest first.
    prefer: Vec<&'a str>,
}

impl<'a> MergeSettings<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let reader = SettingsReader::described(settings, &[&SETTINGS])?;
        for family in FAMILIES {
            for (instance, value) in reader.family(family) {
                let list = if family == "alias" { value.split(',').collect() } else { vec![value] };
                for text in list {
                    name(text.trim()).map_err(|problem| wrong_setting(&format!("{family}.{instance}"), &problem))?;
                }
            }
        }
        let version = reader.parsed("version", version)?.unwrap_or_default();
        let file = reader.optional("file").unwrap_or(FILE);
        let prefer = reader.optional("prefer").into_iter().flat_map(|list| list.split(',').map(str::trim)).collect();
        Ok(Self { reader, file, version, prefer })
    }

    /// Whether all instances that the settings name are bound: one that is not is misspelt, or forgotten in the binding.
    pub(crate) fn check_instances(&self, bound: &[&str]) -> Result<(), Failure> {
        let members = FAMILIES.iter().flat_map(|family| {
            self.reader.family(family).map(move |(instance, _)| (format!("{family}.{instance}"), instance))
        });
        let preferred = self.prefer.iter().map(|instance| ("prefer".to_owned(), *instance));
        match members.chain(preferred).find(|(_, instance)| !bound.contains(instance)) {
            None => Ok(()),
            Some((setting, instance)) => Err(wrong_setting(
                &setting,
                &format!("no instance `{instance}` is bound to this receiver; there are: {}", bound.join(", ")),
            )),
        }
    }

    /// The names of an instance's token in the file, in place of the one that the provider gave.
    pub(crate) fn aliases(&self, instance: &str) -> Option<Vec<&'a str>> {
        self.member("alias", instance).map(|list| list.split(',').map(str::trim).collect())
    }

    /// The service of an instance's token, in place of the one that the provider gave.
    pub(crate) fn service(&self, instance: &str) -> Option<&'a str> {
        self.member("service", instance)
    }

    /// The rank of an instance: a lower one wins, and the instances that are not named have the same.
    pub(crate) fn rank(&self, instance: &str) -> usize {
        self.prefer.iter().position(|name| *name == instance).unwrap_or(self.prefer.len())
    }

    fn member(&self, family: &'a str, instance: &str) -> Option<&'a str> {
        self.reader.family(family).find(|(name, _)| *name == instance).map(|(_, value)| value)
    }
}

impl Describe for HadoopCredentials {
    const TITLE: &'static str = "The token file of Hadoop's clients";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    /// A receiver is granted nothing.
    fn wants(_: &[Setting]) -> Result<Vec<Want>, Failure> {
        Ok(Vec::new())
    }
}

fn version(text: &str) -> Result<FileVersion, String> {
    match text {
        "0" => Ok(FileVersion::Writable),
        "1" => Ok(FileVersion::Protobuf),
        _ => Err("must be 0, which every client reads, or 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn settings_have_defaults() {
        let read = MergeSettings::read(&[]).unwrap();
        assert_eq!((read.file, read.version), ("hadoop.tokens", FileVersion::Writable));
        assert_eq!((read.rank("a"), read.aliases("a"), read.service("a")), (0, None, None));
    }

    #[test]
    fn settings_name_an_instance_that_is_not_bound() {
        for name in ["alias.b", "service.b", "prefer"] {
            let written = settings_of(&[(name, "b")]);
            let failure = MergeSettings::read(&written).unwrap().check_instances(&["a"]).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(name));
            assert!(MergeSettings::read(&written).unwrap().check_instances(&["a", "b"]).is_ok());
        }
    }

    #[test]
    fn settings_that_are_wrong_are_named() {
        for (name, value) in [("version", "2"), ("alias.a", "x,"), ("service.a", "x\ny"), ("prefers", "a")] {
            let written = settings_of(&[(name, value)]);
            let failure = MergeSettings::read(&written).map(drop).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(name), "{failure:?}");
        }
    }
}

//! The settings: files, protocols, and properties that are written beside the login.

use std::collections::BTreeMap;

use crate::KafkaClient;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::outputs::is_path;
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting};

/// The protocol of clients, unless the settings name another one.
const PROTOCOL: &str = "SASL_SSL";

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 4] = [
    SettingSpec::new("protocol", "SASL_SSL | SASL_PLAINTEXT", "the security protocol of clients").default(PROTOCOL),
    SettingSpec::new("protocol.*", "SASL_SSL | SASL_PLAINTEXT", "that of one cluster: protocol.INSTANCE"),
    SettingSpec::new("file.*", "text", "the path of a cluster's file: file.INSTANCE").default("INSTANCE.properties"),
    SettingSpec::new("property.*", "text", "a further property of all files, such as property.ssl.truststore.location"),
];

/// What this receiver writes itself.
const OWN: [&str; 4] = ["bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.jaas.config"];

/// The longest value of a property, in bytes.
const MAX_VALUE: usize = 1024;

/// The checked settings. Those of an instance without a lease have no effect: the lease may come later.
pub(crate) struct ClientSettings<'a> {
    reader: SettingsReader<'a>,
    protocol: &'a str,
    /// Further properties, of all clusters.
    pub(crate) properties: BTreeMap<&'a str, &'a str>,
}

impl<'a> ClientSettings<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let reader = SettingsReader::described(settings, &[&SETTINGS])?;
        for (instance, path) in reader.family("file") {
            if !is_path(path) {
                return Err(wrong_setting(&format!("file.{instance}"), "not a path of plain names"));
            }
        }
        for (instance, text) in reader.family("protocol") {
            protocol(text).map_err(|problem| wrong_setting(&format!("protocol.{instance}"), &problem))?;
        }
        for (name, value) in reader.family("property") {
            property(name, value).map_err(|problem| wrong_setting(&format!("property.{name}"), &problem))?;
        }
        let protocol = reader.parsed("protocol", protocol)?.unwrap_or(PROTOCOL);
        Ok(Self { reader, protocol, properties: reader.family("property").collect() })
    }

    /// Whether the settings and the files fit these instances.
    pub(crate) fn check_instances(&self, bound: &[&str]) -> Result<(), Failure> {
        for family in ["file", "protocol"] {
            if let Some((instance, _)) = self.reader.family(family).find(|(instance, _)| !bound.contains(instance)) {
                return Err(wrong_setting(
                    &format!("{family}.{instance}"),
                    &format!("no instance `{instance}` is bound to this receiver; there are: {}", bound.join(", ")),
                ));
            }
        }
        let mut files: BTreeMap<String, &str> = BTreeMap::new();
        for instance in bound {
            if let Some(other) = files.insert(self.file(instance), instance) {
                let problem = format!("`{instance}` and `{other}` have the same file");
                return Err(wrong_setting(&format!("file.{instance}"), &problem));
            }
        }
        Ok(())
    }

    /// The path of a cluster's file.
    pub(crate) fn file(&self, instance: &str) -> String {
        self.member("file", instance).map_or_else(|| format!("{instance}.properties"), str::to_owned)
    }

    /// The security protocol of a cluster's clients.
    pub(crate) fn protocol(&self, instance: &str) -> &'a str {
        self.member("protocol", instance).unwrap_or(self.protocol)
    }

    fn member(&self, family: &'a str, instance: &str) -> Option<&'a str> {
        self.reader.family(family).find(|(name, _)| *name == instance).map(|(_, value)| value)
    }
}

impl Describe for KafkaClient {
    const TITLE: &'static str = "Kafka tokens in the properties of Java clients";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    /// A receiver is granted nothing.
    fn wants(_: &[Setting]) -> Result<Vec<Want>, Failure> {
        Ok(Vec::new())
    }
}

fn protocol(text: &str) -> Result<&str, String> {
    match text {
        "SASL_SSL" | "SASL_PLAINTEXT" => Ok(text),
        _ => Err("must be SASL_SSL or SASL_PLAINTEXT: a token is a login by SASL".to_owned()),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

fn property(name: &str, value: &str) -> Result<(), String> {
    if OWN.contains(&name) {
        return Err("written by this receiver from the token".to_owned());
    }
    if !name.bytes().all(is_name_byte) || name.len() > 200 {
        return Err("not the name of a property".to_owned());
    }
    if value.len() > MAX_VALUE || !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(format!("must be at most {MAX_VALUE} visible ASCII characters and spaces"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn settings_have_defaults_and_those_of_one_cluster() {
        let pairs = [("protocol.b", "SASL_PLAINTEXT"), ("file.b", "b/client.properties")];
        let written = settings_of(&pairs);
        let read = ClientSettings::read(&written).unwrap();
        assert_eq!((read.file("a").as_str(), read.protocol("a")), ("a.properties", "SASL_SSL"));
        assert_eq!((read.file("b").as_str(), read.protocol("b")), ("b/client.properties", "SASL_PLAINTEXT"));
        assert!(read.check_instances(&["a", "b"]).is_ok());
        assert_eq!(read.check_instances(&["a"]).unwrap_err().setting.as_deref(), Some("file.b"));
    }

    #[test]
    fn settings_that_are_wrong_are_named() {
        for (name, value) in [
            ("protocol", "SSL"),
            ("protocol.a", "PLAINTEXT"),
            ("file.a", "../x"),
            ("property.sasl.jaas.config", "x"),
            ("property.bootstrap.servers", "x"),
            ("property.a b", "x"),
            ("property.client.id", "a\nb"),
            ("form", "librdkafka"),
        ] {
            let written = settings_of(&[(name, value)]);
            let failure = ClientSettings::read(&written).map(drop).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(name), "{failure:?}");
        }
    }

    #[test]
    fn settings_give_each_cluster_its_file() {
        let written = settings_of(&[("file.a", "b.properties")]);
        let failure = ClientSettings::read(&written).unwrap().check_instances(&["a", "b"]).unwrap_err();
        assert!(failure.message.contains("have the same file"), "{failure:?}");
    }
}

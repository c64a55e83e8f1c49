//! What a connector says about itself: one definition of its settings, for reading them and for describing them.
//!
//! ```
//! use deputy_kit::description::{Describe, SettingSpec, Want};
//! use deputy_kit::settings::SettingsReader;
//! use deputy_kit::types::{Failure, Setting};
//! use deputy_kit::url::Url;
//!
//! const SETTINGS: [SettingSpec; 2] = [
//!     SettingSpec::new("url", "url", "the token endpoint").needed(),
//!     SettingSpec::new("scope", "text", "what to ask for"),
//! ];
//!
//! struct Example;
//!
//! impl Describe for Example {
//!     const TITLE: &'static str = "Bearer tokens of a service";
//!     const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];
//!
//!     fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
//!         let settings = SettingsReader::described(settings, Self::SETTINGS)?;
//!         let url = settings.parsed("url", Url::parse)?;
//!         Ok(url.iter().map(|url| Want::http(url).with("method", "POST").reason("asks for a token")).collect())
//!     }
//! }
//! ```

use crate::types::{Failure, Setting};
use crate::url::Url;

/// A setting that a connector reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingSpec {
    /// The name. `profile.*` stands for all settings that begin with `profile.`.
    pub name: &'static str,
    /// What it holds: `text`, `url`, `duration`, `number`, `boolean`, `list`, `secret`, or the values as `a | b`.
    pub kind: &'static str,
    /// What it is for, in one line.
    pub text: &'static str,
    /// What the connector does without it.
    pub default: Option<&'static str>,
    /// When it is needed: `yes` for always.
    pub needed: Option<&'static str>,
}

/// What a connector says about itself; [`describe!`](crate::describe) exports it.
pub trait Describe {
    /// What it obtains or writes, in a few words.
    const TITLE: &'static str;

    /// All settings that it reads, the most important ones first.
    const SETTINGS: &'static [&'static [SettingSpec]];

    /// What it wants with these settings.
    ///
    /// # Errors
    /// `misconfigured`, with the setting that is wrong or missing.
    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure>;
}

/// Something that a connector wants to be granted. The names of properties are those of `wit/description.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// `http`, `tcp`, `secret`, `kerberos` or `state`.
    pub kind: &'static str,
    /// Names and values.
    pub properties: Vec<(&'static str, String)>,
}

impl SettingSpec {
    /// A setting that may be left out.
    #[must_use]
    pub const fn new(name: &'static str, kind: &'static str, text: &'static str) -> Self {
        Self { name, kind, text, default: None, needed: None }
    }

    /// The same with what the connector does without it.
    #[must_use]
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same for a setting that no instance can do without.
    #[must_use]
    pub const fn needed(self) -> Self {
        self.needed_if("yes")
    }

    /// The same for a setting that some instances cannot do without: `without endpoint`.
    #[must_use]
    pub const fn needed_if(self, when: &'static str) -> Self {
        Self { needed: Some(when), ..self }
    }

    /// Names and values for `described-setting`.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let always = [("text", self.text), ("type", self.kind)].into_iter();
        let default = self.default.map(|default| ("default", default));
        always.chain(default).chain(self.needed.map(|needed| ("needed", needed)))
    }
}

/// Whether a known name, or a family such as `profile.*`, means this name.
pub(crate) fn is_meant(known: &str, name: &str) -> bool {
    match known.strip_suffix('*').filter(|family| family.ends_with('.')) {
        Some(family) => name.strip_prefix(family).is_some_and(|member| !member.is_empty()),
        None => known == name,
    }
}

impl Want {
    /// Requests to the server of this URL, below its path.
    #[must_use]
    pub fn http(url: &Url) -> Self {
        let scheme = if url.secure { "https" } else { "http" };
        let path = url.target.split('?').next().unwrap_or("/").to_owned();
        Self::of("http").with("url", format!("{scheme}://{}", url.authority)).with("path", path)
    }

    /// Connections to a host and port.
    #[must_use]
    pub fn tcp(host: impl Into<String>) -> Self {
        Self::of("tcp").with("host", host)
    }

    /// The use of a secret by this name.
    #[must_use]
    pub fn secret(name: impl Into<String>) -> Self {
        Self::of("secret").with("name", name)
    }

    /// Kerberos contexts with these services.
    #[must_use]
    pub fn kerberos<T: Into<String>>(targets: impl IntoIterator<Item = T>) -> Self {
        targets.into_iter().fold(Self::of("kerberos"), |want, target| want.with("target", target))
    }

    /// A want of another kind.
    #[must_use]
    pub fn of(kind: &'static str) -> Self {
        Self { kind, properties: Vec::new() }
    }

    /// The same with one more property.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.properties.push((name, value.into()));
        self
    }

    /// The same with what it is for, in one line.
    #[must_use]
    pub fn reason(self, text: &str) -> Self {
        self.with("reason", text)
    }
}

/// Exports what a [`Describe`] says. The component's world includes `delegation:tokens/describes-itself@0.2.0`, and its
/// bindings are in a module `bindings`, where [`export_component!`](crate::export_component) puts them.
#[macro_export]
macro_rules! describe {
    ($component:ident) => {
        impl bindings::exports::delegation::tokens::description::Guest for $component {
            fn about() -> Vec<bindings::exports::delegation::tokens::description::Property> {
                use bindings::exports::delegation::tokens::description::Property;
                let title = <$component as $crate::description::Describe>::TITLE;
                [("title", title), ("version", env!("CARGO_PKG_VERSION"))]
                    .map(|(name, value)| Property { name: name.to_owned(), value: value.to_owned() })
                    .to_vec()
            }

            fn known_settings() -> Vec<bindings::exports::delegation::tokens::description::DescribedSetting> {
                use bindings::exports::delegation::tokens::description::{DescribedSetting, Property};
                let all = <$component as $crate::description::Describe>::SETTINGS.iter().copied().flatten();
                all.map(|setting| DescribedSetting {
                    name: setting.name.to_owned(),
                    properties: setting
                        .properties()
                        .map(|(name, value)| Property { name: name.to_owned(), value: value.to_owned() })
                        .collect(),
                })
                .collect()
            }

            fn wants(
                settings: $crate::types::Settings,
            ) -> Result<Vec<bindings::exports::delegation::tokens::description::Want>, $crate::types::Failure> {
                use bindings::exports::delegation::tokens::description::{Property, Want};
                let wants = <$component as $crate::description::Describe>::wants(&settings)?.into_iter();
                Ok(wants
                    .map(|want| Want {
                        kind: want.kind.to_owned(),
                        properties: want
                            .properties
                            .into_iter()
                            .map(|(name, value)| Property { name: name.to_owned(), value })
                            .collect(),
                    })
                    .collect())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_of_a_setting_has_what_was_said() {
        const URL: SettingSpec = SettingSpec::new("url", "url", "where").needed().default("none");
        let properties: Vec<_> = URL.properties().collect();
        assert_eq!(properties, [("text", "where"), ("type", "url"), ("default", "none"), ("needed", "yes")]);
        assert_eq!(SettingSpec::new("a", "text", "b").properties().count(), 2);
    }

    #[test]
    fn description_wants_requests_to_a_server_without_its_query() {
        let url = Url::parse("HTTPS://A.example:443/sts/v1?x=secret");
        assert!(url.is_err(), "the kit reads schemes in lower case alone");
        let want = Want::http(&Url::parse("https://A.example:443/sts/v1?x=secret").unwrap()).reason("why");
        let expected = [("url", "https://a.example"), ("path", "/sts/v1"), ("reason", "why")];
        assert_eq!(want.properties, expected.map(|(name, value)| (name, value.to_owned())));
    }
}

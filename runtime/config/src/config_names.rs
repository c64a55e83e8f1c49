//! The names in a configuration, whatever is wrong in it: for completions of a shell.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config_text::read_text;
use crate::diagnostic::{ConfigErrors, DiagnosticSink};
use crate::toml_syntax;
use crate::value::TableReader;

/// The names of a `deputy.toml`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ConfigNames {
    pub instances: BTreeSet<String>,
    /// Those with receivers, and those that instances are delivered to.
    pub groups: BTreeSet<String>,
    /// The logins to Kerberos.
    pub logins: BTreeSet<String>,
}

impl ConfigNames {
    /// Reads a file, and ignores what is wrong in it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Ok(Self::parse(&read_text(path)?))
    }

    fn parse(text: &str) -> Self {
        let mut sink = DiagnosticSink::default();
        let table = toml_syntax::recovered(text);
        let mut fields = TableReader::new(table.get_ref(), 0..0);
        let mut names = Self::default();
        let groups = fields.optional("groups").map(|value| value.entries(&mut sink, "")).unwrap_or_default();
        names.groups.extend(groups.into_iter().map(|(name, _)| name.name.to_owned()));
        let logins = fields.optional("logins").map(|value| value.entries(&mut sink, "")).unwrap_or_default();
        names.logins.extend(logins.into_iter().map(|(name, _)| name.name.to_owned()));
        let instances = fields.optional("instances").map(|value| value.entries(&mut sink, "")).unwrap_or_default();
        for (name, value) in instances {
            names.instances.insert(name.name.to_owned());
            let delivered = value.table(&mut sink, "").and_then(|mut instance| instance.optional("deliver-to"));
            let delivered = delivered.and_then(|value| value.list(&mut sink, "")).unwrap_or_default();
            names.groups.extend(delivered.into_iter().filter_map(|group| group.text(&mut sink, "").map(str::to_owned)));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_an_invalid_file() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        for wrong in ["", "nonsense = 1", "this is no TOML"] {
            let text = format!(
                "[instances.s3-prod]\ndeliver-to = [\"etl\", 7]\n[instances.lab]\ndeliver-to = 1\n\
                 [groups.web.receivers.aws]\ncomponent = 2\n[logins.etl]\nkeytab = 1\n{wrong}\n"
            );
            let expected = ConfigNames {
                instances: names(&["lab", "s3-prod"]),
                groups: names(&["etl", "web"]),
                logins: names(&["etl"]),
            };
            assert_eq!(ConfigNames::parse(&text), expected, "{wrong}");
        }
        assert_eq!(ConfigNames::parse("instances = 1\ngroups = []"), ConfigNames::default());
    }
}

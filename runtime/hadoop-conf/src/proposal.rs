//! What is proposed: a login, and an instance with its grant for each service that the files name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use deputy_core::{GroupName, KerberosPrincipal};
use schemars::JsonSchema;
use serde::Serialize;

use crate::address::HadoopAddress;
use crate::{HadoopProperties, hdfs, kms, others, toml_text};

/// The most instances of one folder, and the most notes.
const MAX_INSTANCES: usize = 64;
const MAX_NOTES: usize = 100;

/// What the files of Hadoop do not say.
#[derive(Debug, Clone, Default)]
pub struct ProposalOptions {
    /// The principal that Deputy logs in as.
    pub principal: Option<KerberosPrincipal>,
    pub keytab: Option<PathBuf>,
    /// A krb5.conf, if it is not the system's.
    pub krb5_conf: Option<PathBuf>,
    /// The folder of the components.
    pub components: Option<PathBuf>,
    /// Which workers get the tokens.
    pub group: Option<GroupName>,
}

/// What is proposed, and what was not known.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Proposal {
    pub files: Vec<String>,
    pub instances: Vec<ProposedInstance>,
    pub notes: Vec<String>,
    #[serde(skip)]
    pub(crate) options: ProposalOptions,
    #[serde(skip)]
    pub(crate) realm: Option<String>,
}

/// An instance with its grant.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProposedInstance {
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The name of the provider: `hdfs`.
    pub provider: &'static str,
    pub enabled: bool,
    pub settings: Vec<(&'static str, String)>,
    /// The services' principals for contexts that the component opens.
    pub targets: Vec<String>,
    pub tcp: Vec<TcpGrant>,
    pub http: Vec<HttpGrant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TcpGrant {
    pub allow: String,
    pub networks: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HttpGrant {
    pub allow: String,
    pub path: String,
    pub networks: &'static str,
    /// The server's principal.
    pub negotiate: String,
}

impl Proposal {
    /// What to propose for a folder's properties.
    pub fn of(properties: &HadoopProperties, options: ProposalOptions) -> Self {
        let realm = options.principal.as_ref().map(|principal| principal.realm().to_owned());
        let mut draft = ProposalDraft { properties, realm, instances: Vec::new(), notes: Vec::new() };
        draft.check_security();
        hdfs::propose(&mut draft);
        kms::propose(&mut draft);
        others::propose(&mut draft);
        let ProposalDraft { realm, instances, notes, .. } = draft;
        let files = properties.files().iter().map(|name| (*name).to_owned()).collect();
        Self { files, instances, notes, options, realm }
    }

    /// The whole as a configuration for a person to read.
    pub fn to_toml(&self) -> String {
        toml_text::toml(self)
    }
}

/// A proposal that is being made.
pub(crate) struct ProposalDraft<'a> {
    pub(crate) properties: &'a HadoopProperties,
    /// That of the login, or the first one that the files name.
    realm: Option<String>,
    instances: Vec<ProposedInstance>,
    notes: Vec<String>,
}

impl ProposalDraft<'_> {
    /// Notes what the files do not say, once.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) && self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    /// A property's value; a note and `None` if it cannot be known.
    pub(crate) fn get(&mut self, name: &str) -> Option<String> {
        let value = self.properties.get(name);
        self.known(value).flatten()
    }

    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        let list = self.properties.list(name);
        self.known(list).unwrap_or_default()
    }

    pub(crate) fn flag(&mut self, name: &str, default: bool) -> bool {
        let flag = self.properties.flag(name, default);
        self.known(flag).unwrap_or(default)
    }

    pub(crate) fn known<T>(&mut self, value: Result<T, String>) -> Option<T> {
        value.map_err(|problem| self.note(problem)).ok()
    }

    /// An address; a note and `None` if it is none.
    pub(crate) fn address(&mut self, name: &str, text: &str, default_port: u16) -> Option<HadoopAddress> {
        let address = HadoopAddress::parse(text, default_port).map_err(|problem| format!("{name}: {problem}"));
        self.known(address)
    }

    /// The realm of a principal that is written without one.
    pub(crate) fn realm(&mut self) -> Option<String> {
        if self.realm.is_none() {
            // The servers are in one realm as a rule.
            let values: Vec<String> = REALM_OF.iter().filter_map(|name| self.get(name)).collect();
            self.realm = values.iter().find_map(|text| text.split_once('@')).map(|(_, realm)| realm.to_owned());
        }
        if self.realm.is_none() {
            self.note("no file names a realm: use `--principal NAME@REALM`".to_owned());
        }
        self.realm.clone()
    }

    /// Adds an instance under a name of its own, made from a text of the files.
    pub(crate) fn add(&mut self, begin: &str, text: &str, instance: ProposedInstance) {
        if self.instances.len() >= MAX_INSTANCES {
            self.note(format!("there are more than {MAX_INSTANCES} services: those beyond are left out"));
            return;
        }
        let taken: BTreeSet<&str> = self.instances.iter().map(|instance| instance.name.as_str()).collect();
        let name = instance_name(begin, text);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name.as_str()));
        self.instances.push(ProposedInstance { name: free.unwrap_or(name), ..instance });
    }

    fn check_security(&mut self) {
        let authentication = self.get("hadoop.security.authentication");
        if authentication.as_deref() != Some("kerberos") {
            let found = authentication.as_deref().unwrap_or("not set");
            self.note(format!(
                "hadoop.security.authentication is {found}, not kerberos: such a cluster gives no delegation tokens"
            ));
        }
        // For `hbase/_HOST` and its like without a realm, too.
        self.realm();
    }
}

/// Properties that have a realm in them.
const REALM_OF: [&str; 7] = [
    "dfs.namenode.kerberos.principal",
    "dfs.federation.router.kerberos.principal",
    "dfs.datanode.kerberos.principal",
    "dfs.web.authentication.kerberos.principal",
    "yarn.resourcemanager.principal",
    "hbase.master.kerberos.principal",
    "hive.metastore.kerberos.principal",
];

/// A name of an instance: lower-case letters, digits and inner hyphens, not too long to be numbered.
fn instance_name(begin: &str, text: &str) -> String {
    let text: String = text.chars().take(40).map(|letter| letter.to_ascii_lowercase()).collect();
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(begin).chain(words).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposal_names_are_names_of_instances() {
        for (text, expected) in [
            ("prod", "hdfs-prod"),
            ("Prod_EU.1", "hdfs-prod-eu-1"),
            ("", "hdfs"),
            ("--x--", "hdfs-x"),
            ("ä\"]", "hdfs"),
        ] {
            let name = instance_name("hdfs", text);
            assert_eq!(name, expected);
            assert!(name.parse::<deputy_core::InstanceName>().is_ok());
        }
        assert!(instance_name("webhdfs", &"x".repeat(500)).len() < 60);
    }
}

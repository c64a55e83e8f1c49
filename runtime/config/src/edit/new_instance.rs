//! A new instance at the end of a configuration, with its grant.

use std::collections::BTreeMap;
use std::fmt::Display;

use deputy_core::grant::{
    Grant, HttpRule, Injection, InjectionEncoding, InjectionPoint, KerberosTarget, PathRules, SecretGrant,
    SecretPurpose, TcpRule, TlsOptions,
};
use deputy_core::{GroupName, InstanceName, LoginName, SecretName};
use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Table, Value, value};

use super::{ConfigDocument, EditError};

/// What is written about a new instance.
#[derive(Debug)]
pub struct NewInstance<'n> {
    pub name: &'n InstanceName,
    /// The component's name or file, as the file has it.
    pub component: &'n str,
    /// The groups of workers that get the leases.
    pub groups: &'n [GroupName],
    pub settings: &'n BTreeMap<String, String>,
    /// Without Kerberos, which `login` and `targets` are for.
    pub grant: &'n Grant,
    /// The files of all secrets of the grant.
    pub files: &'n BTreeMap<SecretName, String>,
    pub login: Option<&'n LoginName>,
    pub targets: &'n [KerberosTarget],
}

impl ConfigDocument {
    /// Adds an instance behind all others. Nothing that stands in the file changes: comments at its end stay before what is
    /// new there.
    ///
    /// # Errors
    /// If there is an instance of this name, or `instances` is not written as tables.
    pub fn add_instance(&mut self, new: &NewInstance<'_>) -> Result<(), EditError> {
        let mut table = instance(new);
        let end = self.0.trailing().as_str().unwrap_or_default().to_owned();
        if !end.trim().is_empty() && self.is_last(new.name.as_str(), &table)? {
            let gap = if end.ends_with('\n') { "\n" } else { "\n\n" };
            table.decor_mut().set_prefix(format!("{end}{gap}"));
            self.0.set_trailing("");
        }
        self.insert(new.name.as_str(), table)
    }

    /// Whether an instance would be behind everything else in the file. Its tables may be in any order.
    fn is_last(&self, name: &str, table: &Table) -> Result<bool, EditError> {
        let mut document = self.clone();
        document.0.set_trailing("");
        let before = document.to_string();
        document.insert(name, table.clone())?;
        Ok(document.to_string().starts_with(&before))
    }

    fn insert(&mut self, name: &str, table: Table) -> Result<(), EditError> {
        let instances = self.0.as_table_mut().entry("instances").or_insert_with(|| {
            let mut instances = Table::new();
            instances.set_implicit(true);
            Item::Table(instances)
        });
        let instances = instances.as_table_mut().ok_or_else(|| EditError::Layout("instances".to_owned()))?;
        if instances.contains_key(name) {
            return Err(EditError::Exists(name.to_owned()));
        }
        instances.insert(name, Item::Table(table));
        Ok(())
    }
}

fn instance(new: &NewInstance<'_>) -> Table {
    let mut table = section();
    table.insert("component", value(new.component));
    if !new.groups.is_empty() {
        table.insert("deliver-to", list(new.groups));
    }
    if !new.settings.is_empty() {
        let mut settings = section();
        for (name, text) in new.settings {
            settings.insert(name, value(text));
        }
        table.insert("settings", Item::Table(settings));
    }
    let mut secrets = parent();
    for (name, grant) in &new.grant.secrets {
        secrets.insert(name.as_str(), Item::Table(secret(grant, new.files.get(name))));
    }
    if !secrets.is_empty() {
        table.insert("secrets", Item::Table(secrets));
    }
    if let Some(login) = new.login {
        let mut kerberos = section();
        kerberos.insert("login", value(login.as_str()));
        if !new.targets.is_empty() {
            kerberos.insert("targets", list(new.targets));
        }
        table.insert("kerberos", Item::Table(kerberos));
    }
    insert_rules(&mut table, "http", new.grant.http.iter().map(http));
    insert_rules(&mut table, "tcp", new.grant.tcp.iter().map(tcp));
    if new.grant.state.is_some() {
        table.insert("state", Item::Table(section()));
    }
    table
}

/// A table with a header, and an empty line before it.
fn section() -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    table
}

/// A table that is only on the way to other headers.
fn parent() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

fn insert_rules(table: &mut Table, key: &str, rules: impl Iterator<Item = Table>) {
    let rules: ArrayOfTables = rules.collect();
    if !rules.is_empty() {
        table.insert(key, Item::ArrayOfTables(rules));
    }
}

fn secret(grant: &SecretGrant, file: Option<&String>) -> Table {
    let mut table = section();
    if let Some(file) = file {
        let mut file = value(file);
        if let Some(file) = file.as_value_mut() {
            file.decor_mut().set_suffix("    # mode 0600");
        }
        table.insert("file", file);
    }
    if let Some(purpose) = grant.purpose() {
        table.insert(purpose.operation().key(), Item::Value(self::purpose(purpose)));
    }
    if grant.reveals() {
        table.insert("reveal", value(true));
    }
    table
}

fn purpose(purpose: &SecretPurpose) -> Value {
    let mut parts = InlineTable::new();
    match purpose {
        SecretPurpose::HmacSha256 | SecretPurpose::Pbkdf2 => return true.into(),
        SecretPurpose::Jwt(jwt) => {
            insert_list(&mut parts, "algorithms", jwt.algorithms());
            insert_list(&mut parts, "issuers", jwt.issuers());
            insert_list(&mut parts, "audiences", jwt.audiences());
            parts.insert("max-lifetime", jwt.max_lifetime().to_string().into());
        }
        SecretPurpose::Scram(scram) => {
            parts.insert("username", scram.username().into());
        }
        SecretPurpose::Sign(algorithms) => insert_list(&mut parts, "algorithms", algorithms),
        SecretPurpose::Sigv4(sigv4) => {
            insert_list(&mut parts, "services", sigv4.services());
            insert_list(&mut parts, "regions", sigv4.regions());
        }
    }
    Value::InlineTable(parts)
}

fn http(rule: &HttpRule) -> Table {
    let mut table = section();
    table.insert("allow", value(rule.pattern.to_string()));
    if !rule.methods.is_empty() {
        table.insert("methods", list(&rule.methods));
    }
    if let PathRules::Prefixes(prefixes) = &rule.paths {
        table.insert("paths", list(prefixes));
    }
    insert_networks(&mut table, &rule.networks);
    for injection in &rule.send.inject {
        let (key, name) = match &injection.place {
            InjectionPoint::Field(name) => ("form", name),
            InjectionPoint::Header(name) => ("headers", name),
        };
        let mut places = InlineTable::new();
        places.insert(name, Value::InlineTable(source(injection)));
        table.insert(key, Item::Value(Value::InlineTable(places)));
    }
    if let Some(target) = &rule.send.negotiate {
        table.insert("negotiate", value(target.to_string()));
    }
    table
}

fn source(injection: &Injection) -> InlineTable {
    let mut source = InlineTable::new();
    source.insert("secret", injection.secret.as_str().into());
    match &injection.form {
        InjectionEncoding::Basic { user } => source.insert("basic", user.into()),
        InjectionEncoding::OauthBasic { client } => source.insert("oauth2-basic", client.into()),
        InjectionEncoding::Plain { prefix } if prefix.is_empty() => None,
        InjectionEncoding::Plain { prefix } => source.insert("prefix", prefix.into()),
    };
    source
}

fn tcp(rule: &TcpRule) -> Table {
    let mut table = section();
    table.insert("allow", value(rule.to_string()));
    insert_networks(&mut table, &rule.networks);
    // A description names no files: the operator adds roots and a client's certificate.
    if let Some(TlsOptions { .. }) = &rule.tls {
        table.insert("tls", Item::Value(Value::InlineTable(InlineTable::new())));
    }
    table
}

fn insert_networks<T: Display>(table: &mut Table, networks: &[T]) {
    if !networks.is_empty() {
        table.insert("networks", list(networks));
    }
}

fn insert_list<T: Display>(table: &mut InlineTable, key: &str, texts: impl IntoIterator<Item = T>) {
    let texts: Array = texts.into_iter().map(|text| text.to_string()).collect();
    if !texts.is_empty() {
        table.insert(key, Value::Array(texts));
    }
}

fn list<T: Display>(texts: impl IntoIterator<Item = T>) -> Item {
    Item::Value(Value::Array(texts.into_iter().map(|text| text.to_string()).collect()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Colour, CoordinatorFile, CoordinatorTemplate};

    const OLD: &str = "# mine\nstate = \"state\"   # kept\n\n[instances.old]\ncomponent = \"old.wasm\" # first\n\n[upstreams.x]\ncalls-per-minute = 60\nburst = 2\n";

    fn add(text: &str, grant: &Grant, settings: &[(&str, &str)]) -> Result<String, EditError> {
        let mut document = ConfigDocument::parse(text).unwrap();
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let files = grant.secrets.keys().map(|name| (name.clone(), format!("secrets/new.{name}"))).collect();
        let new = NewInstance {
            name: &"new".parse().unwrap(),
            component: "s3-sts",
            groups: &[],
            settings: &settings,
            grant,
            files: &files,
            login: None,
            targets: &[],
        };
        document.add_instance(&new).map(|()| document.to_string())
    }

    fn grant_of(text: &str) -> Grant {
        let config = CoordinatorFile::parse(text, Path::new("deputy.toml"));
        let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
        let entry = config.instances.values().find(|entry| entry.name.as_str() == "new").unwrap();
        entry.component.clone().unwrap().grant
    }

    #[test]
    fn new_instance_leaves_the_rest_of_the_file_alone() {
        let text = add(OLD, &Grant::default(), &[("region", "eu-west-1")]).unwrap();
        for line in OLD.lines() {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(
            text.contains(
                "\n[instances.new]\ncomponent = \"s3-sts\"\n\n[instances.new.settings]\nregion = \"eu-west-1\"\n"
            ),
            "{text}"
        );
        assert_eq!(grant_of(&text), Grant::default());
        assert_eq!(add(&text, &Grant::default(), &[]), Err(EditError::Exists("new".to_owned())));
        let inline = "instances = { old = { component = \"old.wasm\" } }\n";
        assert_eq!(add(inline, &Grant::default(), &[]), Err(EditError::Layout("instances".to_owned())));
    }

    #[test]
    fn new_instance_stays_behind_the_comments_at_the_end() {
        let instances = "[instances.old]\ncomponent = \"old.wasm\"\n# networks = [\"private\"]\n";
        for old in [&CoordinatorTemplate.render(), instances, "# mine\n", "state = \"state\"\n# no end of line"] {
            let text = add(old, &Grant::default(), &[]).unwrap();
            let new = text.strip_prefix(old).unwrap_or_else(|| panic!("{old:?} in {text:?}"));
            assert_eq!(new.trim_start(), "[instances.new]\ncomponent = \"s3-sts\"\n");
            assert!(text.contains("\n\n[instances.new]\n"), "{text:?}");
        }
        // Other tables follow the instances: what is at the end is about them.
        let old = format!("{OLD}# of x\n");
        let text = add(&old, &Grant::default(), &[]).unwrap();
        assert!(text.ends_with("\n[upstreams.x]\ncalls-per-minute = 60\nburst = 2\n# of x\n"), "{text}");
    }

    #[test]
    fn new_instance_keeps_every_layout() {
        for old in [
            "instances.old.component = \"old.wasm\" # dotted\n",
            "[instances]\nold = { component = \"old.wasm\" } # inline\n",
            "[instances.old.settings] # first\na = \"b\"\n[upstreams.x]\ncalls-per-minute = 60\nburst = 2 # between\n[instances.old]\ncomponent = \"old.wasm\"",
            "# mine\r\n[instances.old] # crlf\r\ncomponent = \"old.wasm\"\r\n# end\r\n",
            "[[instances.old.http]]\nallow = \"https://a.example\"\n\n# between\n\n[instances.old]\ncomponent = \"old.wasm\"\n",
        ] {
            let text = add(old, &Grant::default(), &[("a", "b")]).unwrap();
            let mut lines = text.lines();
            assert!(old.lines().all(|line| lines.any(|found| found == line)), "{old:?} in {text:?}");
            let [before, after] = [old, &text].map(|text| {
                let config = CoordinatorFile::parse(text, Path::new("deputy.toml"));
                config.map_err(|errors| errors.render(Colour::Never)).unwrap().instances
            });
            assert!(after.iter().filter(|(name, _)| name.as_str() != "new").eq(before.iter()), "{text}");
            assert_eq!(after.len(), 2, "{text}");
        }
    }

    #[test]
    fn new_instance_takes_every_name_and_value_as_it_is() {
        let odd = "a \"quoted\" \\ value\n[instances.evil]\ncomponent = \"x\" # ' \u{1b}[2J";
        for name in ["region", "a.b", "[[instances.evil]]", "x]\ny = \"z", "\"", "'", "#", " "] {
            let text = add(OLD, &Grant::default(), &[(name, odd)]).unwrap();
            let config = CoordinatorFile::parse(&text, Path::new("deputy.toml"));
            let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
            assert_eq!(config.instances.len(), 2, "{text}");
            let new = config.instances.values().find(|entry| entry.name.as_str() == "new").unwrap();
            let settings = &new.component.as_ref().unwrap().settings;
            assert_eq!(settings.get(name).map(String::as_str), Some(odd));
        }
    }

    /// Every part of a grant that a description can ask for.
    const ALL: &str = r#"
[instances.new]
component = "s3-sts"

[instances.new.secrets.aws-key]
file = "secrets/new.aws-key"    # mode 0600
sigv4 = { services = ["sts"], regions = ["eu-west-1", "us-east-1"] }

[instances.new.secrets.bare]
file = "secrets/new.bare"    # mode 0600
hmac-sha256 = true
reveal = true

[instances.new.secrets.client]
file = "secrets/new.client"    # mode 0600

[instances.new.secrets.jwt-key]
file = "secrets/new.jwt-key"    # mode 0600
jwt = { algorithms = ["RS256"], issuers = ["me"], audiences = ["https://idp"], max-lifetime = "10m" }

[instances.new.secrets.password]
file = "secrets/new.password"    # mode 0600
scram = { username = "alice" }

[[instances.new.http]]
allow = "https://*.example.com"
methods = ["GET", "POST"]
paths = ["/v1", "/v2"]
networks = ["private", "10.1.0.0/16"]
headers = { authorization = { secret = "client", oauth2-basic = "me" } }

[[instances.new.http]]
allow = "http://a.example:8080"
form = { field = { secret = "client" } }

[[instances.new.tcp]]
allow = "b.example:9093"
tls = {}

[instances.new.state]
"#;

    #[test]
    fn new_instance_is_written_as_its_grant_is_read() {
        let grant = grant_of(ALL);
        assert_eq!(add("", &grant, &[]).unwrap(), ALL);
        assert_eq!(grant_of(&add(OLD, &grant, &[]).unwrap()), grant);
    }
}

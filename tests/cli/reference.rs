//! The tables of settings in the documents: made of what the connectors say about themselves.
//!
//! `cargo xtask reference` runs this with `DEPUTY_WRITE_REFERENCE`, which writes them.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use deputy_test_servers::guest;
use serde_json::Value;

use crate::home::TestEnvironment;

/// The connectors of each page.
const PAGES: [(&str, &[&str]); 2] = [
    ("providers.md", &["s3-sts", "hdfs", "yarn", "hbase", "hive", "webhdfs", "kms", "kafka", "oauth2-rust"]),
    ("receivers.md", &["aws-credentials", "hadoop-credentials", "kafka-client", "files"]),
];

const END: &str = "<!-- end of settings -->";

fn begin(connector: &str) -> String {
    format!("<!-- settings of {connector}, by `cargo xtask reference` -->\n")
}

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn property<'s>(setting: &'s Value, name: &str) -> Option<&'s str> {
    let properties = setting["properties"].as_array().unwrap().iter();
    properties.filter(|property| property["name"] == name).find_map(|property| property["value"].as_str())
}

/// The table of a connector's settings.
fn table(home: &TestEnvironment, connector: &str) -> String {
    let component = guest(connector).unwrap();
    let run = home.run(&["inspect", component.to_str().unwrap(), "--json"]);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let mut table = "| setting | | type | without it |\n|---|---|---|---|\n".to_owned();
    for setting in seen["description"]["settings"].as_array().unwrap() {
        let name = setting["name"].as_str().unwrap();
        let text = property(setting, "text").unwrap();
        let kind = property(setting, "type").unwrap().replace(" | ", ", ");
        let needed = match property(setting, "needed") {
            Some("yes") => "an error".to_owned(),
            Some(when) => format!("an error {when}"),
            None => String::new(),
        };
        let default = property(setting, "default").unwrap_or_default();
        let gap = if needed.is_empty() || default.is_empty() { "" } else { "; " };
        writeln!(table, "| `{name}` | {text} | {kind} | {default}{gap}{needed} |").unwrap();
    }
    table
}

#[test]
fn reference_tables_are_what_the_connectors_say() {
    let is_writing = std::env::var_os("DEPUTY_WRITE_REFERENCE").is_some();
    let home = TestEnvironment::empty();
    for (name, connectors) in PAGES {
        let mut text = fs::read_to_string(page(name)).unwrap();
        for connector in connectors {
            let (before, rest) = text.split_once(&begin(connector)).unwrap_or_else(|| panic!("{name}: {connector}"));
            let (old, after) = rest.split_once(END).unwrap();
            let new = table(&home, connector);
            assert!(is_writing || old == new, "{name}: the table of {connector} is old: run `cargo xtask reference`");
            text = format!("{before}{}{new}{END}{after}", begin(connector));
        }
        if is_writing {
            fs::write(page(name), text).unwrap();
        }
    }
}

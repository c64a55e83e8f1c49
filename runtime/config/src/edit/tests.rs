#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use super::*;

const CONFIG: &str = r#"# The coordinator of the lab.
state = "state"   # beside this file

[instances.a]
component = "a.wasm"

# Where it logs in.
[[instances.a.http]]
allow = "https://a.example"   # the identity provider
methods = [
    "POST", # to log in
]
paths = ["/token"]

[instances.b] # another one
component = "b.wasm"
# the end
"#;

fn applied(config: &str, fix: &str) -> Result<String, EditError> {
    let mut document = ConfigDocument::parse(config).unwrap();
    document.apply(fix)?;
    Ok(document.to_string())
}

#[test]
fn edit_changes_nothing_that_the_lines_do_not_name() {
    assert_eq!(ConfigDocument::parse(CONFIG).unwrap().to_string(), CONFIG);
    let fix = "# in this existing rule, number 1 of [[instances.a.http]]:\n[[instances.a.http]]\n\
               allow = \"https://a.example\"\nmethods = [\"POST\", \"PUT\"]\npaths = [\"/token\"]";
    let expected = CONFIG.replace("    \"POST\", # to log in\n", "    \"POST\",\n    \"PUT\", # to log in\n");
    assert_eq!(applied(CONFIG, fix).unwrap(), expected);
}

#[test]
fn edit_puts_a_new_rule_or_table_below_its_instance() {
    let rule = "[[instances.a.http]]\nallow = \"https://c.example\"\n";
    let fix = format!("# a remark\n# a new rule:\n{rule}# it adds no secret");
    let expected = CONFIG.replace("paths = [\"/token\"]\n", &format!("paths = [\"/token\"]\n\n{rule}"));
    assert_eq!(applied(CONFIG, &fix).unwrap(), expected);
    let fix = "# in this table, replacing its current lines:\n[instances.b.limits]\nrequests = 32 # 16 now";
    let expected = CONFIG.replace("\"b.wasm\"\n", "\"b.wasm\"\n\n[instances.b.limits]\nrequests = 32\n");
    assert_eq!(applied(CONFIG, fix).unwrap(), expected);
}

#[test]
fn edit_keeps_the_form_of_inline_tables() {
    let config = "instances.a = { component = \"a.wasm\", http = [{ allow = \"https://a.example\" }] }\n";
    let place = "# in this existing rule, number 1 of [[instances.a.http]]:\n[[instances.a.http]]";
    let changed = applied(config, &format!("{place}\nnetworks = [\"private\"]")).unwrap();
    assert!(
        changed.contains("allow = \"https://a.example\" , networks = [\"private\"]}")
            || changed.contains("networks = [\"private\"]"),
        "{changed}"
    );
    let added = applied(config, "# a new rule:\n[[instances.a.http]]\nallow = \"https://b.example\"").unwrap();
    assert!(added.contains("{ allow = \"https://a.example\" }, { allow = \"https://b.example\" }"), "{added}");
}

#[test]
fn edit_replaces_a_purpose_by_another() {
    let config = "[instances.a.secrets.key]\nfile = \"key\"\nhmac-sha256 = true # for now\n";
    let fix = "# in this table, in place of `hmac-sha256`, since a secret serves one purpose:\n\
               [instances.a.secrets.key]\npbkdf2 = true";
    assert_eq!(applied(config, fix).unwrap(), "[instances.a.secrets.key]\nfile = \"key\"\npbkdf2 = true\n");
}

#[test]
fn edit_refuses_what_only_the_operator_knows() {
    let number =
        "# in this existing rule, number 2 of [[instances.a.http]]:\n[[instances.a.http]]\nmethods = [\"GET\"]";
    let no_rule = EditError::NoRule { table: "instances.a.http".to_owned(), number: 2 };
    assert_eq!(applied(CONFIG, number), Err(no_rule));
    let placeholder = "# a new table:\n[instances.a.secrets.key]\nfile = \"…\" # the source of its value";
    assert!(matches!(applied(CONFIG, placeholder), Err(EditError::Placeholder(_))));
    assert_eq!(applied(CONFIG, "[instances.a]\nenabled = false"), Err(EditError::Nowhere));
    assert_eq!(applied(CONFIG, "# a new rule:\n[[instances.a.http"), Err(EditError::Lines));
    assert_eq!(ConfigDocument::parse("a = ").err(), Some(EditError::Document));
}

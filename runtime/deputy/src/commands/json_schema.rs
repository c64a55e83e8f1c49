//! The JSON Schema of what commands print with `--json`, from the types that they print and their comments.
//! `cargo xtask schema` generates it; each command names its types here.

use std::collections::BTreeSet;

use clap::CommandFactory;
use deputy_coordinator::status::CoordinatorStatus;
use deputy_coordinator::{PageUrl, ReloadReply, TokenList, WorkerStatus};
use deputy_worker::status::WorkerReport;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    add, call, check, components, diff, doctor, exit_codes, get, grant, hadoop_conf, inspect, instance_action, obtain,
    state, status, test, token, workers,
};
use crate::cli::Cli;
use crate::commands::schema::OUTPUT_SCHEMA;
use crate::context::{FailedJson, SCHEMA};

/// Set by `cargo xtask schema`: writes the file instead of comparing it.
const WRITE: &str = "DEPUTY_WRITE_SCHEMA";

const PAGE: &str = include_str!("../../../../docs/json.md");

/// What `deputy workers` prints page by page.
#[derive(Serialize, JsonSchema)]
struct WorkersJson {
    schema: u32,
    /// In the order of their ids.
    workers: Vec<WorkerStatus>,
}

/// A command, and a type that it prints.
type Output = (&'static str, fn(&mut SchemaGenerator) -> Schema);

const OUTPUTS: [Output; 31] = [
    ("deputy add", schema_of::<add::AddJson<'static>>),
    ("deputy call", schema_of::<call::CallJson>),
    ("deputy check", schema_of::<check::CoordinatorCheckJson>),
    ("deputy check", schema_of::<check::WorkerCheckJson>),
    ("deputy components", schema_of::<components::ComponentsJson>),
    ("deputy diff", schema_of::<diff::DiffJson<'static>>),
    ("deputy doctor", schema_of::<doctor::DoctorJson>),
    ("deputy exit-codes", schema_of::<exit_codes::ExitCodesJson>),
    ("deputy get", schema_of::<get::GetJson<'static>>),
    ("deputy grant", schema_of::<grant::GrantJson<'static>>),
    ("deputy hadoop-conf", schema_of::<hadoop_conf::ProposalJson<'static>>),
    ("deputy inspect", schema_of::<inspect::InspectJson<'static>>),
    ("deputy obtain", schema_of::<obtain::ObtainJson<'static>>),
    ("deputy reload", schema_of::<ReloadReply>),
    ("deputy renew", schema_of::<instance_action::InstanceActionJson<'static>>),
    ("deputy revoke", schema_of::<instance_action::InstanceActionJson<'static>>),
    ("deputy state backup", schema_of::<state::StateActionJson<'static>>),
    ("deputy state copy", schema_of::<state::StateActionJson<'static>>),
    ("deputy state rekey", schema_of::<state::StateActionJson<'static>>),
    ("deputy state restore", schema_of::<state::StateActionJson<'static>>),
    ("deputy status", schema_of::<CoordinatorStatus>),
    ("deputy status", schema_of::<status::InstanceJson>),
    ("deputy test", schema_of::<test::TestJson<'static>>),
    ("deputy token create", schema_of::<token::NewTokenJson<'static>>),
    ("deputy token list", schema_of::<TokenList>),
    ("deputy token revoke", schema_of::<token::RevokedTokenJson>),
    ("deputy ui", schema_of::<PageUrl>),
    ("deputy worker status", schema_of::<WorkerReport>),
    ("deputy workers", schema_of::<WorkersJson>),
    ("deputy workers ban", schema_of::<workers::WorkerActionJson>),
    ("deputy workers remove", schema_of::<workers::WorkerActionJson>),
];

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The name of the definition that a reference leads to.
fn name_of(schema: &Schema) -> String {
    let reference = schema.get("$ref").and_then(Value::as_str).unwrap();
    reference.rsplit('/').next().unwrap().to_owned()
}

/// Each command with the definition of what it prints.
fn named_outputs(generator: &mut SchemaGenerator) -> Vec<(&'static str, String)> {
    let outputs = OUTPUTS.map(|(command, schema)| (command, name_of(&schema(generator))));
    outputs
        .into_iter()
        .chain([("a command that failed", name_of(&schema_of::<FailedJson<'static>>(generator)))])
        .collect()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn generated() -> String {
    let mut generator = generator();
    let outputs = named_outputs(&mut generator);
    let any: Vec<Value> =
        outputs.iter().map(|(title, name)| json!({"title": title, "$ref": format!("#/$defs/{name}")})).collect();
    let mut definitions = generator.take_definitions(true);
    for definition in definitions.values_mut() {
        if let Some(version) = definition.pointer_mut("/properties/schema") {
            *version = json!({"description": "The version of this schema.", "const": SCHEMA});
        }
    }
    let body = json!({"anyOf": any, "$defs": definitions});
    let body = serde_json::to_string_pretty(&body).unwrap();
    // So that both stand first.
    let head = "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"What deputy prints with --json\",\n";
    head.to_owned() + body.strip_prefix("{\n").unwrap() + "\n"
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a chore writes this tree")]
fn json_schema_is_what_commands_print() {
    let generated = generated();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/output.schema.json"), generated).unwrap();
        return;
    }
    let hint = "runtime/deputy/schema/output.schema.json is not current: `cargo xtask schema` generates it";
    assert!(OUTPUT_SCHEMA == generated, "{hint}");
}

#[test]
fn json_schema_has_every_command_with_json() {
    fn visit(command: &clap::Command, parent: &str, found: &mut BTreeSet<String>) {
        let name = format!("{parent}{}", command.get_name());
        if command.get_arguments().any(|argument| argument.get_long() == Some("json")) {
            found.insert(name.clone());
        }
        command.get_subcommands().for_each(|command| visit(command, &format!("{name} "), found));
    }
    let mut found = BTreeSet::new();
    visit(&Cli::command(), "", &mut found);
    assert_eq!(OUTPUTS.map(|(command, _)| command.to_owned()).into_iter().collect::<BTreeSet<_>>(), found);
}

#[test]
fn json_page_names_each_command_and_its_definition() {
    for (command, name) in named_outputs(&mut generator()) {
        let is_row =
            |line: &str| line.starts_with("| ") && line.contains(command) && line.contains(&format!("`{name}`"));
        assert!(PAGE.lines().any(is_row), "docs/json.md has no row for {command} and {name}");
    }
    assert!(PAGE.contains(&format!("version {SCHEMA}")), "docs/json.md names another version");
}

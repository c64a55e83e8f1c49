//! The JSON Schemas say what the readers of the configuration take, in the words of the reference.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "what fails here is a failed test"
)]

mod probe;
mod reference;

use deputy_config::{coordinator_schema, worker_schema};
use serde_json::Value;

use probe::{LIMITS, Probe, coordinator, worker};

/// Set by `cargo xtask schema`: writes the files instead of comparing them.
const WRITE: &str = "DEPUTY_WRITE_SCHEMA";

fn generated(title: &str, probe: Probe, reference: &str) -> String {
    let mut descriptions = reference::descriptions(reference::parts().0);
    descriptions.retain(|path, _| path.starts_with(LIMITS));
    descriptions.extend(reference::descriptions(reference));
    let Value::Object(mut schema) = probe.table(&descriptions) else { panic!("no table") };
    // So that both stand first, whatever the order of a map is.
    let head = format!(
        "{{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"title\": {},\n",
        Value::from(title)
    );
    schema.remove("title");
    let body = serde_json::to_string_pretty(&schema).unwrap();
    head + body.strip_prefix("{\n").unwrap() + "\n"
}

#[track_caller]
fn assert_current(file: &str, current: &str, generated: &str) {
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(format!("{}/schema/{file}", env!("CARGO_MANIFEST_DIR")), generated).unwrap();
        return;
    }
    assert!(current == generated, "runtime/config/schema/{file} is not current: `cargo xtask schema` generates it");
}

#[test]
fn schema_is_what_the_readers_take() {
    let (of_coordinator, of_worker) = reference::parts();
    let deputy = generated("deputy.toml", coordinator(), of_coordinator);
    // What the probes saw, lest they see nothing.
    for seen in ["\"http\"", "\"on-demand\"", "\"oauth2-basic\"", "\"keytab\"", "\"max-lifetime\"", "\"between-bytes\""]
    {
        assert!(deputy.contains(seen), "{seen}");
    }
    assert_current("deputy.schema.json", coordinator_schema(), &deputy);
    let worker = generated("worker.toml", worker(), of_worker);
    for seen in ["\"on-change\"", "\"token-file\"", "\"WINCH\"", "\"keep\""] {
        assert!(worker.contains(seen), "{seen}");
    }
    assert_current("worker.schema.json", worker_schema(), &worker);
}

#[test]
fn schema_describes_nearly_every_key() {
    for schema in [coordinator_schema(), worker_schema()] {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let (mut keys, mut described) = (0, 0);
        count(&schema, &mut keys, &mut described);
        assert!(keys > 20 && described * 10 >= keys * 6, "{described} of {keys} keys");
    }
}

fn count(schema: &Value, keys: &mut usize, described: &mut usize) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                *keys += properties.len();
                *described += properties.values().filter(|key| key.get("description").is_some()).count();
            }
            members.values().for_each(|member| count(member, keys, described));
        }
        Value::Array(members) => members.iter().for_each(|member| count(member, keys, described)),
        _ => {}
    }
}

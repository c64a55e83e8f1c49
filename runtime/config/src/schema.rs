//! The JSON Schemas of both files, for editors. `cargo xtask schema` generates them by asking the readers of this crate what they
//! take, with the words of docs/configuration.md. What depends on several keys, only the readers know.

/// The JSON Schema of `deputy.toml`.
pub fn coordinator_schema() -> &'static str {
    include_str!("../schema/deputy.schema.json")
}

/// The JSON Schema of `worker.toml`.
pub fn worker_schema() -> &'static str {
    include_str!("../schema/worker.schema.json")
}

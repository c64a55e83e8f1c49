//! deputy.toml.

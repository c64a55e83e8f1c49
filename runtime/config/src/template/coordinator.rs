//! A file for a coordinator, without instances.

use super::COORDINATOR_SCHEMA;

#[derive(Debug, Clone, Copy)]
pub struct CoordinatorTemplate;

impl CoordinatorTemplate {
    pub fn render(self) -> String {
        format!(
            "#:schema ./{COORDINATOR_SCHEMA}
# What Deputy keeps, and what each connector is granted. What is not granted here is denied.
# `deputy add` writes an instance, `deputy check` validates this file; paths are relative to it.

state = \"state\"                  # sealed leases, the master key, compiled components: for this user alone
audit = \"audit.jsonl\"            # every host, path and secret that a connector uses

# To serve workers on other machines:
# [coordinator]
# listen = \"0.0.0.0:8271\"
# advertise = \"deputy.example:8271\"
"
        )
    }
}

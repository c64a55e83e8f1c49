//! A file for the systemd unit of a coordinator: state, audit log and socket where the unit has them.

use super::COORDINATOR_SCHEMA;

#[derive(Debug, Clone, Copy)]
pub struct ServiceTemplate;

impl ServiceTemplate {
    pub fn render(self) -> String {
        format!(
            "#:schema ./{COORDINATOR_SCHEMA}
# What Deputy keeps, and what each connector is granted. What is not granted here is denied. For the unit deputy.service, which
# runs as the user deputy and writes to these folders alone.
# `deputy add` writes an instance, `deputy check` validates this file, `systemctl reload deputy` applies it. Paths are relative to
# it.

state = \"/var/lib/deputy\"                  # sealed leases, the master key, compiled components
audit = \"/var/lib/deputy/audit.jsonl\"      # every host, path and secret that a connector uses

[coordinator]
control = \"/run/deputy/control.sock\"
control-mode = \"0660\"            # members of the group deputy may use it, and get leases: `adduser NAME deputy`
health = \"127.0.0.1:8270\"        # /livez, /readyz and /metrics
# To serve workers on other machines:
# listen = \"0.0.0.0:8271\"
# advertise = \"deputy.example:8271\"
"
        )
    }
}

//! A file for a worker.

use deputy_core::toml_string;

use super::WORKER_SCHEMA;

#[derive(Debug, Clone)]
pub struct WorkerTemplate {
    /// The file of the join string.
    pub join: String,
    /// The directory below which receivers publish.
    pub output: String,
    /// The state directory.
    pub state: String,
    /// The component of a receiver, with the instances that it gets.
    pub receiver: Option<(String, Vec<String>)>,
}

impl WorkerTemplate {
    pub fn render(&self) -> String {
        let (join, output, state) = (toml_string(&self.join), toml_string(&self.output), toml_string(&self.state));
        let receiver = match &self.receiver {
            Some((component, instances)) => {
                let instances: Vec<_> = instances.iter().map(|instance| toml_string(instance)).collect();
                format!(
                    "[receivers.files]\ncomponent = {}\ninstances = [{}]\n",
                    toml_string(component),
                    instances.join(", ")
                )
            }
            None => "# A receiver of this worker's own; the coordinator may have some for the group as well:
# [receivers.aws]
# component = \"aws-credentials\"
# instances = [\"s3\"]\n"
                .to_owned(),
        };
        format!(
            "#:schema ./{WORKER_SCHEMA}
# What this worker receives, and where it publishes it. `deputy check --config worker.toml` validates this file.

[worker]
join = {{ file = {join} }}         # what `deputy token create --group GROUP` printed on the coordinator; mode 0600
output = {output}             # each receiver's files appear below it, under the receiver's name
state = {state}          # identity and sealed cache, for this user alone

{receiver}
# For `deputy get`, `deputy exec` and libraries on this machine:
# [endpoints.socket]
# path = \"worker.sock\"
"
        )
    }
}

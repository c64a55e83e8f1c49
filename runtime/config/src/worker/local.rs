//! Receivers and endpoints of a coordinator's own: it publishes files and serves programs on its machine as a worker would,
//! without a second process.

use std::collections::BTreeSet;
use std::path::Path;

use deputy_core::InstanceName;

use crate::components::ComponentBase;
use crate::delivered::Delivered;
use crate::diagnostic::DiagnosticSink;
use crate::setting_lines::SettingLines;
use crate::value::{TableReader, optional};

use super::publish::{self, Publish};
use super::{Endpoints, Wanted, WorkerConfig, WorkerSection, endpoint, receiver};

/// Keys that have no effect without a receiver.
const RECEIVER_KEYS: [&str; 2] = ["expired", "output"];

/// Reads `output`, `expired`, `[receivers]` and `[endpoints]` of a coordinator's file; `None` without the tables.
pub(crate) fn read(
    sink: &mut DiagnosticSink,
    path: &Path,
    components: &ComponentBase<'_>,
    fields: &mut TableReader<'_>,
    delivered: &Delivered,
) -> Option<WorkerConfig> {
    let output = optional(fields.optional("output"), |v| v.path(sink, components.directory));
    let expired = optional(fields.optional("expired"), |v| publish::on_expiry(sink, v));
    let (written_receivers, written_endpoints) = (fields.optional("receivers"), fields.optional("endpoints"));
    if written_receivers.is_none() {
        for key in RECEIVER_KEYS {
            if let Some(at) = fields.key(key) {
                sink.error(at, format!("`{key}` has no effect: this coordinator runs no receiver"))
                    .expected("needs [receivers.NAME]");
            }
        }
    }
    if written_receivers.is_none() && written_endpoints.is_none() {
        return None;
    }
    let wanted = Wanted::Configured(delivered);
    let endpoints = written_endpoints.map(|v| endpoint::read(sink, components.directory, Some(&wanted), v));
    let publish = Publish { output: output?, expired: expired?.unwrap_or_default(), ..Publish::default() };
    let section = WorkerSection { wanted, publish: publish.clone(), ..WorkerSection::default() };
    let receivers = written_receivers.map(|v| receiver::read(sink, components, Some(&section), v)).unwrap_or_default();
    Some(WorkerConfig {
        path: path.to_owned(),
        state_dir: None,
        audit: None,
        components: components.folder.clone(),
        join: None,
        key: None,
        health: None,
        instances: None,
        publish,
        receivers,
        endpoints: endpoints.unwrap_or_else(Endpoints::default),
        traces: None,
        // Those of the file are with the coordinator's.
        warnings: DiagnosticSink::default().close(path, ""),
        setting_lines: SettingLines::default(),
    })
}

impl WorkerConfig {
    /// The instances that its own receivers and its endpoints name.
    pub fn named_instances(&self) -> BTreeSet<InstanceName> {
        let receivers = self.receivers.values().filter_map(|receiver| receiver.component());
        let receivers = receivers.flat_map(|component| component.instances.iter().cloned());
        receivers.chain(self.endpoints.aws.iter().map(|aws| aws.instance.clone())).collect()
    }
}

//! `[groups.NAME]`: the receivers that all workers of a group run.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::{GroupName, InstanceName, ReceiverName};

use crate::components::ComponentBase;
use crate::delivered::Delivered;
use crate::diagnostic::DiagnosticSink;
use crate::instance::InstanceEntry;
use crate::receiver::{Parts, ReceiverComponent};
use crate::value::{Key, Located, truncated};

/// A group of workers with the same permissions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerGroup {
    /// The instances whose leases its workers get, disabled ones included.
    pub instances: BTreeSet<InstanceName>,
    /// Each instance of a receiver is one of the group's.
    pub receivers: BTreeMap<ReceiverName, ReceiverComponent>,
}

/// All groups: those that an instance is delivered to, and those that have a table.
pub(crate) fn read(
    sink: &mut DiagnosticSink,
    base: &ComponentBase<'_>,
    value: Option<Located<'_>>,
    instances: &BTreeMap<InstanceName, InstanceEntry>,
    delivered: &Delivered,
) -> BTreeMap<GroupName, WorkerGroup> {
    let mut groups: BTreeMap<GroupName, WorkerGroup> = BTreeMap::new();
    for entry in instances.values() {
        for group in &entry.deliver_to {
            groups.entry(group.clone()).or_default().instances.insert(entry.name.clone());
        }
    }
    let entries = value.map(|value| value.entries(sink, "[groups.NAME]")).unwrap_or_default();
    for (key, value) in entries {
        let name = key.parsed::<GroupName>(sink);
        let receivers = receivers(sink, base, &key, name.as_ref(), value, delivered);
        let Some(name) = name else { continue };
        let group = groups.entry(name).or_default();
        group.receivers = receivers;
        if group.instances.is_empty() && group.receivers.is_empty() {
            sink.warning(key.at, format!("nothing is delivered to the group `{}`", truncated(key.name)))
                .expected("no instance has it in `deliver-to`");
        }
    }
    groups
}

fn receivers(
    sink: &mut DiagnosticSink,
    base: &ComponentBase<'_>,
    group: &Key<'_>,
    name: Option<&GroupName>,
    value: Located<'_>,
    delivered: &Delivered,
) -> BTreeMap<ReceiverName, ReceiverComponent> {
    let Some(mut fields) = value.table(sink, &format!("[groups.{}]", truncated(group.name))) else {
        return BTreeMap::new();
    };
    let receivers = fields.optional("receivers");
    fields.finish(sink);
    let entries = receivers.map(|value| value.entries(sink, "[groups.NAME.receivers.NAME]")).unwrap_or_default();
    let receiver = |(key, value): (Key<'_>, Located<'_>)| {
        let receiver = key.parsed(sink);
        Some((receiver, component(sink, base, name, value, delivered)?))
    };
    let receivers: Vec<_> = entries.into_iter().filter_map(receiver).collect();
    receivers.into_iter().filter_map(|(name, component)| Some((name?, component))).collect()
}

fn component(
    sink: &mut DiagnosticSink,
    base: &ComponentBase<'_>,
    group: Option<&GroupName>,
    value: Located<'_>,
    delivered: &Delivered,
) -> Option<ReceiverComponent> {
    let mut fields = value.table(sink, "[groups.NAME.receivers.NAME]")?;
    let needed = fields.required(sink, "component", "\"aws-credentials\"").is_some()
        & fields.required(sink, "instances", "[\"s3-prod\"]").is_some();
    let mut is_valid = needed;
    let parts = Parts::read(sink, base, &mut fields);
    fields.finish(sink);
    for (instance, at) in parts.instances() {
        is_valid &= delivered.check(sink, instance, at.clone(), group);
    }
    parts.into_component().filter(|_| is_valid)
}

//! `[groups.NAME]`: the receivers that the workers of a group run without a word in their own configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deputy_core::{GroupName, InstanceName, ReceiverName};

use crate::delivered::Delivered;
use crate::diagnostic::DiagnosticSink;
use crate::instance::InstanceEntry;
use crate::receiver::{Parts, ReceiverComponent};
use crate::value::{Key, Located, shown};

/// A group of workers, which all may have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerGroup {
    /// Whose leases its workers get, also of those that are not enabled.
    pub instances: BTreeSet<InstanceName>,
    /// What its workers make of them. Each instance of a receiver is one of the group's.
    pub receivers: BTreeMap<ReceiverName, ReceiverComponent>,
}

/// All groups: those that something is delivered to, and those that have a table.
pub(crate) fn read(
    sink: &mut DiagnosticSink,
    base: &Path,
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
            sink.warning(key.at, format!("nothing is delivered to the group `{}`", shown(key.name)))
                .expected("no instance has it in `deliver-to`");
        }
    }
    groups
}

fn receivers(
    sink: &mut DiagnosticSink,
    base: &Path,
    group: &Key<'_>,
    name: Option<&GroupName>,
    value: Located<'_>,
    delivered: &Delivered,
) -> BTreeMap<ReceiverName, ReceiverComponent> {
    let Some(mut fields) = value.table(sink, &format!("[groups.{}]", shown(group.name))) else {
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
    base: &Path,
    group: Option<&GroupName>,
    value: Located<'_>,
    delivered: &Delivered,
) -> Option<ReceiverComponent> {
    let mut fields = value.table(sink, "[groups.NAME.receivers.NAME]")?;
    let needed = fields.required(sink, "component", "\"receiver.wasm\"").is_some()
        & fields.required(sink, "instances", "[\"s3-prod\"]").is_some();
    let mut sound = needed;
    let parts = Parts::read(sink, base, &mut fields);
    fields.finish(sink);
    for (instance, at) in parts.instances() {
        sound &= delivered.check(sink, instance, at.clone(), group);
    }
    parts.into_component().filter(|_| sound)
}

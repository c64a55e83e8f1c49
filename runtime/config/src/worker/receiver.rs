//! `[receivers.NAME]` of a worker: a receiver of its own, or settings for one that the coordinator chose.

use std::collections::BTreeMap;

use deputy_core::{LimitOverrides, ReceiverName};

use crate::components::ComponentBase;
use crate::diagnostic::DiagnosticSink;
use crate::receiver::{COMPONENT_KEYS, Parts, ReceiverComponent};
use crate::value::{Located, truncated};

use super::WorkerSection;
use super::publish::{self, Publish};

/// A receiver of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerReceiver {
    pub choice: Choice,
    pub publish: Publish,
}

/// Who chose a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The worker: the receiver is its own.
    Worker(ReceiverComponent),
    /// The coordinator. These limits override the coordinator's.
    Coordinator(LimitOverrides),
}

impl WorkerReceiver {
    /// The worker's own component; `None` for a receiver that the coordinator chose.
    pub fn component(&self) -> Option<&ReceiverComponent> {
        match &self.choice {
            Choice::Worker(component) => Some(component),
            Choice::Coordinator(_) => None,
        }
    }
}

/// All receivers with a table. They are not compared with an invalid [worker].
pub(super) fn read(
    sink: &mut DiagnosticSink,
    base: &ComponentBase<'_>,
    worker: Option<&WorkerSection<'_>>,
    value: Located<'_>,
) -> BTreeMap<ReceiverName, WorkerReceiver> {
    let mut receivers = BTreeMap::new();
    for (key, value) in value.entries(sink, "[receivers.NAME]") {
        let name = key.parsed::<ReceiverName>(sink);
        let receiver = one(sink, base, worker, &format!("[receivers.{}]", truncated(key.name)), value);
        if let (Some(name), Some(receiver)) = (name, receiver) {
            receivers.insert(name, receiver);
        }
    }
    receivers
}

/// Where the directory of all receivers is configured.
fn output_hint(worker: Option<&WorkerSection<'_>>) -> &'static str {
    match worker {
        Some(worker) if worker.wanted.is_of_coordinator() => "set it here, or before all tables for all receivers",
        _ => "set it here, or in [worker] for all receivers",
    }
}

fn one(
    sink: &mut DiagnosticSink,
    base: &ComponentBase<'_>,
    worker: Option<&WorkerSection<'_>>,
    like: &str,
    value: Located<'_>,
) -> Option<WorkerReceiver> {
    let mut fields = value.table(sink, like)?;
    let default = worker.map(|worker| worker.publish.clone()).unwrap_or_default();
    let publish = publish::read(sink, base.directory, &mut fields, &default);
    let parts = Parts::read(sink, base, &mut fields);
    let mut is_valid = true;
    let has_component = fields.key("component").is_some();
    if has_component {
        is_valid &= fields.required(sink, "instances", "[\"s3-prod\"]").is_some();
        if worker.is_some() && publish.as_ref().is_some_and(|publish| publish.output.is_none()) {
            sink.error(fields.at(), "`output` is missing")
                .expected("needs output = \"/run/deputy\"")
                .hint(output_hint(worker));
            is_valid = false;
        }
    } else if worker.is_some_and(|worker| worker.wanted.is_of_coordinator()) {
        is_valid &= fields.required(sink, "component", "\"aws-credentials\"").is_some();
    } else {
        for key in COMPONENT_KEYS {
            if let Some(at) = fields.key(key) {
                sink.error(at, format!("`{key}` has no effect without a component"))
                    .expected("only for a receiver with a `component`")
                    .hint(
                        "without one, this table configures the publishing and the limits of a receiver \
                         that the coordinator chose",
                    );
                is_valid = false;
            }
        }
    }
    fields.finish(sink);
    for (instance, at) in parts.instances() {
        is_valid &= worker.is_none_or(|worker| worker.wanted.check(sink, instance, at.clone()));
    }
    let choice = if has_component {
        parts.into_component().map(Choice::Worker)
    } else {
        parts.into_limits().map(Choice::Coordinator)
    };
    Some(WorkerReceiver { choice: choice?, publish: publish? }).filter(|_| is_valid)
}

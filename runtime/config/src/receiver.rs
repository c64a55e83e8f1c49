//! A receiver, in a group of the coordinator's configuration or in a worker's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use deputy_core::{ComponentRef, Digest, InstanceName, LimitOverrides, Limits, ReceiverName, ReceiverPlan};

use crate::components::ComponentBase;
use crate::diagnostic::DiagnosticSink;
use crate::instance::settings;
use crate::limits::{self, UnsetLimits};
use crate::value::{Located, TableReader, optional};

/// A receiver's component and its arguments. It has no grant: no network, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverComponent {
    pub component: ComponentRef,
    /// The expected SHA-256 of the component's file.
    pub sha256: Option<Digest>,
    pub settings: BTreeMap<String, String>,
    /// The instances whose leases it gets. At least one.
    pub instances: BTreeSet<InstanceName>,
    pub limits: LimitOverrides,
}

impl ReceiverComponent {
    /// How this program itself calls the receiver, with default limits where none are set.
    pub fn plan(&self, name: &ReceiverName) -> ReceiverPlan {
        ReceiverPlan {
            name: name.clone(),
            component: self.component.clone(),
            sha256: self.sha256,
            settings: self.settings.clone(),
            limits: Limits::default().with(&self.limits),
            host_facts: Vec::new(),
        }
    }
}

/// The keys of a receiver's component, and its limits; each is `None` after an error.
pub(crate) struct Parts {
    component: Option<Option<ComponentRef>>,
    sha256: Option<Option<Digest>>,
    settings: BTreeMap<String, String>,
    instances: Option<Vec<(InstanceName, Range<usize>)>>,
    limits: Option<LimitOverrides>,
}

/// Keys that have no effect without a component.
pub(crate) const COMPONENT_KEYS: [&str; 3] = ["instances", "settings", "sha256"];

impl Parts {
    pub(crate) fn read(sink: &mut DiagnosticSink, base: &ComponentBase<'_>, fields: &mut TableReader<'_>) -> Self {
        let instances = fields.optional("instances");
        let has_component = fields.key("component").is_some();
        let unwritten = if has_component { UnsetLimits::Default } else { UnsetLimits::Coordinator };
        let limits = |v| limits::read(sink, v, "{ memory = \"64MiB\" }", unwritten);
        let limits = optional(fields.optional("limits"), limits).map(Option::unwrap_or_default);
        Self {
            component: base.component(sink, fields),
            sha256: optional(fields.optional("sha256"), |v| v.parsed(sink, "the SHA-256 of the component")),
            settings: fields.optional("settings").map(|v| settings(sink, v)).unwrap_or_default(),
            instances: instances.and_then(|value| names(sink, value)),
            limits,
        }
    }

    /// The instances with their positions.
    pub(crate) fn instances(&self) -> &[(InstanceName, Range<usize>)] {
        self.instances.as_deref().unwrap_or_default()
    }

    /// The limits alone, of a receiver that the coordinator chose; `None` after an error.
    pub(crate) fn into_limits(self) -> Option<LimitOverrides> {
        self.limits
    }

    /// The component of a test, which is bound to no instance.
    pub(crate) fn into_unbound(self) -> Option<ReceiverComponent> {
        Self { instances: Some(Vec::new()), ..self }.into_component()
    }

    /// The component; `None` after an error, or if there is none.
    pub(crate) fn into_component(self) -> Option<ReceiverComponent> {
        Some(ReceiverComponent {
            component: self.component??,
            sha256: self.sha256?,
            settings: self.settings,
            instances: self.instances?.into_iter().map(|(name, _)| name).collect(),
            limits: self.limits?,
        })
    }
}

/// Names of instances.
pub(crate) fn names(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Vec<(InstanceName, Range<usize>)>> {
    value.unique_list(sink, "[\"s3-prod\"]")
}

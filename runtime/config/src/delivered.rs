//! `deliver-to`: the groups of workers that each instance is delivered to.

use std::collections::BTreeSet;
use std::ops::Range;

use deputy_core::{GroupName, InstanceName};

use crate::diagnostic::DiagnosticSink;
use crate::suggest::nearest;
use crate::value::{Key, Located, join_quoted, truncated};

/// All instances of a file, including invalid ones, so that a reference to one is not a second error.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    list: Vec<DeliveredInstance>,
}

#[derive(Debug)]
struct DeliveredInstance {
    written: String,
    /// The position of the instance's name.
    at: Range<usize>,
    /// The position of the list, if there is one.
    list: Option<Range<usize>>,
    /// `None` if the list is invalid.
    groups: Option<BTreeSet<GroupName>>,
}

impl Delivered {
    /// Reads `deliver-to` of one instance; `None` after an error.
    pub(crate) fn read(
        &mut self,
        sink: &mut DiagnosticSink,
        key: &Key<'_>,
        value: Option<Located<'_>>,
    ) -> Option<BTreeSet<GroupName>> {
        let groups = match value {
            Some(value) => value.unique_list(sink, "[\"analytics\"]"),
            None => Some(Vec::new()),
        };
        let groups: Option<BTreeSet<_>> = groups.map(|groups| groups.into_iter().map(|(group, _)| group).collect());
        self.list.push(DeliveredInstance {
            written: key.name.to_owned(),
            at: key.at.clone(),
            list: value.map(Located::at),
            groups: groups.clone(),
        });
        groups
    }

    /// Warns if the coordinator does not listen for workers.
    pub(crate) fn warn_undeliverable(&self, sink: &mut DiagnosticSink) {
        if let Some(at) = self.list.iter().find_map(|delivery| delivery.list.clone()) {
            sink.warning(at, "nothing is delivered: the coordinator does not listen for workers")
                .expected("needs listen = \"0.0.0.0:8271\" in [coordinator]");
        }
    }

    /// Checks that there is an instance of this name; reports an error at this position otherwise.
    pub(crate) fn check_name(&self, sink: &mut DiagnosticSink, instance: &InstanceName, at: Range<usize>) -> bool {
        self.find(sink, instance, at).is_some()
    }

    fn find(&self, sink: &mut DiagnosticSink, instance: &InstanceName, at: Range<usize>) -> Option<&DeliveredInstance> {
        let text = instance.as_str();
        let found = self.list.iter().find(|delivery| delivery.written == text);
        if found.is_none() {
            let known: Vec<_> = self.list.iter().map(|delivery| delivery.written.as_str()).collect();
            let error = sink.error(at, format!("there is no instance `{text}`"));
            match (nearest(text, known.iter().copied()), known.as_slice()) {
                (Some(meant), _) => error.expected(format!("did you mean `{meant}`?")),
                (None, []) => error.expected("define it under [instances.NAME]"),
                (None, known) => error.expected(format!("one of {}", truncated(&join_quoted(known)))),
            };
        }
        found
    }

    /// Checks that an instance of this name is delivered to the group; reports an error at this position otherwise.
    pub(crate) fn check(
        &self,
        sink: &mut DiagnosticSink,
        instance: &InstanceName,
        at: Range<usize>,
        group: Option<&GroupName>,
    ) -> bool {
        let text = instance.as_str();
        let Some(delivery) = self.find(sink, instance, at.clone()) else { return false };
        let (Some(groups), Some(group)) = (&delivery.groups, group) else { return false };
        if !groups.contains(group) {
            let words: Vec<_> = groups.iter().chain([group]).map(|group| format!("\"{group}\"")).collect();
            sink.error(at, format!("`{text}` is not delivered to the group `{group}`"))
                .expected(format!("needs deliver-to = [{}]", words.join(", ")))
                .also(delivery.list.clone().unwrap_or_else(|| delivery.at.clone()), "of the instance");
            return false;
        }
        true
    }
}

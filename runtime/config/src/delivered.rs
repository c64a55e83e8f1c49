//! `deliver-to`: which instance goes to which groups of workers, for those who refer to it.

use std::collections::BTreeSet;
use std::ops::Range;

use deputy_core::{GroupName, InstanceName};

use crate::diagnostic::DiagnosticSink;
use crate::suggest::nearest;
use crate::value::{Key, Located, listed, shown};

/// All instances of a file. One whose definition is wrong is there too, so that its uses are no second error.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    list: Vec<Delivery>,
}

#[derive(Debug)]
struct Delivery {
    written: String,
    /// The place of the instance's name.
    at: Range<usize>,
    /// The place of the list, if there is one.
    list: Option<Range<usize>>,
    /// `None` if something in the list is wrong.
    groups: Option<BTreeSet<GroupName>>,
}

impl Delivered {
    /// Reads `deliver-to` of one instance; `None` if an error was noted.
    pub(crate) fn read(
        &mut self,
        sink: &mut DiagnosticSink,
        key: &Key<'_>,
        value: Option<Located<'_>>,
    ) -> Option<BTreeSet<GroupName>> {
        let groups = match value {
            Some(value) => value.distinct(sink, "[\"analytics\"]"),
            None => Some(Vec::new()),
        };
        let groups: Option<BTreeSet<_>> = groups.map(|groups| groups.into_iter().map(|(group, _)| group).collect());
        self.list.push(Delivery {
            written: key.name.to_owned(),
            at: key.at.clone(),
            list: value.map(Located::at),
            groups: groups.clone(),
        });
        groups
    }

    /// Warns if there is nobody to deliver to.
    pub(crate) fn to_nobody(&self, sink: &mut DiagnosticSink) {
        if let Some(at) = self.list.iter().find_map(|delivery| delivery.list.clone()) {
            sink.warning(at, "nothing is delivered: no worker can come")
                .expected("needs listen = \"0.0.0.0:8271\" in [coordinator]");
        }
    }

    /// Whether an instance of this name is delivered to the group. What is not so is an error at this place.
    pub(crate) fn check(
        &self,
        sink: &mut DiagnosticSink,
        instance: &InstanceName,
        at: Range<usize>,
        group: Option<&GroupName>,
    ) -> bool {
        let text = instance.as_str();
        let Some(delivery) = self.list.iter().find(|delivery| delivery.written == text) else {
            let known: Vec<_> = self.list.iter().map(|delivery| delivery.written.as_str()).collect();
            let error = sink.error(at, format!("there is no instance `{text}`"));
            match (nearest(text, known.iter().copied()), known.as_slice()) {
                (Some(meant), _) => error.expected(format!("did you mean `{meant}`?")),
                (None, []) => error.expected("define it under [instances.NAME]"),
                (None, known) => error.expected(format!("one of {}", shown(&listed(known)))),
            };
            return false;
        };
        let (Some(groups), Some(group)) = (&delivery.groups, group) else { return false };
        if !groups.contains(group) {
            let words: Vec<_> = groups.iter().chain([group]).map(|group| format!("\"{group}\"")).collect();
            sink.error(at, format!("`{text}` is not delivered to the group `{group}`"))
                .expected(format!("needs deliver-to = [{}]", words.join(", ")))
                .also(delivery.list.clone().unwrap_or_else(|| delivery.at.clone()), "of this instance");
            return false;
        }
        true
    }
}

//! `[instances.NAME]`

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use deputy_core::grant::Grant;
use deputy_core::schedule::{Policy, PreferredSource, UpstreamName};
use deputy_core::{FileSource, GroupName, Instance, InstanceName, Limits, ServiceName, Span};

use crate::delivered::Delivered;
use crate::diagnostic::DiagnosticSink;
use crate::limits::UnsetLimits;
use crate::secret::Secrets;
use crate::upstream::Upstreams;
use crate::value::{Key, Located, TableReader, optional, shown};
use crate::{limits, policy, rule};

/// One configured instance: a component, or a file that somebody else maintains, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEntry {
    /// Its name.
    pub name: InstanceName,
    /// Whether it takes part.
    pub enabled: bool,
    /// The component, and what it may do. Where there is none, there is a file.
    pub component: Option<Instance>,
    /// The file.
    pub file: Option<FileSource>,
    /// The service, of an instance without a component; a component says it itself.
    pub service: Option<ServiceName>,
    /// When its tokens are obtained, renewed and revoked.
    pub policy: Policy,
    /// Whose budget its calls use; none if it is found from the service and the endpoint.
    pub upstream: Option<UpstreamName>,
    /// The groups of workers that get what it holds.
    pub deliver_to: BTreeSet<GroupName>,
}

/// What reads the instances one after the other, and sees what they have in common.
#[derive(Debug)]
pub(crate) struct Reader<'c> {
    base: &'c Path,
    upstreams: &'c Upstreams,
    used: BTreeSet<UpstreamName>,
    files: BTreeMap<PathBuf, Range<usize>>,
    delivered: Delivered,
}

/// What only a component makes use of.
const OF_COMPONENTS: [&str; 12] = [
    "http",
    "lifetime",
    "limits",
    "max-lifetime",
    "renew",
    "retry",
    "revoke",
    "secrets",
    "settings",
    "sha256",
    "tcp",
    "upstream",
];

impl<'c> Reader<'c> {
    pub(crate) fn new(base: &'c Path, upstreams: &'c Upstreams) -> Self {
        Self { base, upstreams, used: BTreeSet::new(), files: BTreeMap::new(), delivered: Delivered::default() }
    }

    /// Reads one instance; `None` if an error was noted.
    pub(crate) fn read(
        &mut self,
        sink: &mut DiagnosticSink,
        key: &Key<'_>,
        value: Located<'_>,
    ) -> Option<InstanceEntry> {
        let name = key.parsed::<InstanceName>(sink);
        let mut fields = value.table(sink, &format!("[instances.{}]", shown(key.name)))?;
        let enabled = fields.optional("enabled").map_or(Some(true), |v| v.flag(sink));
        let component = component(sink, self.base, &mut fields, name.as_ref());
        let upstream = optional(fields.optional("upstream"), |v| self.upstreams.named(sink, v));
        let policy = policy::read(sink, &mut fields);
        let prefer = optional(fields.optional("prefer"), |v| policy::prefer(sink, v));
        let file = optional(fields.optional("file"), |v| self.file(sink, v));
        let service = optional(fields.optional("service"), |v| v.parsed(sink, "\"s3\""));
        let deliver_to = self.delivered.read(sink, key, fields.optional("deliver-to"));
        let sound = together(sink, &fields, key);
        fields.finish(sink);

        self.used.extend(upstream.iter().flatten().cloned());
        let policy = Policy { prefer: prefer?.unwrap_or(PreferredSource::Component), ..policy? };
        let (component, file, service, upstream) = (component?, file?, service?, upstream?);
        let (name, enabled, deliver_to) = (name?, enabled?, deliver_to?);
        sound.then_some(InstanceEntry { name, enabled, component, file, service, policy, upstream, deliver_to })
    }

    /// Reports what can only be seen when all instances are known, and tells which groups get what.
    pub(crate) fn finish(self, sink: &mut DiagnosticSink) -> Delivered {
        self.upstreams.check(sink, &self.used);
        self.delivered
    }

    /// `file = { path = "token.json", lifetime = "1h" }`
    fn file(&mut self, sink: &mut DiagnosticSink, value: Located<'_>) -> Option<FileSource> {
        let mut fields = value.table(sink, "{ path = \"token.json\", lifetime = \"1h\" }")?;
        let written = fields.required(sink, "path", "\"token.json\"");
        let path = written.and_then(|v| v.path(sink, self.base));
        let lifetime = fields.required(sink, "lifetime", "\"1h\"");
        let lifetime = lifetime.and_then(|v| v.span(sink, "\"1h\"", Span::secs(1)..=policy::LONGEST));
        fields.finish(sink);
        if let (Some(value), Some(path)) = (written, &path) {
            match self.files.get(path) {
                Some(other) => {
                    sink.warning(value.at(), "another instance has this file, too")
                        .expected("given out under two names")
                        .also(other.clone(), "the other");
                }
                None => {
                    self.files.insert(path.clone(), value.at());
                }
            }
        }
        Some(FileSource { path: path?, lifetime: lifetime? })
    }
}

/// Whether the keys of an instance go together: what has no effect is an error.
fn together(sink: &mut DiagnosticSink, fields: &TableReader<'_>, key: &Key<'_>) -> bool {
    let has = |name| fields.key(name).is_some();
    let (component, file, service) = (has("component"), has("file"), has("service"));
    let mut sound = true;
    let mut useless = |name: &str, why: &str, whose: &str| {
        if let Some(at) = fields.key(name) {
            sink.error(at, format!("`{name}` has no effect{why}")).expected(format!("only for an instance {whose}"));
            sound = false;
        }
    };
    if !(component && file) {
        useless("prefer", ": there is nothing to choose from", "with a `component` and a `file`");
    }
    if component {
        useless("service", ": the component names its service itself", "without a component");
    } else if file {
        OF_COMPONENTS.iter().for_each(|name| useless(name, " without a component", "with a `component`"));
    }
    if !component && !file {
        sink.error(fields.at(), "`component` is missing")
            .expected("needs component = \"provider.wasm\"")
            .hint(format!("or [instances.{}.file], a file that another program maintains", shown(key.name)));
        sound = false;
    } else if !component && !service {
        sink.error(fields.at(), "`service` is missing")
            .expected("needs service = \"s3\"")
            .hint("there is no component here that could name it");
        sound = false;
    }
    sound
}

/// The component, and what it may do; `Some(None)` if there is none.
fn component(
    sink: &mut DiagnosticSink,
    base: &Path,
    fields: &mut TableReader<'_>,
    name: Option<&InstanceName>,
) -> Option<Option<Instance>> {
    let component = optional(fields.optional("component"), |v| v.path(sink, base));
    let sha256 = optional(fields.optional("sha256"), |v| v.parsed(sink, "the SHA-256 of the component"));
    let settings = fields.optional("settings").map(|v| settings(sink, v)).unwrap_or_default();
    let secrets = fields.optional("secrets").map(|v| Secrets::read(sink, base, v)).unwrap_or_default();
    let mut used = BTreeSet::new();
    let http = fields.optional("http").map(|v| rule::http(sink, base, &secrets, &mut used, v)).unwrap_or_default();
    let tcp = fields.optional("tcp").map(|v| rule::tcp(sink, v)).unwrap_or_default();
    let limits =
        optional(fields.optional("limits"), |v| limits::read(sink, v, "[instances.NAME.limits]", UnsetLimits::Default));
    secrets.check(sink, &used);

    let (name, limits, sha256) = (name?.clone(), limits?.unwrap_or_default(), sha256?);
    let Some(component) = component? else { return Some(None) };
    let (grants, sources) = secrets.into_parts();
    let grant = Grant { http, tcp, secrets: grants };
    let limits = Limits::default().with(&limits);
    Some(Some(Instance { name, component, sha256, settings, grant, sources, limits }))
}

/// What the component is told. All values are strings, as the contract has them.
pub(crate) fn settings(sink: &mut DiagnosticSink, value: Located<'_>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in value.entries(sink, "{ region = \"eu-west-1\" }") {
        let like = value.literal().map_or_else(|| "a string: \"…\"".to_owned(), |text| format!("\"{text}\""));
        if let Some(text) = value.text(sink, &like) {
            settings.insert(key.name.to_owned(), text.to_owned());
        }
    }
    settings
}

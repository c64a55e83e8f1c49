//! `[instances.NAME]`

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use deputy_core::grant::Grant;
use deputy_core::schedule::{Policy, PreferredSource, UpstreamName};
use deputy_core::{
    ByteSize, FileSource, GroupName, Instance, InstanceName, Limits, LoginName, PayloadKind, ServiceName, Span,
    StateGrant, is_secret_setting,
};

use crate::components::ComponentBase;
use crate::delivered::Delivered;
use crate::diagnostic::DiagnosticSink;
use crate::limits::UnsetLimits;
use crate::login::LoginTable;
use crate::negotiate::LoginUse;
use crate::secret::SecretTable;
use crate::upstream::Upstreams;
use crate::value::{Key, Located, TableReader, optional, truncated};
use crate::{limits, login, policy, rule};

/// One configured instance: a component, a file that another program maintains, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEntry {
    pub name: InstanceName,
    pub enabled: bool,
    /// The component with its grant. Without one, there is a file.
    pub component: Option<Instance>,
    pub file: Option<FileSource>,
    /// The service of an instance without a component; a component names its service itself.
    pub service: Option<ServiceName>,
    /// The kind of what the file holds; without it, that of the component.
    pub kind: Option<PayloadKind>,
    pub policy: Policy,
    /// The upstream whose budget its calls use. `None` if it follows from the service and the endpoint.
    pub upstream: Option<UpstreamName>,
    /// The groups of workers that get its leases.
    pub deliver_to: BTreeSet<GroupName>,
}

/// Reads the instances one after the other, and collects what they refer to.
#[derive(Debug)]
pub(crate) struct InstanceReader<'c> {
    base: &'c ComponentBase<'c>,
    upstreams: &'c Upstreams,
    logins: &'c LoginTable,
    largest_payload: ByteSize,
    used: BTreeSet<UpstreamName>,
    used_logins: BTreeSet<LoginName>,
    files: BTreeMap<PathBuf, Range<usize>>,
    delivered: Delivered,
}

/// Keys that have no effect without a component.
const COMPONENT_KEYS: [&str; 14] = [
    "http",
    "kerberos",
    "lifetime",
    "limits",
    "max-lifetime",
    "renew",
    "retry",
    "revoke",
    "secrets",
    "settings",
    "sha256",
    "state",
    "tcp",
    "upstream",
];

impl<'c> InstanceReader<'c> {
    /// `largest_payload` is what the state takes.
    pub(crate) fn new(
        base: &'c ComponentBase<'c>,
        upstreams: &'c Upstreams,
        logins: &'c LoginTable,
        largest_payload: ByteSize,
    ) -> Self {
        Self {
            base,
            upstreams,
            logins,
            largest_payload,
            used: BTreeSet::new(),
            used_logins: BTreeSet::new(),
            files: BTreeMap::new(),
            delivered: Delivered::default(),
        }
    }

    /// Reads one instance; `None` after an error.
    pub(crate) fn read(
        &mut self,
        sink: &mut DiagnosticSink,
        key: &Key<'_>,
        value: Located<'_>,
    ) -> Option<InstanceEntry> {
        let name = key.parsed::<InstanceName>(sink);
        let mut fields = value.table(sink, &format!("[instances.{}]", truncated(key.name)))?;
        let enabled = fields.optional("enabled").map_or(Some(true), |v| v.flag(sink));
        let component = component(sink, self, &mut fields, name.as_ref());
        let upstream = optional(fields.optional("upstream"), |v| self.upstreams.named(sink, v));
        let policy = policy::read(sink, &mut fields);
        let prefer = optional(fields.optional("prefer"), |v| policy::prefer(sink, v));
        let file = optional(fields.optional("file"), |v| self.file(sink, v));
        let service = optional(fields.optional("service"), |v| v.parsed(sink, "\"s3\""));
        let kind = optional(fields.optional("kind"), |v| v.parsed(sink, "\"aws-credential-process/1\""));
        let deliver_to = self.delivered.read(sink, key, fields.optional("deliver-to"));
        let is_valid = check_combinations(sink, &fields, key);
        fields.finish(sink);

        self.used.extend(upstream.iter().flatten().cloned());
        let kerberos = component.iter().flatten().filter_map(|instance| instance.grant.kerberos.as_ref());
        self.used_logins.extend(kerberos.map(|grant| grant.login.name.clone()));
        let policy = Policy { prefer: prefer?.unwrap_or(PreferredSource::Component), ..policy? };
        let entry = InstanceEntry {
            name: name?,
            enabled: enabled?,
            component: component?,
            file: file?,
            service: service?,
            kind: kind?,
            policy,
            upstream: upstream?,
            deliver_to: deliver_to?,
        };
        is_valid.then_some(entry)
    }

    /// Warns of unused upstreams, and returns what is delivered to which groups.
    pub(crate) fn finish(self, sink: &mut DiagnosticSink) -> Delivered {
        self.upstreams.check(sink, &self.used);
        self.logins.check(sink, &self.used_logins);
        self.delivered
    }

    /// `file = { path = "token.json", lifetime = "1h" }`
    fn file(&mut self, sink: &mut DiagnosticSink, value: Located<'_>) -> Option<FileSource> {
        let mut fields = value.table(sink, "{ path = \"token.json\", lifetime = \"1h\" }")?;
        let written = fields.required(sink, "path", "\"token.json\"");
        let path = written.and_then(|v| v.path(sink, self.base.directory));
        let lifetime = fields.required(sink, "lifetime", "\"1h\"");
        let lifetime = lifetime.and_then(|v| v.span(sink, "\"1h\"", Span::secs(1)..=policy::MAX_LIFETIME));
        fields.finish(sink);
        if let (Some(value), Some(path)) = (written, &path) {
            match self.files.get(path) {
                Some(other) => {
                    sink.warning(value.at(), "another instance uses the same file")
                        .expected("its tokens are delivered under two names")
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

/// Checks the combination of keys: a key without effect is an error.
fn check_combinations(sink: &mut DiagnosticSink, fields: &TableReader<'_>, key: &Key<'_>) -> bool {
    let has = |name| fields.key(name).is_some();
    let has_component = has("component");
    let has_file = has("file");
    let mut is_valid = true;
    let mut reject = |name: &str, why: &str, whose: &str| {
        if let Some(at) = fields.key(name) {
            sink.error(at, format!("`{name}` has no effect{why}")).expected(format!("only for an instance {whose}"));
            is_valid = false;
        }
    };
    if !(has_component && has_file) {
        reject("prefer", ": there is only one source", "with a `component` and a `file`");
    }
    if !has_file {
        reject("kind", ": the component names the kinds of its payloads itself", "with a `file`");
    }
    if has_component {
        reject("service", ": the component names its service itself", "without a component");
    } else if has_file {
        COMPONENT_KEYS.iter().for_each(|name| reject(name, " without a component", "with a `component`"));
    }
    if !has_component && !has_file {
        sink.error(fields.at(), "`component` is missing")
            .expected("needs component = \"s3-sts\"")
            .hint(format!("or [instances.{}.file], for a file that another program maintains", truncated(key.name)));
        is_valid = false;
    }
    if !has_component && has_file {
        let mut require = |name: &'static str, example: &str, hint: &str| {
            if !has(name) {
                sink.error(fields.at(), format!("`{name}` is missing"))
                    .expected(format!("needs {name} = \"{example}\""))
                    .hint(format!("without a component, the configuration has to name {hint}"));
                is_valid = false;
            }
        };
        require("service", "s3", "the service");
        require("kind", "aws-credential-process/1", "the kind of what the file holds");
    }
    is_valid
}

/// Reads the component with its grant; `Some(None)` if there is none.
fn component(
    sink: &mut DiagnosticSink,
    reader: &InstanceReader<'_>,
    fields: &mut TableReader<'_>,
    name: Option<&InstanceName>,
) -> Option<Option<Instance>> {
    let InstanceReader { base: components, logins, largest_payload, .. } = *reader;
    let base = components.directory;
    let component = components.component(sink, fields);
    let sha256 = optional(fields.optional("sha256"), |v| v.parsed(sink, "the SHA-256 of the component"));
    let settings = fields.optional("settings").map(|v| written_settings(sink, v)).unwrap_or_default();
    let secrets =
        fields.optional("secrets").map(|v| SecretTable::read(sink, base, components.mocks, v)).unwrap_or_default();
    let mut used = BTreeSet::new();
    let mut login = LoginUse { has_login: fields.key("kerberos").is_some(), negotiates: false };
    let http = fields.optional("http").map(|v| rule::http(sink, base, &secrets, &mut used, &mut login, v));
    let http = http.unwrap_or_default();
    let tcp = fields.optional("tcp").map(|v| rule::tcp(sink, base, &secrets, &mut used, v)).unwrap_or_default();
    let mut grant = Grant { http, tcp, ..Grant::default() };
    grant.kerberos = fields.optional("kerberos").and_then(|v| login::kerberos(sink, logins, &grant, &login, v));
    let state = optional(fields.optional("state"), |v| state(sink, v));
    let limits = optional(fields.optional("limits"), |v| {
        let limits = limits::read(sink, v, "[instances.NAME.limits]", UnsetLimits::Default)?;
        limits::check_payload(sink, v, limits, largest_payload)
    });
    secrets.check(sink, &used);
    warn_of_secret_settings(sink, &settings, &secrets, name);
    let settings = values(&settings);

    let name = name?.clone();
    let mut limits = Limits::default().with(&limits?.unwrap_or_default());
    limits.payload = limits.payload.min(largest_payload);
    let sha256 = sha256?;
    let Some(component) = component? else { return Some(None) };
    let (grants, sources) = secrets.into_parts();
    grant.secrets = grants;
    grant.state = state?;
    Some(Some(Instance { name, component, sha256, settings, grant, sources, limits }))
}

/// `[instances.NAME.state]`: the table grants it, whatever is in it.
fn state(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<StateGrant> {
    let mut fields = value.table(sink, "[instances.NAME.state]")?;
    let inherit = optional(fields.optional("inherit"), |v| v.parsed(sink, "the identity that saved it"));
    fields.finish(sink);
    Some(StateGrant { inherit: inherit? })
}

/// Warns of settings whose names say that they are secrets. The name of a secret of the instance is none.
fn warn_of_secret_settings(
    sink: &mut DiagnosticSink,
    settings: &[WrittenSetting<'_>],
    secrets: &SecretTable,
    name: Option<&InstanceName>,
) {
    let instance = name.map_or("NAME", InstanceName::as_str);
    for WrittenSetting { key, value, text } in settings {
        if is_secret_setting(key.name) && !text.is_empty() && !secrets.has(text) {
            sink.mask(value.at());
            sink.warning(key.at.clone(), format!("the setting `{}` looks like a secret", truncated(key.name)))
                .expected(format!("belongs in [instances.{instance}.secrets.NAME]"))
                .hint("settings are shown where secrets are not; if this is the name of a secret, define that secret");
        }
    }
}

struct WrittenSetting<'t> {
    key: Key<'t>,
    value: Located<'t>,
    text: &'t str,
}

fn written_settings<'t>(sink: &mut DiagnosticSink, value: Located<'t>) -> Vec<WrittenSetting<'t>> {
    let mut settings = Vec::new();
    for (key, value) in value.entries(sink, "{ region = \"eu-west-1\" }") {
        let like = value.literal().map_or_else(|| "a string: \"…\"".to_owned(), |text| format!("\"{text}\""));
        if let Some(text) = value.text(sink, &like) {
            settings.push(WrittenSetting { key, value, text });
        }
    }
    settings
}

fn values(settings: &[WrittenSetting<'_>]) -> BTreeMap<String, String> {
    settings.iter().map(|setting| (setting.key.name.to_owned(), setting.text.to_owned())).collect()
}

/// Reads the settings of a component. All values are strings, as in the contract.
pub(crate) fn settings(sink: &mut DiagnosticSink, value: Located<'_>) -> BTreeMap<String, String> {
    values(&written_settings(sink, value))
}

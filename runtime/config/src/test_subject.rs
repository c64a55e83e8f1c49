//! The component of a test: `[instance]` or `[receiver]` of its file, with the keys of `[instances.NAME]` and of a receiver.
//!
//! The rest of a test's file is not configuration, and is read elsewhere. What is read here is read by the same code as
//! the coordinator's file, so that a test runs with the grant that an operator would write.

use std::collections::BTreeMap;
use std::path::Path;

use deputy_core::{Limits, ReceiverPlan, SecretBytes, SecretName};

use crate::components::ComponentBase;
use crate::diagnostic::{ConfigErrors, DiagnosticSink};
use crate::instance::{InstanceEntry, InstanceReader};
use crate::login::LoginTable;
use crate::receiver::Parts;
use crate::toml_syntax;
use crate::upstream::Upstreams;
use crate::value::{Key, Located, TableReader};

/// The component under test.
#[derive(Debug)]
pub enum TestSubject {
    Provider(Box<TestedInstance>),
    Receiver(Box<ReceiverPlan>),
}

/// An instance whose secrets may have their values in the test's file.
#[derive(Debug)]
pub struct TestedInstance {
    pub entry: InstanceEntry,
    /// Values that the file has as `value`. Their sources are files of these names in the folder that was given.
    pub mocks: BTreeMap<SecretName, SecretBytes>,
}

/// The name of the instance or receiver under test.
const NAME: &str = "test";

impl TestSubject {
    /// Reads the component of a test. `mocks` is the folder in which the values of `value` will be, each in a file of the
    /// secret's name. Relative paths are relative to the test's file.
    ///
    /// # Errors
    /// If there is none, or it is not valid.
    pub fn parse(text: &str, path: &Path, mocks: &Path) -> Result<Self, ConfigErrors> {
        let place =
            std::path::absolute(path).map_err(|source| ConfigErrors::Unreadable { path: path.to_owned(), source })?;
        let mut sink = DiagnosticSink::default();
        let base =
            ComponentBase { directory: place.parent().unwrap_or(Path::new("")), folder: None, mocks: Some(mocks) };
        let table = toml_syntax::parse(&mut sink, text);
        let subject = table.as_ref().and_then(|table| {
            let mut fields = TableReader::new(table.get_ref(), 0..0);
            read(&mut sink, &base, &mut fields)
        });
        let failed = sink.failed();
        let findings = sink.close(path, text);
        match subject {
            Some(subject) if !failed => Ok(subject),
            _ => Err(ConfigErrors::Invalid(findings)),
        }
    }
}

fn read(sink: &mut DiagnosticSink, base: &ComponentBase<'_>, fields: &mut TableReader<'_>) -> Option<TestSubject> {
    let instance = fields.optional("instance");
    let receiver = fields.optional("receiver");
    match (instance, receiver) {
        (Some(value), None) => provider(sink, base, fields, value),
        (None, Some(value)) => self::receiver(sink, base, value),
        (Some(_), Some(value)) => {
            sink.error(value.at(), "a test has one component").expected("either [instance] or [receiver]");
            None
        }
        (None, None) => {
            sink.error(0..0, "there is no component to test")
                .expected("needs [instance], with the keys of [instances.NAME], or [receiver]");
            None
        }
    }
}

fn provider(
    sink: &mut DiagnosticSink,
    base: &ComponentBase<'_>,
    fields: &mut TableReader<'_>,
    value: Located<'_>,
) -> Option<TestSubject> {
    let upstreams = Upstreams::default();
    if let Some(logins) = fields.optional("logins") {
        sink.error(logins.at(), "a test has no KDC, so it has no logins").expected("no [logins]");
    }
    let logins = LoginTable::default();
    let mut reader = InstanceReader::new(base, &upstreams, &logins, Limits::MAX_PAYLOAD);
    let entry = reader.read(sink, &Key { name: NAME, at: value.at() }, value)?;
    if entry.component.is_none() {
        sink.error(value.at(), "`component` is missing").expected("needs component = \"provider.wasm\"");
        return None;
    }
    refuse_files(sink, &entry, value);
    Some(TestSubject::Provider(Box::new(TestedInstance { entry, mocks: mocks(sink, value) })))
}

/// A test may come from a stranger, so its rules name no file of this machine.
fn refuse_files(sink: &mut DiagnosticSink, entry: &InstanceEntry, value: Located<'_>) {
    let Some(instance) = &entry.component else { return };
    let http = instance.grant.http.iter().map(|rule| &rule.send.tls);
    let mut tls = http.chain(instance.grant.tcp.iter().filter_map(|rule| rule.tls.as_ref()));
    if tls.any(|tls| tls.client.is_some()) {
        let error = sink.error(value.at(), "the servers of a test ask for no client certificate");
        error.expected("no `client-certificate`");
    }
}

fn mocks(sink: &mut DiagnosticSink, value: Located<'_>) -> BTreeMap<SecretName, SecretBytes> {
    let secrets = value.table(sink, "").and_then(|mut fields| fields.optional("secrets"));
    let entries = secrets.map(|secrets| secrets.entries(sink, "")).unwrap_or_default();
    let value = |(key, secret): (Key<'_>, Located<'_>)| {
        let text = secret.table(sink, "")?.optional("value")?.text(sink, "\"…\"")?;
        Some((key.name.parse().ok()?, SecretBytes::new(text.as_bytes().to_vec())))
    };
    entries.into_iter().filter_map(value).collect()
}

fn receiver(sink: &mut DiagnosticSink, base: &ComponentBase<'_>, value: Located<'_>) -> Option<TestSubject> {
    let mut fields = value.table(sink, "[receiver]")?;
    let parts = Parts::read(sink, base, &mut fields);
    fields.finish(sink);
    if fields_lack_component(value) {
        sink.error(value.at(), "`component` is missing").expected("needs component = \"receiver.wasm\"");
        return None;
    }
    let component = parts.into_unbound()?;
    Some(TestSubject::Receiver(Box::new(ReceiverPlan {
        name: NAME.parse().ok()?,
        component: component.component,
        sha256: component.sha256,
        settings: component.settings,
        limits: Limits::default().with(&component.limits),
        host_facts: Vec::new(),
    })))
}

fn fields_lack_component(value: Located<'_>) -> bool {
    let mut ignored = DiagnosticSink::default();
    value.table(&mut ignored, "").is_none_or(|fields| fields.key("component").is_none())
}

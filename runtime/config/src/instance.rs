//! `[instances.NAME]`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deputy_core::grant::Grant;
use deputy_core::{Instance, InstanceName, Limits};

use crate::diagnostic::Sink;
use crate::secret::Secrets;
use crate::value::{Key, Value};
use crate::{limits, rule};

/// Reads one instance; `None` if an error was noted.
pub(crate) fn read(sink: &mut Sink, base: &Path, key: &Key<'_>, value: Value<'_>) -> Option<Instance> {
    let name = key.parsed::<InstanceName>(sink);
    let mut fields = value.table(sink, &format!("[instances.{}]", key.name))?;

    let component = fields.required(sink, "component", "\"provider.wasm\"").and_then(|v| v.path(sink, base));
    let sha256 = fields.optional("sha256").map(|v| v.parsed(sink, "the SHA-256 of the component"));
    let enabled = fields.optional("enabled").map_or(Some(true), |v| v.flag(sink));
    let settings = fields.optional("settings").map(|v| settings(sink, v)).unwrap_or_default();
    let secrets = fields.optional("secrets").map(|v| Secrets::read(sink, base, v)).unwrap_or_default();
    let mut used = BTreeSet::new();
    let http = fields.optional("http").map(|v| rule::http(sink, base, &secrets, &mut used, v)).unwrap_or_default();
    let tcp = fields.optional("tcp").map(|v| rule::tcp(sink, v)).unwrap_or_default();
    let limits = fields.optional("limits").map_or(Some(Limits::default()), |v| limits::read(sink, v));
    fields.finish(sink);
    secrets.check(sink, &used);

    let sha256 = match sha256 {
        None => None,
        Some(digest) => Some(digest?),
    };
    let (grants, sources) = secrets.into_parts();
    Some(Instance {
        name: name?,
        component: component?,
        sha256,
        enabled: enabled?,
        settings,
        grant: Grant { http, tcp, secrets: grants },
        sources,
        limits: limits?,
    })
}

/// What the component is told. All values are strings, as the contract has them.
fn settings(sink: &mut Sink, value: Value<'_>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in value.entries(sink, "{ region = \"eu-west-1\" }") {
        let like = value.literal().map_or_else(|| "a string: \"…\"".to_owned(), |text| format!("\"{text}\""));
        if let Some(text) = value.text(sink, &like) {
            settings.insert(key.name.to_owned(), text.to_owned());
        }
    }
    settings
}

//! `deputy.toml` as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deputy_core::schedule::{Budget, ObtainMode, UpstreamName};
use deputy_core::{GroupName, InstanceName, Limits, LoginPlan, MAX_ETCD_PAYLOAD, TracePlan};

use crate::components::ComponentBase;
use crate::config_text::{absolute, read_text};
use crate::coordinator::{self, CoordinatorSection};
use crate::diagnostic::{ConfigErrors, DiagnosticSink, Diagnostics};
use crate::group::{self, WorkerGroup};
use crate::instance::{InstanceEntry, InstanceReader};
use crate::login::LoginTable;
use crate::setting_lines::SettingLines;
use crate::toml_syntax;
use crate::traces::{self, TracedSide};
use crate::upstream::Upstreams;
use crate::value::TableReader;
use crate::worker::{WorkerConfig, read_local};

/// The coordinator's configuration, checked as far as that is possible without I/O.
#[derive(Debug, Clone)]
pub struct CoordinatorFile {
    pub path: PathBuf,
    pub state_dir: Option<PathBuf>,
    pub audit: Option<PathBuf>,
    /// The folder in which components are found by name.
    pub components: Option<PathBuf>,
    pub coordinator: CoordinatorSection,
    /// The budget of each service and endpoint without one of its own.
    pub default_budget: Budget,
    /// Has every upstream that an instance refers to.
    pub budgets: BTreeMap<UpstreamName, Budget>,
    /// All instances, disabled ones included.
    pub instances: BTreeMap<InstanceName, InstanceEntry>,
    /// Has every group that an instance is delivered to.
    pub groups: BTreeMap<GroupName, WorkerGroup>,
    pub logins: Vec<LoginPlan>,
    /// The collector of traces. Without one, nothing is traced.
    pub traces: Option<TracePlan>,
    /// What the coordinator publishes and serves itself, as a worker would.
    pub local: Option<WorkerConfig>,
    pub warnings: Diagnostics,
    pub setting_lines: SettingLines,
}

impl CoordinatorFile {
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_text(path)?;
        Self::parse_in(&text, path, &absolute(path)?)
    }

    /// Parses the text of a file. Relative paths in it are relative to the file's directory.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_in(text, path, path)
    }

    fn parse_in(text: &str, path: &Path, place: &Path) -> Result<Self, ConfigErrors> {
        let mut sink = DiagnosticSink::default();
        let base = place.parent().unwrap_or(Path::new(""));
        let table = toml_syntax::parse(&mut sink, text);
        let mut state_dir = None;
        let mut audit = None;
        let mut components = None;
        let mut coordinator = None;
        let mut upstreams = Upstreams::default();
        let mut instances = BTreeMap::new();
        let mut groups = BTreeMap::new();
        let mut local = None;
        let mut setting_lines = SettingLines::default();
        let mut plans = Vec::new();
        let mut trace_plan = None;
        if let Some(table) = &table {
            let mut fields = TableReader::new(table.get_ref(), 0..0);
            state_dir = fields.optional("state").and_then(|value| value.path(&mut sink, base));
            audit = fields.optional("audit").and_then(|value| value.path(&mut sink, base));
            let component_base = ComponentBase::read(&mut sink, base, &mut fields);
            let written = fields.optional("coordinator");
            coordinator =
                written.map_or(Some(CoordinatorSection::default()), |v| coordinator::read(&mut sink, base, v));
            upstreams = fields.optional("upstreams").map(|v| Upstreams::read(&mut sink, v)).unwrap_or_default();
            let logins = fields.optional("logins").map(|v| LoginTable::read(&mut sink, base, v)).unwrap_or_default();
            let is_in_etcd = coordinator.as_ref().is_some_and(|coordinator| coordinator.store.is_some());
            let largest_payload = if is_in_etcd { MAX_ETCD_PAYLOAD } else { Limits::MAX_PAYLOAD };
            let mut reader = InstanceReader::new(&component_base, &upstreams, &logins, largest_payload);
            if let Some(value) = fields.optional("instances") {
                let entries = value.entries(&mut sink, "[instances.NAME]");
                let entries = entries.into_iter().filter_map(|(key, value)| reader.read(&mut sink, &key, value));
                instances = entries.map(|entry| (entry.name.clone(), entry)).collect();
            }
            let delivered = reader.finish(&mut sink);
            if coordinator.as_ref().is_some_and(|coordinator| coordinator.workers.is_none()) {
                delivered.warn_undeliverable(&mut sink);
            }
            groups = group::read(&mut sink, &component_base, fields.optional("groups"), &instances, &delivered);
            let written = fields.optional("traces");
            trace_plan = written.and_then(|v| traces::read(&mut sink, base, TracedSide::Coordinator, v));
            local = read_local(&mut sink, path, &component_base, &mut fields, &delivered);
            fields.finish(&mut sink);
            components = component_base.folder;
            plans = logins.into_plans();
            setting_lines = SettingLines::of_coordinator(path, text, table.get_ref());
        }
        // What is published here is needed for as long as this runs.
        for name in local.iter().flat_map(WorkerConfig::named_instances) {
            if let Some(entry) = instances.get_mut(&name) {
                let entry: &mut InstanceEntry = entry;
                entry.policy.mode = ObtainMode::Always;
            }
        }
        let coordinator = coordinator.unwrap_or_default();
        let (default_budget, budgets) = upstreams.into_parts();
        let failed = sink.failed();
        let findings = sink.close(path, text);
        if failed {
            return Err(ConfigErrors::Invalid(findings));
        }
        Ok(Self {
            path: path.to_owned(),
            state_dir,
            audit,
            components,
            coordinator,
            default_budget,
            budgets,
            instances,
            groups,
            logins: plans,
            traces: trace_plan,
            local,
            warnings: findings,
            setting_lines,
        })
    }
}

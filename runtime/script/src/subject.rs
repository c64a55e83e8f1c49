//! The component under test, loaded with its grant, its mock secrets and its state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_config::{TestSubject, TestedInstance};
use deputy_core::{ReceiverPlan, SecretBytes};
use deputy_sandbox::{LoadError, LoadedProvider, LoadedReceiver, Sandbox, StateStore, StateStoreError, StateTurn};
use deputy_support::LockUnpoisoned as _;
use tempfile::TempDir;

use crate::file::{CallEntry, ScriptFile};
use crate::script_error::ScriptError;

/// The component of a test, and a private folder for its mocks.
pub(crate) struct Subject {
    pub(crate) component: TestSubject,
    pub(crate) state: Arc<MockState>,
    path: PathBuf,
    _folder: TempDir,
}

/// The state of the instance under test, in memory.
#[derive(Debug, Default)]
pub(crate) struct MockState(Mutex<Option<Arc<SecretBytes>>>);

struct MockTurn(Arc<MockState>);

impl Subject {
    /// Reads the component of a test, puts its mock secrets where the sandbox reads secrets, and has its rules trust the
    /// servers of the test.
    pub(crate) fn prepare(script: &ScriptFile, authority: &Path) -> Result<Self, ScriptError> {
        let failed = |source| ScriptError::Folder { path: script.path.clone(), source };
        let folder = tempfile::tempdir().map_err(failed)?;
        let mut component = TestSubject::parse(&script.text, &script.path, folder.path())?;
        if let TestSubject::Provider(instance) = &mut component {
            for (name, value) in &instance.mocks {
                let mut file = tempfile::Builder::new();
                let file = file.prefix("mock").tempfile_in(folder.path()).map_err(failed)?;
                std::io::Write::write_all(&mut file.as_file(), value.expose()).map_err(failed)?;
                file.persist(folder.path().join(name.as_str())).map_err(|error| failed(error.error))?;
            }
            trust(instance, authority);
        }
        let state = script.entries.state.as_ref().map(|text| Arc::new(SecretBytes::new(text.clone().into_bytes())));
        let state = Arc::new(MockState(Mutex::new(state)));
        Ok(Self { component, state, path: script.path.clone(), _folder: folder })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Loads the provider with further settings.
    pub(crate) async fn provider(
        &self,
        sandbox: &Sandbox,
        tested: &TestedInstance,
        call: &CallEntry,
    ) -> Result<Option<LoadedProvider>, ScriptError> {
        let Some(instance) = &tested.entry.component else { return Ok(None) };
        let mut instance = instance.clone();
        set(&mut instance.settings, call);
        if let Some(patience) = call.patience {
            instance.limits.first_byte = patience;
            instance.limits.between_bytes = patience;
        }
        let loaded = sandbox.load(&instance).await.map_err(|source| self.load_error(source))?;
        Ok(Some(loaded.with_state(MockState::store(&self.state))))
    }

    /// Loads the receiver with further settings.
    pub(crate) async fn receiver(
        &self,
        sandbox: &Sandbox,
        plan: &ReceiverPlan,
        call: &CallEntry,
    ) -> Result<LoadedReceiver, ScriptError> {
        let mut plan = plan.clone();
        set(&mut plan.settings, call);
        sandbox.load_receiver(&plan).await.map_err(|source| self.load_error(source))
    }

    fn load_error(&self, source: LoadError) -> ScriptError {
        ScriptError::Load { path: self.path.clone(), source: Box::new(source) }
    }
}

/// Sets the settings of a call.
fn set(settings: &mut BTreeMap<String, String>, call: &CallEntry) {
    if call.without_settings {
        settings.clear();
    }
    settings.extend(call.settings.iter().map(|(name, value)| (name.clone(), value.clone())));
}

/// The servers of a test have certificates of the test's own authority, whatever roots the grant names.
fn trust(instance: &mut TestedInstance, authority: &Path) {
    let Some(instance) = &mut instance.entry.component else { return };
    for rule in &mut instance.grant.http {
        rule.send.tls.roots = Some(authority.to_owned());
    }
    for tls in instance.grant.tcp.iter_mut().filter_map(|rule| rule.tls.as_mut()) {
        tls.roots = Some(authority.to_owned());
    }
}

impl MockState {
    /// The state as a component reaches it.
    pub(crate) fn store(state: &Arc<Self>) -> Arc<dyn StateStore> {
        Arc::new(SharedState(Arc::clone(state)))
    }

    /// What is kept now.
    pub(crate) fn value(&self) -> Option<Arc<SecretBytes>> {
        self.0.lock_unpoisoned().clone()
    }
}

struct SharedState(Arc<MockState>);

#[async_trait]
impl StateStore for SharedState {
    async fn turn(&self) -> Box<dyn StateTurn> {
        Box::new(MockTurn(Arc::clone(&self.0)))
    }
}

#[async_trait]
impl StateTurn for MockTurn {
    async fn load(&mut self) -> Result<Option<Arc<SecretBytes>>, StateStoreError> {
        Ok(self.0.value())
    }

    async fn save(&mut self, value: &SecretBytes) -> Result<(), StateStoreError> {
        let value = (!value.is_empty()).then(|| Arc::new(SecretBytes::new(value.expose().to_vec())));
        *self.0.0.lock_unpoisoned() = value;
        Ok(())
    }
}

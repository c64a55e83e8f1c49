//! Components that are being loaded, side by side.

use std::collections::HashMap;
use std::sync::Arc;

use deputy_config::CoordinatorFile;
use tokio::task::{Id, JoinSet};

use super::component_loader::ComponentLoader;
use super::configured_component::{ConfiguredComponent, LoadedComponent};

pub(crate) type LoadResult = (ConfiguredComponent, Result<LoadedComponent, String>);

#[derive(Default)]
pub(crate) struct LoadingTasks {
    tasks: JoinSet<Result<LoadedComponent, String>>,
    components: HashMap<Id, ConfiguredComponent>,
}

impl LoadingTasks {
    pub(crate) fn start(
        &mut self,
        loader: &Arc<ComponentLoader>,
        config: &Arc<CoordinatorFile>,
        components: impl IntoIterator<Item = ConfiguredComponent>,
    ) {
        for component in components {
            let loader = Arc::clone(loader);
            let config = Arc::clone(config);
            let loading = component.clone();
            let task = self.tasks.spawn(async move { loader.load(&config, &loading).await });
            self.components.insert(task.id(), component);
        }
    }

    pub(crate) fn contains(&self, component: &ConfiguredComponent) -> bool {
        self.components.values().any(|loading| loading == component)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next component to be done; `None` if none is being loaded.
    pub(crate) async fn next(&mut self) -> Option<LoadResult> {
        loop {
            let (id, result) = match self.tasks.join_next_with_id().await? {
                Ok(done) => done,
                Err(error) => (error.id(), Err("loading panicked: this is a bug, please report it".to_owned())),
            };
            if let Some(component) = self.components.remove(&id) {
                return Some((component, result));
            }
        }
    }
}

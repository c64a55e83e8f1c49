//! Components that are being loaded, side by side.

use std::sync::Arc;

use deputy_config::CoordinatorFile;
use deputy_support::TrackedTasks;

use super::component_loader::ComponentLoader;
use super::configured_component::{ConfiguredComponent, ReadyComponent};

pub(crate) type LoadResult = (ConfiguredComponent, Result<ReadyComponent, String>);

#[derive(Default)]
pub(crate) struct LoadingTasks(TrackedTasks<ConfiguredComponent, Result<ReadyComponent, String>>);

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
            self.0.spawn(component, async move { loader.load(&config, &loading).await });
        }
    }

    pub(crate) fn contains(&self, component: &ConfiguredComponent) -> bool {
        self.0.keys().any(|loading| loading == component)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next component to be done; `None` if none is being loaded.
    pub(crate) async fn next(&mut self) -> Option<LoadResult> {
        let (component, result) = self.0.join_next().await?;
        let result = result.unwrap_or_else(|_| Err("loading panicked: this is a bug, please report it".to_owned()));
        Some((component, result))
    }
}

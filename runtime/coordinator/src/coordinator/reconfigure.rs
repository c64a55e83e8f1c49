//! Applies configurations. All of them come here, one after the other.
//!
//! The first one is applied before anything is loaded: an instance enters the schedule when its component is ready, and
//! waits for no other.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::{ScheduleConfig, ScheduleEvent};

use super::Coordinator;
use crate::command::CoordinatorCommand;
use crate::configuration::{CoordinatorConfig, LoadedInstances, ReloadSummary};
use crate::file_watcher::FileWatcher;
use crate::provider::ConfiguredProvider;

impl Coordinator {
    /// Applies a configuration to the schedule and to what workers get.
    pub(super) fn configure(&mut self, config: CoordinatorConfig, files: FileWatcher) -> ReloadSummary {
        let summary = self.compare(&config.configuration, &config.loading);
        self.replica.adopt(config.clone());
        self.apply(&config, files);
        self.replica.deliver();
        ReloadSummary { generation: self.replica.generation, ..summary }
    }

    /// Applies the configuration that the replica has.
    pub(super) fn apply(&mut self, config: &CoordinatorConfig, mut files: FileWatcher) {
        let configuration = &config.configuration;
        for (name, record, is_published) in self.pending.replace(config.loading.clone()) {
            // The first configuration may lack an instance that was known at the start.
            if is_published && !configuration.plans.contains_key(&name) {
                self.replica.options.board.withdraw(&name);
            }
            self.handle(ScheduleEvent::Restored(name, record));
        }
        self.add_providers(&config.providers);
        let unnamed: Vec<InstanceName> =
            mem::take(&mut self.file_observations).into_keys().filter(|name| !files.watches(name)).collect();
        for name in unnamed {
            self.handle(ScheduleEvent::FileObserved(name, None));
        }
        for (name, observation) in mem::take(&mut files.observations) {
            self.observe_file(name, observation);
        }
        let generation = self.replica.generation;
        self.file_watches = files.watch(&self.replica.command_sender, move |instance, observation| {
            CoordinatorCommand::FileObserved { generation, instance, observation }
        });
        // What was decided under the last configuration is done under it, so that each call reaches the component that it
        // was meant for.
        self.run_actions();
        self.handle(ScheduleEvent::Configured(configuration.clone()));
        self.providers.prune_all(&self.schedule);
    }

    /// Adds what was loaded for a configuration. Returns false if another one is in use by now.
    pub(super) fn add_loaded(&mut self, generation: u64, loaded: LoadedInstances) -> bool {
        let names: Vec<InstanceName> = loaded.plans.keys().cloned().collect();
        let providers = loaded.providers.clone();
        let has_deliveries = loaded.deliveries.is_some();
        if !self.replica.add_loaded(generation, loaded) {
            return false;
        }
        if !names.is_empty()
            && let Some(config) = &self.replica.configuration
        {
            let configuration = config.configuration.clone();
            self.add_providers(&providers);
            self.admit(&names, configuration);
        }
        if has_deliveries {
            self.replica.deliver();
        }
        true
    }

    fn add_providers(&mut self, providers: &BTreeMap<InstanceName, Arc<dyn ConfiguredProvider>>) {
        let Some(config) = &self.replica.configuration else { return };
        for (name, provider) in providers {
            if let Some(plan) = config.configuration.plans.get(name) {
                self.providers.insert(name.clone(), plan.fingerprint, Arc::clone(provider));
            }
        }
    }

    /// Hands loaded instances over to the schedule.
    fn admit(&mut self, names: &[InstanceName], configuration: ScheduleConfig) {
        let mut requested = Vec::new();
        for name in names {
            let admitted = self.pending.admit(name);
            if let Some(record) = admitted.record {
                self.handle(ScheduleEvent::Restored(name.clone(), record));
            }
            if admitted.is_requested {
                requested.push(name.clone());
            }
        }
        self.handle(ScheduleEvent::Configured(configuration));
        for name in names {
            self.providers.prune(name, &self.schedule);
        }
        for name in requested {
            self.handle(ScheduleEvent::LeaseRequested(name));
        }
    }

    fn compare(&self, configuration: &ScheduleConfig, loading: &BTreeSet<InstanceName>) -> ReloadSummary {
        let now = self.replica.options.clock.now();
        let mut summary = ReloadSummary::default();
        for (name, plan) in &configuration.plans {
            match self.schedule.instance(name, now) {
                None => summary.added.push(name.clone()),
                Some(snapshot) if snapshot.plan == plan => summary.unchanged += 1,
                Some(_) => summary.changed.push(name.clone()),
            }
        }
        summary.removed = (self.schedule.instances(now).map(|snapshot| snapshot.name))
            .filter(|name| !configuration.plans.contains_key(*name) && !loading.contains(*name))
            .cloned()
            .collect();
        summary
    }
}

//! Applies configurations. All of them come here, one after the other.
//!
//! The first one is applied before anything is loaded: an instance enters the schedule when its component is ready, and
//! waits for no other.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::{ScheduleConfig, ScheduleEvent};

use super::Coordinator;
use crate::command::CoordinatorCommand;
use crate::configuration::{CoordinatorConfig, LoadedInstances, ReloadSummary};
use crate::deliveries::Deliveries;
use crate::file_watcher::FileWatcher;

impl Coordinator {
    /// Applies a configuration to the schedule and to what workers get.
    pub(super) fn configure(&mut self, config: CoordinatorConfig, mut files: FileWatcher) -> ReloadSummary {
        let CoordinatorConfig { configuration, providers, loading, deliveries, files: _ } = config;
        let summary = self.compare(&configuration, &loading);
        for (name, record, is_published) in self.pending.replace(loading) {
            // The first configuration may lack an instance that was known at the start.
            if is_published && !configuration.plans.contains_key(&name) {
                self.options.board.withdraw(&name);
            }
            self.handle(ScheduleEvent::Restored(name, record));
        }
        for (name, provider) in providers {
            if let Some(plan) = configuration.plans.get(&name) {
                self.providers.insert(name, plan.fingerprint, provider);
            }
        }
        let unnamed: Vec<InstanceName> =
            mem::take(&mut self.file_observations).into_keys().filter(|name| !files.watches(name)).collect();
        for name in unnamed {
            self.handle(ScheduleEvent::FileObserved(name, None));
        }
        for (name, observation) in mem::take(&mut files.observations) {
            self.observe_file(name, observation);
        }
        self.generation += 1;
        let generation = self.generation;
        self.file_watches = files.watch(&self.command_sender, move |instance, observation| {
            CoordinatorCommand::FileObserved { generation, instance, observation }
        });
        self.configuration = Some(configuration.clone());
        // What was decided under the last configuration is done under it, so that each call reaches the component that it
        // was meant for.
        self.run_actions();
        self.handle(ScheduleEvent::Configured(configuration));
        self.providers.prune_all(&self.schedule);
        self.deliver(deliveries);
        self.configured.send_replace(true);
        ReloadSummary { generation: self.generation, ..summary }
    }

    /// Adds what was loaded for a configuration. Returns false if another one is in use by now.
    pub(super) fn add_loaded(&mut self, generation: u64, loaded: LoadedInstances) -> bool {
        let Some(configuration) = self.configuration.as_mut().filter(|_| generation == self.generation) else {
            return false;
        };
        let names: Vec<InstanceName> = loaded.plans.keys().cloned().collect();
        if !names.is_empty() {
            configuration.plans.extend(loaded.plans);
            let configuration = configuration.clone();
            for (name, provider) in loaded.providers {
                if let Some(plan) = configuration.plans.get(&name) {
                    self.providers.insert(name, plan.fingerprint, provider);
                }
            }
            self.admit(&names, configuration);
        }
        if let Some(deliveries) = loaded.deliveries {
            self.deliver(deliveries);
        }
        true
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
        let now = self.options.clock.now();
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

    fn deliver(&self, deliveries: Deliveries) {
        self.deliveries.send_replace(Arc::new(deliveries.clone()));
        if let Some(workers) = &self.workers {
            workers.deliver(deliveries);
        }
    }
}

//! Configurations, and the instances whose component is still being loaded when one is applied.
//!
//! All configurations come in here, one after the other. The first one is applied before anything is loaded: an instance
//! enters the schedule when its component is ready, and waits for no other. Until then its saved lease stays published,
//! and its saved record is kept back, since a record that comes without its instance would be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use deputy_core::InstanceName;
use deputy_core::schedule::{InstancePlan, Lease, LeaseRecord, ScheduleConfig, ScheduleEvent};
use deputy_metrics::LeaseMetrics;

use crate::coordinator::Coordinator;
use crate::handle::{Configure, ReloadSummary};
use crate::provider::Provider;
use crate::status::{InstanceStatus, loading_metrics};
use crate::workers::Deliveries;

/// Instances that could be loaded, or can't be, since their configuration was applied.
#[derive(Default)]
pub struct Loaded {
    /// Their plans.
    pub plans: BTreeMap<InstanceName, InstancePlan>,
    /// What their calls go to.
    pub providers: BTreeMap<InstanceName, Arc<dyn Provider>>,
    /// What each group of workers gets now, if that changed.
    pub deliveries: Option<Deliveries>,
}

/// Instances that are configured and not in the schedule yet.
#[derive(Default)]
pub(crate) struct Loading {
    /// What was saved for instances that the schedule does not know.
    restored: BTreeMap<InstanceName, LeaseRecord>,
    /// Those whose saved lease was published at the start.
    published: BTreeSet<InstanceName>,
    instances: BTreeSet<InstanceName>,
    /// Those whose lease was asked for meanwhile.
    asked: BTreeSet<InstanceName>,
}

impl Loading {
    /// What was saved for an instance, and whether its lease was published.
    pub(crate) fn restore(&mut self, name: InstanceName, record: LeaseRecord, published: bool) {
        if published {
            self.published.insert(name.clone());
        }
        self.restored.insert(name, record);
    }

    pub(crate) fn contains(&self, name: &InstanceName) -> bool {
        self.instances.contains(name)
    }

    /// Notes that the lease of an instance was asked for.
    pub(crate) fn ask(&mut self, name: InstanceName) {
        self.asked.insert(name);
    }

    /// What was saved for instances that are not being loaded.
    fn take_restored(&mut self) -> BTreeMap<InstanceName, LeaseRecord> {
        let (kept, taken) =
            mem::take(&mut self.restored).into_iter().partition(|(name, _)| self.instances.contains(name));
        self.restored = kept;
        taken
    }

    fn lease(&self, name: &InstanceName) -> Option<&Lease> {
        self.restored.get(name)?.lease.as_ref().filter(|_| self.published.contains(name))
    }
}

impl Coordinator {
    /// Applies a configuration, to the schedule and to what workers get.
    pub(crate) fn configure(&mut self, Configure { setup, mut files }: Configure) -> ReloadSummary {
        let changed = self.changed(&setup.configuration, &setup.loading);
        self.loading.instances = setup.loading;
        for (name, record) in self.loading.take_restored() {
            // The first configuration may be another than the one that was known at the start.
            if self.loading.published.remove(&name) && !setup.configuration.plans.contains_key(&name) {
                self.options.board.withdraw(&name);
            }
            self.handle(ScheduleEvent::Restored(name, record));
        }
        for (name, provider) in setup.providers {
            if let Some(plan) = setup.configuration.plans.get(&name) {
                self.providers.add(name, plan.fingerprint, provider);
            }
        }
        // What was found in a file that is no longer named is nobody's.
        let unnamed = mem::take(&mut self.looks).into_keys().filter(|name| !files.has(name));
        for name in unnamed.collect::<Vec<_>>() {
            self.handle(ScheduleEvent::FileObserved(name, None));
        }
        for (name, look) in mem::take(&mut files.looks) {
            self.look(name, look);
        }
        self.generation += 1;
        self.watching = files.watch(self.generation, &self.sender);
        self.configuration = Some(setup.configuration.clone());
        // What was decided under the last configuration is done under it: a call takes the component that it was meant for.
        self.act();
        self.handle(ScheduleEvent::Configured(setup.configuration));
        self.providers.prune_all(&self.schedule);
        self.deliver(setup.deliveries);
        self.started.send_replace(true);
        ReloadSummary { generation: self.generation, ..changed }
    }

    /// Takes in what was loaded for a configuration; false if there is another one by now.
    pub(crate) fn loaded(&mut self, generation: u64, loaded: Loaded) -> bool {
        let Some(configuration) = self.configuration.as_mut().filter(|_| generation == self.generation) else {
            return false;
        };
        let names: Vec<InstanceName> = loaded.plans.keys().cloned().collect();
        if !names.is_empty() {
            configuration.plans.extend(loaded.plans);
            let configuration = configuration.clone();
            for (name, provider) in loaded.providers {
                if let Some(plan) = configuration.plans.get(&name) {
                    self.providers.add(name, plan.fingerprint, provider);
                }
            }
            for name in &names {
                self.loading.instances.remove(name);
                self.loading.published.remove(name);
                if let Some(record) = self.loading.restored.remove(name) {
                    self.handle(ScheduleEvent::Restored(name.clone(), record));
                }
            }
            self.handle(ScheduleEvent::Configured(configuration));
            for name in &names {
                self.providers.prune(name, &self.schedule);
            }
            for name in names {
                if self.loading.asked.remove(&name) {
                    self.handle(ScheduleEvent::LeaseRequested(name));
                }
            }
        }
        if let Some(deliveries) = loaded.deliveries {
            self.deliver(deliveries);
        }
        true
    }

    /// What a configuration changes about the instances.
    fn changed(&self, configuration: &ScheduleConfig, loading: &BTreeSet<InstanceName>) -> ReloadSummary {
        let now = self.options.clock.now();
        let mut changed = ReloadSummary::default();
        for (name, plan) in &configuration.plans {
            match self.schedule.view(name, now) {
                None => changed.added.push(name.clone()),
                Some(view) if view.plan == plan => changed.unchanged += 1,
                Some(_) => changed.changed.push(name.clone()),
            }
        }
        changed.removed = (self.schedule.views(now).map(|view| view.name))
            .filter(|name| !configuration.plans.contains_key(*name) && !loading.contains(*name))
            .cloned()
            .collect();
        changed
    }

    fn deliver(&self, deliveries: Deliveries) {
        if let Some(workers) = &self.workers {
            workers.deliver(deliveries);
        }
    }

    /// An instance that is being loaded.
    pub(crate) fn loading_instance(&self, name: &InstanceName) -> Option<InstanceStatus> {
        let now = self.options.clock.now();
        self.loading.contains(name).then(|| InstanceStatus::loading(name, self.loading.lease(name), now))
    }

    /// All instances that are being loaded.
    pub(crate) fn loading_instances(&self) -> impl Iterator<Item = InstanceStatus> {
        self.loading.instances.iter().filter_map(|name| self.loading_instance(name))
    }

    /// The same for the metrics.
    pub(crate) fn loading_metrics(&self) -> impl Iterator<Item = LeaseMetrics> {
        let now = self.options.clock.now();
        self.loading.instances.iter().map(move |name| loading_metrics(name, self.loading.lease(name), now))
    }
}

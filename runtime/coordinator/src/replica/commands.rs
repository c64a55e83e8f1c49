//! What a coordinator answers while it follows another one.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::InstanceName;
use deputy_core::schedule::{Lease, ScheduleEvent};
use deputy_metrics::CoordinatorSnapshot;
use deputy_support::pause;
use tokio::sync::{oneshot, watch};

use super::Replica;
use super::lease_follower::LeaseFollower;
use super::requests::Purpose;
use crate::command::{CoordinatorCommand, RequestReply};
use crate::configuration::{CoordinatorConfig, ReloadSummary};
use crate::coordinator::CoordinatorOptions;
use crate::handle::Performer;
use crate::leader::{LeaderView, LeaderWatch};
use crate::request_error::ControlRequestError;
use crate::status::{
    CoordinatorStatus, FOLLOWING, FollowedLease, InstanceStatus, ListedInstance, StatusPage, StatusQuery,
};

/// How long two coordinators may have different configurations before that is logged.
const SETTLING: Duration = Duration::from_secs(5);

/// What is known of the leader and of what it has obtained.
struct FollowedView<'a> {
    leader: &'a LeaderView,
    leases: &'a LeaseFollower,
}

impl Replica {
    /// Serves the leases of the coordinator that leads, and answers commands, until it is stopped. Cancel safe.
    pub async fn follow(&mut self, leader: &LeaderWatch) {
        let CoordinatorOptions { store, board, clock, .. } = &self.options;
        let leases = LeaseFollower::new(Arc::clone(store), Arc::clone(board), Arc::clone(clock));
        let comparison = warn_of_another_configuration(leader.clone(), self.digest(), SETTLING);
        tokio::select! {
            // Neither ends.
            () = leases.run() => {}
            () = comparison => {}
            () = self.answer_commands(leader, &leases) => tracing::info!("coordinator stopped"),
        }
    }

    async fn answer_commands(&mut self, leader: &LeaderWatch, leases: &LeaseFollower) {
        while let Some(command) = self.commands.recv().await {
            match command {
                CoordinatorCommand::Event(event) => match *event {
                    ScheduleEvent::Stop => return,
                    // Also what another coordinator asked this one for, while it led.
                    event => self.pass_on(event, oneshot::channel().0),
                },
                CoordinatorCommand::Request(event, reply) => self.pass_on(*event, reply),
                CoordinatorCommand::Configure { config, files: _, reply } => {
                    reply.send(self.configure(*config)).ok();
                }
                CoordinatorCommand::Loaded { generation, loaded, reply } => {
                    let is_current = self.add_loaded(generation, *loaded);
                    if is_current {
                        self.deliver();
                    }
                    reply.send(is_current).ok();
                }
                // The leader observes its own files.
                CoordinatorCommand::FileObserved { .. }
                | CoordinatorCommand::UsedElsewhere(..)
                | CoordinatorCommand::RevokeUnsaved(..) => {}
                CoordinatorCommand::Instance(name, reply) => {
                    reply.send(self.instance_status(&name, &FollowedView { leader: &leader.borrow(), leases })).ok();
                }
                CoordinatorCommand::Alive(reply) => {
                    reply.send(()).ok();
                }
                CoordinatorCommand::Metrics(reply) => {
                    reply.send(self.metrics(&leader.borrow())).ok();
                }
                CoordinatorCommand::Status(query, reply) => {
                    reply.send(self.status(&query, &FollowedView { leader: &leader.borrow(), leases })).ok();
                }
            }
        }
    }

    /// Passes on to the leader what asks for a call, and replies once that is written.
    fn pass_on(&mut self, event: ScheduleEvent, reply: RequestReply) {
        match event {
            ScheduleEvent::Renew(instance) => return self.requests.ask(&instance, Purpose::Renew, reply),
            ScheduleEvent::Revoke(instance) => return self.requests.ask(&instance, Purpose::Revoke, reply),
            ScheduleEvent::LeaseRequested(instance) if self.lease(&instance).is_none() => {
                if self.is_on_demand(&instance) {
                    return self.requests.ask(&instance, Purpose::Get, reply);
                }
                // As far as is known here, the leader obtains it anyway.
                self.requests.ask(&instance, Purpose::Get, oneshot::channel().0);
            }
            ScheduleEvent::Used(instance, users) if users > 0 && self.is_on_demand(&instance) => {
                self.requests.note_use(&instance);
            }
            _ => {}
        }
        reply.send(Ok(Performer::Leader)).ok();
    }

    fn configure(&mut self, config: CoordinatorConfig) -> ReloadSummary {
        let before = self.configuration.as_ref().map(|config| &config.configuration.plans);
        let mut summary = ReloadSummary::default();
        for (name, plan) in &config.configuration.plans {
            match before.and_then(|plans| plans.get(name)) {
                None => summary.added.push(name.clone()),
                Some(before) if before == plan => summary.unchanged += 1,
                Some(_) => summary.changed.push(name.clone()),
            }
        }
        let is_gone =
            |name: &&InstanceName| !config.configuration.plans.contains_key(*name) && !config.loading.contains(*name);
        summary.removed = before.into_iter().flat_map(BTreeMap::keys).filter(is_gone).cloned().collect();
        self.requests.retain(|name| config.configuration.plans.contains_key(name) || config.loading.contains(name));
        self.adopt(config);
        self.deliver();
        ReloadSummary { generation: self.generation, ..summary }
    }

    /// The lease of an instance, if it is valid.
    fn lease(&self, instance: &InstanceName) -> Option<Lease> {
        self.options.board.lease(instance).filter(|lease| lease.is_valid(self.options.clock.now().wall))
    }

    fn is_on_demand(&self, instance: &InstanceName) -> bool {
        let plan = self.configuration.as_ref().and_then(|config| config.configuration.plans.get(instance));
        plan.is_some_and(|plan| plan.policy.mode.is_on_demand())
    }

    fn instance_status(
        &self,
        name: &InstanceName,
        view: &FollowedView<'_>,
    ) -> Result<InstanceStatus, ControlRequestError> {
        if self.instances().any(|instance| instance == name) {
            return Ok(self.followed(name, self.lease(name), view));
        }
        Err(match self.generation {
            0 => ControlRequestError::Starting,
            _ => ControlRequestError::Unknown(name.to_string()),
        })
    }

    fn followed(&self, name: &InstanceName, lease: Option<Lease>, view: &FollowedView<'_>) -> InstanceStatus {
        let now = self.options.clock.now();
        let Some(plan) = self.configuration.as_ref().and_then(|config| config.configuration.plans.get(name)) else {
            return InstanceStatus::loading(name, lease.as_ref(), now);
        };
        let lease = match (lease, view.leases.expired_at(name)) {
            (Some(lease), _) => FollowedLease::Valid(lease),
            (None, Some(expired_at)) => FollowedLease::Expired(expired_at),
            (None, None) if self.options.board.is_read() => FollowedLease::Missing,
            (None, None) => FollowedLease::Unread,
        };
        InstanceStatus::followed(name, plan, &lease, view.leader, now)
    }

    /// The leader has those of the leases.
    fn metrics(&self, leader: &LeaderView) -> CoordinatorSnapshot {
        CoordinatorSnapshot {
            is_state_failing: leader.trouble.is_some(),
            has_other_configuration: leader.has_other_configuration(self.digest.borrow().as_deref()),
            ..CoordinatorSnapshot::default()
        }
    }

    fn status(&self, query: &StatusQuery, view: &FollowedView<'_>) -> CoordinatorStatus {
        let leader = view.leader;
        let now = self.options.clock.now();
        let leases: BTreeMap<&InstanceName, Option<Lease>> =
            self.instances().map(|name| (name, self.lease(name))).collect();
        let listed = leases.iter().map(|(name, lease)| ListedInstance::Followed {
            name,
            lease: lease.as_ref(),
            is_on_demand: self.is_on_demand(name),
        });
        let page = StatusPage::of(listed, query, now);
        let instances = page.instances.iter().map(|listed| self.followed(listed.name(), listed.lease().cloned(), view));
        CoordinatorStatus {
            starting: self.generation == 0,
            // Whether the leases are there is the leader's to say.
            ready: self.generation > 0 && self.options.board.is_read() && leader.trouble.is_none(),
            instance_count: page.total,
            ready_count: page.ready,
            instances: instances.collect(),
            next: page.next.map(|name| name.to_string()),
            role: FOLLOWING.to_owned(),
            leader: leader.leader.as_ref().map(|leader| leader.name().to_owned()),
            leader_configuration: leader.leader.as_ref().and_then(|leader| leader.configuration().map(str::to_owned)),
            configuration: self.digest.borrow().clone(),
            state_trouble: leader.trouble.clone(),
            ..CoordinatorStatus::of_process(self.started_at, now)
        }
    }
}

/// Logs each configuration of the leader that is not the one in use here, once that is loaded. Never ends.
async fn warn_of_another_configuration(
    mut leader: LeaderWatch,
    mut digest: watch::Receiver<Option<String>>,
    settling: Duration,
) {
    let mut last = None;
    loop {
        // Both are applied one after the other.
        pause(settling).await;
        let own = digest.borrow_and_update().clone();
        let view = leader.borrow_and_update().clone();
        let differing =
            Some((own, view.leader.clone())).filter(|(own, _)| view.has_other_configuration(own.as_deref()));
        if differing.is_some() && last != differing {
            tracing::warn!(
                "{} with another configuration: compare the files and the components, and `deputy reload` both",
                view.brief()
            );
        }
        // A state that cannot be read for a while says nothing new.
        if view.trouble.is_none() {
            last = differing;
        }
        tokio::select! {
            Ok(()) = leader.changed() => {}
            Ok(()) = digest.changed() => {}
            else => pending().await,
        }
    }
}

#[cfg(test)]
mod tests;

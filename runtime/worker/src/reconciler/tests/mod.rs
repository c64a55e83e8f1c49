use std::collections::{BTreeMap, BTreeSet};

use deputy_core::Revision;
use deputy_core::failure::FailureKind;
use deputy_core::{
    CallFailure, Delivery, Digest, Expired, HookSignal, LeaseVersion, LimitOverrides, SecretBytes, Span, Timestamp,
};
use deputy_link::{DeliveryReport, ReceiverBinding};

use super::*;
use crate::hook::Hook;
use crate::receiver::AcceptError;
use crate::receiver_policy::ReceiverPolicy;
use crate::unit::{FileAccess, HookNotified, PublishOutcome, PublishedUnit, UnitName};

mod absence;
mod failures;
mod rules;
mod simulation;

/// The life of a lease in milliseconds.
const LIFE: u64 = 100_000;

fn policy(expired: Expired) -> ReceiverPolicy {
    let hook = Hook::Signal("/run/pid".into(), HookSignal::Hup);
    ReceiverPolicy {
        directory: "/run/out".into(),
        access: FileAccess::default(),
        hook: Some(hook),
        expired,
        limits: LimitOverrides::default(),
    }
}

fn policies(expired: Expired) -> ReceiverPolicies {
    ReceiverPolicies {
        default: policy(expired),
        receivers: BTreeMap::new(),
        bindings: BTreeMap::new(),
        wanted: None,
        endpoints: BTreeSet::new(),
        retry: ReceiverPolicies::RETRY,
    }
}

fn delivery(instance: &str, revision: u64, obtained_at: u64) -> Delivery {
    Delivery {
        instance: instance.parse().unwrap(),
        service: "s3".parse().unwrap(),
        kind: "aws-credential-process/1".parse().unwrap(),
        stamp: LeaseVersion { revision: Revision(revision), obtained_at: Timestamp::from_millis(obtained_at) },
        valid_until: Timestamp::from_millis(obtained_at + LIFE),
        next_at: None,
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(vec![1])),
        trace: None,
    }
}

fn applied_lease(delivery: &Delivery) -> AppliedLease {
    AppliedLease { version: delivery.stamp, valid_until: delivery.valid_until }
}

fn binding(component: u8, instances: &[&str]) -> ReceiverBinding {
    let instances = instances.iter().map(|name| name.parse().unwrap()).collect();
    let limits = LimitOverrides::default();
    ReceiverBinding { component: Digest::new([component; 32]), settings: BTreeMap::new(), instances, limits }
}

fn at(millis: u64) -> Now {
    Now { mono: MonotonicTime::from_millis(millis), wall: Timestamp::from_millis(1_000_000 + millis) }
}

fn published(number: u64, switch: PublishOutcome) -> PublishedUnit {
    let unit: UnitName = format!("{number}-0000000000000000").parse().unwrap();
    let notified = if switch == PublishOutcome::Done { HookNotified::NotYet } else { HookNotified::Already };
    PublishedUnit { unit: Some(unit), switch, notified, since: None }
}

fn done() -> RunOutcome {
    outcome_with(published(1, PublishOutcome::Done))
}

fn outcome_with(unit: PublishedUnit) -> RunOutcome {
    rejecting(unit, [])
}

/// A run that rejected the leases of these instances. What it applied is filled in when it ends.
fn rejecting<const N: usize>(unit: PublishedUnit, rejected: [(&str, Rejection); N]) -> RunOutcome {
    let rejected = rejected.into_iter().map(|(name, rejection)| (name.parse().unwrap(), rejection)).collect();
    RunOutcome::Published(PublishedRun { unit, applied: BTreeMap::new(), rejected, facts: Vec::new() })
}

fn rejection(message: &str) -> Rejection {
    Rejection { failure: CallFailure::new(FailureKind::Misconfigured, message), fallback: None }
}

/// Nothing is published any more, and the workload was not notified yet.
fn withdrawn() -> PublishedUnit {
    PublishedUnit { unit: None, switch: PublishOutcome::Done, notified: HookNotified::NotYet, since: None }
}

/// Nothing was published before either.
fn nothing_published() -> PublishedUnit {
    PublishedUnit { unit: None, switch: PublishOutcome::NotNeeded, notified: HookNotified::Already, since: None }
}

fn failure(kind: FailureKind) -> RunOutcome {
    RunOutcome::Failed(AcceptError::host(kind, "no"))
}

/// The component failed, and asked for a delay or for none.
fn own_failure(kind: FailureKind, retry_after: Option<Span>) -> RunOutcome {
    RunOutcome::Failed(AcceptError::component(CallFailure { retry_after, ..CallFailure::new(kind, "no") }))
}

/// A reconciler, its state and its time.
struct TestReconciler {
    reconciler: Reconciler,
    held: DeliveredState,
    now: u64,
    /// The leases of each run.
    runs: BTreeMap<RunId, BTreeMap<InstanceName, AppliedLease>>,
}

impl TestReconciler {
    fn new(policies: ReceiverPolicies) -> Self {
        let held = DeliveredState { complete: true, ..DeliveredState::default() };
        Self { reconciler: Reconciler::new(Arc::new(policies), 1), held, now: 0, runs: BTreeMap::new() }
    }

    /// The coordinator binds each receiver to the instances after its name.
    fn bound(policies: ReceiverPolicies, receivers: &[(&str, &[&str])]) -> Self {
        let mut test = Self::new(policies);
        for (name, instances) in receivers {
            test.held.receivers.insert(name.parse().unwrap(), binding(1, instances));
        }
        test
    }

    fn handle(&mut self, event: ReconcilerEvent) -> Vec<ReconcilerAction> {
        self.reconciler.handle(at(self.now), event);
        let mut actions: Vec<_> = std::iter::from_fn(|| self.reconciler.next_action()).collect();
        actions.retain(|action| !matches!(action, ReconcilerAction::Log(_)));
        for action in &actions {
            if let ReconcilerAction::RunReceiver(ReceiverRun { id, work: RunWork::Accept(_, deliveries), .. }) = action
            {
                let leases = deliveries.iter().map(|it| (it.instance.clone(), applied_lease(it))).collect();
                self.runs.insert(*id, leases);
            }
        }
        actions
    }

    fn send_state(&mut self) -> Vec<ReconcilerAction> {
        let held = Arc::new(self.held.clone());
        self.handle(ReconcilerEvent::StateChanged(held))
    }

    /// Delivers a lease that is obtained now.
    fn deliver(&mut self, instance: &str, revision: u64) -> Vec<ReconcilerAction> {
        let delivery = delivery(instance, revision, at(self.now).wall.as_millis());
        self.held.deliveries.insert(delivery.instance.clone(), delivery);
        self.send_state()
    }

    fn withdraw(&mut self, instance: &str) -> Vec<ReconcilerAction> {
        self.held.deliveries.remove(&instance.parse().unwrap());
        self.send_state()
    }

    /// Ends a run. What it was given is applied; of what it rejected, the fallback is.
    fn finish_run(&mut self, run: u64, mut outcome: RunOutcome) -> Vec<ReconcilerAction> {
        if let RunOutcome::Published(PublishedRun { applied, rejected, .. }) = &mut outcome {
            *applied = self.runs.get(&RunId(run)).cloned().unwrap_or_default();
            for (instance, rejection) in rejected {
                applied.remove(instance);
                let fallback = rejection.fallback.filter(|fallback| fallback.is_applied);
                applied.extend(fallback.map(|fallback| (instance.clone(), fallback.lease)));
            }
        }
        self.handle(ReconcilerEvent::RunFinished(RunId(run), outcome))
    }

    fn advance(&mut self, millis: u64) -> Vec<ReconcilerAction> {
        self.now += millis;
        self.handle(ReconcilerEvent::TimerFired)
    }

    fn wake_at(&self) -> Option<u64> {
        self.reconciler.wake_at(at(self.now)).map(MonotonicTime::as_millis)
    }
}

/// The actions in short: `run 1 aws s3:2 lab:1`, `report s3:2 ok`, `hook aws s3`, `drop aws`.
fn summary(actions: &[ReconcilerAction]) -> Vec<String> {
    let words = actions.iter().map(|action| match action {
        ReconcilerAction::DropReceiver(receiver) => format!("drop {receiver}"),
        ReconcilerAction::RunHook(receiver, instances) => {
            let names: Vec<&str> = instances.iter().map(InstanceName::as_str).collect();
            format!("hook {receiver} {}", names.join(" ")).trim_end().to_owned()
        }
        ReconcilerAction::Log(event) => format!("{event:?}"),
        ReconcilerAction::Report(DeliveryReport { instance, stamp, result }) => {
            format!("report {instance}:{} {}", stamp.revision, result.as_ref().err().map_or("ok", |reason| reason))
        }
        ReconcilerAction::RunReceiver(ReceiverRun { id, receiver, work: RunWork::Accept(_, deliveries) }) => {
            let deliveries = deliveries.iter().map(|it| format!(" {}:{}", it.instance, it.stamp.revision));
            format!("run {} {receiver}{}", id.0, deliveries.collect::<String>())
        }
        ReconcilerAction::RunReceiver(ReceiverRun { id, receiver, work: RunWork::Withdraw }) => {
            format!("run {} {receiver}", id.0)
        }
    });
    words.collect()
}

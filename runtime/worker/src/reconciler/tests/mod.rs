use std::collections::BTreeMap;

use deputy_core::{Digest, HookSignal, LimitOverrides, Revision, SecretBytes, Span};
use deputy_link::DeliveryReport;

use super::*;
use crate::hook::Hook;
use crate::receiver_policy::ReceiverPolicy;
use crate::unit::{FileAccess, PublishedUnit, UnitName};

mod absent;
mod rules;
mod simulation;

/// Deliveries are good for so long after they were obtained, in milliseconds.
const LIFE: u64 = 100_000;

fn plan(expired: Expired) -> ReceiverPolicy {
    let hook = Hook::Signal("/run/pid".into(), HookSignal::Hup);
    ReceiverPolicy {
        directory: "/run/out".into(),
        access: FileAccess::default(),
        hook: Some(hook),
        expired,
        limits: LimitOverrides::default(),
    }
}

fn plans(expired: Expired) -> ReceiverPolicies {
    ReceiverPolicies {
        default: plan(expired),
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
        stamp: LeaseVersion { revision: Revision(revision), obtained_at: Timestamp::from_millis(obtained_at) },
        valid_until: Timestamp::from_millis(obtained_at + LIFE),
        payload: Arc::new(SecretBytes::new(vec![1])),
    }
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
    let told = if switch == PublishOutcome::Done { HookNotified::NotYet } else { HookNotified::Already };
    PublishedUnit { unit: Some(unit), switch, told, since: None }
}

fn done() -> RunOutcome {
    RunOutcome::Applied { published: published(1, PublishOutcome::Done), refused: BTreeMap::new() }
}

fn failure(kind: FailureKind) -> RunOutcome {
    RunOutcome::Failed(AcceptError { kind, message: "no".to_owned() })
}

/// A machine at a time, and what it held last.
struct World {
    machine: Reconciler,
    held: DeliveredState,
    now: u64,
}

impl World {
    fn new(plans: ReceiverPolicies) -> Self {
        let held = DeliveredState { complete: true, ..DeliveredState::default() };
        Self { machine: Reconciler::new(Arc::new(plans), 1), held, now: 0 }
    }

    /// With these receivers, each bound to the instances after its name.
    fn bound(plans: ReceiverPolicies, receivers: &[(&str, &[&str])]) -> Self {
        let mut world = Self::new(plans);
        for (name, instances) in receivers {
            world.held.receivers.insert(name.parse().unwrap(), binding(1, instances));
        }
        world
    }

    fn tell(&mut self, event: ReconcilerEvent) -> Vec<ReconcilerAction> {
        self.machine.handle(at(self.now), event);
        let actions = std::iter::from_fn(|| self.machine.next_action());
        actions.filter(|action| !matches!(action, ReconcilerAction::Notice(_))).collect()
    }

    fn hold(&mut self) -> Vec<ReconcilerAction> {
        let held = Arc::new(self.held.clone());
        self.tell(ReconcilerEvent::Held(held))
    }

    /// Holds another delivery of an instance, obtained now.
    fn gets(&mut self, instance: &str, revision: u64) -> Vec<ReconcilerAction> {
        let delivery = delivery(instance, revision, at(self.now).wall.as_millis());
        self.held.deliveries.insert(delivery.instance.clone(), delivery);
        self.hold()
    }

    fn loses(&mut self, instance: &str) -> Vec<ReconcilerAction> {
        self.held.deliveries.remove(&instance.parse().unwrap());
        self.hold()
    }

    fn ends(&mut self, run: u64, outcome: RunOutcome) -> Vec<ReconcilerAction> {
        self.tell(ReconcilerEvent::Ran(RunId(run), outcome))
    }

    fn later(&mut self, millis: u64) -> Vec<ReconcilerAction> {
        self.now += millis;
        self.tell(ReconcilerEvent::Woke)
    }

    fn wake_at(&self) -> Option<u64> {
        self.machine.wake_at(at(self.now)).map(MonotonicTime::as_millis)
    }
}

/// In short: `run 1 aws s3:2 lab:1`, `report s3:2 ok`, `hook aws s3`, `forget aws`.
fn shown(actions: &[ReconcilerAction]) -> Vec<String> {
    let name = |action: &ReconcilerAction| match action {
        ReconcilerAction::Forget(receiver) => format!("forget {receiver}"),
        ReconcilerAction::Hook(receiver, instances) => {
            let names: Vec<&str> = instances.iter().map(InstanceName::as_str).collect();
            format!("hook {receiver} {}", names.join(" ")).trim_end().to_owned()
        }
        ReconcilerAction::Notice(notice) => format!("{notice:?}"),
        ReconcilerAction::Report(DeliveryReport { instance, stamp, result }) => {
            format!("report {instance}:{} {}", stamp.revision, result.as_ref().err().map_or("ok", |why| why))
        }
        ReconcilerAction::Run(ReceiverRun { number, receiver, work }) => {
            let deliveries = work.iter().flat_map(|(_, deliveries)| deliveries);
            let deliveries = deliveries.map(|it| format!(" {}:{}", it.instance, it.stamp.revision));
            format!("run {} {receiver}{}", number.0, deliveries.collect::<String>())
        }
    };
    actions.iter().map(name).collect()
}

use std::collections::BTreeMap;

use deputy_core::schedule::Revision;
use deputy_core::{Digest, HookSignal, SecretBytes, SomeLimits, Span};
use deputy_link::Report;

use super::*;
use crate::hook::Hook;
use crate::plan::Plan;
use crate::unit::{Access, Published, UnitName};

mod absent;
mod rules;
mod simulation;

/// Deliveries are good for so long after they were obtained, in milliseconds.
const LIFE: u64 = 100_000;

fn plan(expired: Expired) -> Plan {
    let hook = Hook::Signal("/run/pid".into(), HookSignal::Hup);
    Plan {
        directory: "/run/out".into(),
        access: Access::default(),
        hook: Some(hook),
        expired,
        limits: SomeLimits::default(),
    }
}

fn plans(expired: Expired) -> Plans {
    Plans {
        default: plan(expired),
        receivers: BTreeMap::new(),
        bindings: BTreeMap::new(),
        wanted: None,
        endpoints: BTreeSet::new(),
        retry: Plans::RETRY,
    }
}

fn delivery(instance: &str, revision: u64, obtained_at: u64) -> Delivery {
    Delivery {
        instance: instance.parse().unwrap(),
        service: "s3".parse().unwrap(),
        stamp: Stamp { revision: Revision(revision), obtained_at: Timestamp::from_millis(obtained_at) },
        valid_until: Timestamp::from_millis(obtained_at + LIFE),
        payload: Arc::new(SecretBytes::new(vec![1])),
    }
}

fn binding(component: u8, instances: &[&str]) -> Binding {
    let instances = instances.iter().map(|name| name.parse().unwrap()).collect();
    let limits = SomeLimits::default();
    Binding { component: Digest::new([component; 32]), settings: BTreeMap::new(), instances, limits }
}

fn at(millis: u64) -> Now {
    Now { mono: Mono::from_millis(millis), wall: Timestamp::from_millis(1_000_000 + millis) }
}

fn published(number: u64, switch: Switch) -> Published {
    let unit: UnitName = format!("{number}-0000000000000000").parse().unwrap();
    let told = if switch == Switch::Done { Told::NotYet } else { Told::Already };
    Published { unit: Some(unit), switch, told, since: None }
}

fn done() -> Outcome {
    Outcome::Applied { published: published(1, Switch::Done), refused: BTreeMap::new() }
}

fn failure(kind: Kind) -> Outcome {
    Outcome::Failed(AcceptError { kind, message: "no".to_owned() })
}

/// A machine at a time, and what it held last.
struct World {
    machine: Machine,
    held: Held,
    now: u64,
}

impl World {
    fn new(plans: Plans) -> Self {
        let held = Held { complete: true, ..Held::default() };
        Self { machine: Machine::new(Arc::new(plans), 1), held, now: 0 }
    }

    /// With these receivers, each bound to the instances after its name.
    fn bound(plans: Plans, receivers: &[(&str, &[&str])]) -> Self {
        let mut world = Self::new(plans);
        for (name, instances) in receivers {
            world.held.receivers.insert(name.parse().unwrap(), binding(1, instances));
        }
        world
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        self.machine.handle(at(self.now), event);
        let actions = std::iter::from_fn(|| self.machine.next_action());
        actions.filter(|action| !matches!(action, Action::Notice(_))).collect()
    }

    fn hold(&mut self) -> Vec<Action> {
        let held = Arc::new(self.held.clone());
        self.tell(Event::Held(held))
    }

    /// Holds another delivery of an instance, obtained now.
    fn gets(&mut self, instance: &str, revision: u64) -> Vec<Action> {
        let delivery = delivery(instance, revision, at(self.now).wall.as_millis());
        self.held.deliveries.insert(delivery.instance.clone(), delivery);
        self.hold()
    }

    fn loses(&mut self, instance: &str) -> Vec<Action> {
        self.held.deliveries.remove(&instance.parse().unwrap());
        self.hold()
    }

    fn ends(&mut self, run: u64, outcome: Outcome) -> Vec<Action> {
        self.tell(Event::Ran(RunNumber(run), outcome))
    }

    fn later(&mut self, millis: u64) -> Vec<Action> {
        self.now += millis;
        self.tell(Event::Woke)
    }

    fn wake_at(&self) -> Option<u64> {
        self.machine.wake_at(at(self.now)).map(Mono::as_millis)
    }
}

/// In short: `run 1 aws s3:2 lab:1`, `report s3:2 ok`, `hook aws s3`, `forget aws`.
fn shown(actions: &[Action]) -> Vec<String> {
    let name = |action: &Action| match action {
        Action::Forget(receiver) => format!("forget {receiver}"),
        Action::Hook(receiver, instances) => {
            let names: Vec<&str> = instances.iter().map(InstanceName::as_str).collect();
            format!("hook {receiver} {}", names.join(" ")).trim_end().to_owned()
        }
        Action::Notice(notice) => format!("{notice:?}"),
        Action::Report(Report { instance, stamp, result }) => {
            format!("report {instance}:{} {}", stamp.revision, result.as_ref().err().map_or("ok", |why| why))
        }
        Action::Run(Run { number, receiver, work }) => {
            let deliveries = work.iter().flat_map(|(_, deliveries)| deliveries);
            let deliveries = deliveries.map(|it| format!(" {}:{}", it.instance, it.stamp.revision));
            format!("run {} {receiver}{}", number.0, deliveries.collect::<String>())
        }
    };
    actions.iter().map(name).collect()
}

//! Receivers in the harness: one receiver of one hostile component, and what it is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::{
    Accepted, Delivery, LeaseVersion, Limits, OutputPath, ReceiverPlan, Revision, SecretBytes, Timestamp,
};
use deputy_sandbox::LoadedReceiver;

use crate::harness::{AttackReport, host, run_to_report};
use crate::surroundings::{chain, guest_file};

/// What every receiver here is given, unless its test says otherwise.
pub(crate) const PAYLOAD: &str = r#"{"Version":1,"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY","SessionToken":"IQoJb3JpZ2luX2VjEXAMPLE"}"#;

/// One receiver of one component.
#[must_use]
pub(crate) struct Bound {
    pub(crate) plan: ReceiverPlan,
    deliveries: Vec<Delivery>,
}

impl Bound {
    /// A receiver without settings, with default limits, which is given one lease.
    pub(crate) fn new(guest: &str) -> Self {
        let plan = ReceiverPlan {
            name: guest.parse().unwrap(),
            component: guest_file(guest).into(),
            sha256: None,
            settings: BTreeMap::new(),
            limits: Limits::default(),
            host_facts: Vec::new(),
        };
        Self { plan, deliveries: vec![delivery("s3-prod", 7, PAYLOAD.as_bytes())] }
    }

    pub(crate) fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.plan.settings.insert(name.to_owned(), value.to_string());
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.plan.limits);
        self
    }

    /// Is given these instead.
    pub(crate) fn given(mut self, deliveries: Vec<Delivery>) -> Self {
        self.deliveries = deliveries;
        self
    }

    /// Loads it, without a call.
    pub(crate) fn load(&self) -> LoadedReceiver {
        let loaded = host().runtime.block_on(host().sandbox.load_receiver(&self.plan));
        loaded.unwrap_or_else(|error| panic!("{} is not loaded: {}", self.plan.component, chain(&error)))
    }

    /// Calls `accept`.
    pub(crate) fn accept(self) -> AttackReport<Accepted> {
        host().during_attack(|| self.accepted(&self.load()))
    }

    /// A call of a receiver that is loaded. For use within [`Host::attack`](crate::harness::Host::attack).
    pub(crate) fn accepted(&self, receiver: &LoadedReceiver) -> AttackReport<Accepted> {
        run_to_report(async { receiver.accept(&self.deliveries).await })
    }
}

/// A lease of an instance.
pub(crate) fn delivery(instance: &str, revision: u64, payload: &[u8]) -> Delivery {
    let obtained_at = Timestamp::from_millis(1_700_000_000_000);
    Delivery {
        instance: instance.parse().unwrap(),
        service: "hostile".parse().unwrap(),
        kind: "hostile/1".parse().unwrap(),
        stamp: LeaseVersion { revision: Revision(revision), obtained_at },
        valid_until: Timestamp::from_millis(1_700_003_600_000),
        next_at: None,
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(payload.to_vec())),
        trace: None,
    }
}

impl AttackReport<Accepted> {
    /// The files that it left, by their paths.
    pub(crate) fn files(&self) -> Vec<&str> {
        self.call
            .result
            .as_ref()
            .map_or_else(|_| Vec::new(), |it| it.outputs.files.keys().map(OutputPath::as_str).collect())
    }
}

//! Configurations, by chance.

use std::collections::BTreeMap;

use deputy_core::retry::RetryPolicy;
use deputy_core::schedule::{
    Budget, CallRate, ConfigFingerprint, InstancePlan, ObtainMode, OptionalExports, Policy, PreferredSource, Ratio,
    RevocationPolicy, ScheduleConfig, Switch, UpstreamAccount, UpstreamName,
};
use deputy_core::{InstanceName, Span};
use deputy_test_support::payload_kind;
use fastrand::Rng;

/// Milliseconds between these, the short ones as likely as the long ones.
pub(crate) fn millis(dice: &mut Rng, from: u64, to: u64) -> u64 {
    let low = (from.max(1) as f64).ln();
    let high = (to as f64).ln();
    (low + (high - low) * dice.f64()).exp() as u64
}

pub(crate) fn span(dice: &mut Rng, from: u64, to: u64) -> Span {
    Span::millis(millis(dice, from, to))
}

/// True with a probability of 1 in `times`.
pub(crate) fn once_in(dice: &mut Rng, times: u64) -> bool {
    dice.u64(..times) == 0
}

/// Instances that a configuration may have.
pub(crate) fn names() -> Vec<InstanceName> {
    (0..48).map(|n| format!("i{n}").parse().unwrap()).collect()
}

fn upstream(dice: &mut Rng) -> UpstreamName {
    ["u", "v", "w", "x"][dice.usize(..4).min(dice.usize(..4))].parse().unwrap()
}

pub(crate) fn configuration(dice: &mut Rng) -> ScheduleConfig {
    let most = [1, 3, 5, 8, 12, 20, 40][dice.usize(..7).min(dice.usize(..7))];
    let mut plans = BTreeMap::new();
    for name in names().into_iter().take(dice.usize(1..=most)) {
        plans.insert(name, plan(dice));
    }
    let mut configuration =
        ScheduleConfig { plans, default_budget: Budget::DEFAULT, budgets: BTreeMap::new(), calls: 1 };
    budgets(dice, &mut configuration);
    if once_in(dice, 12) {
        crowd(dice, &mut configuration);
    }
    configuration
}

/// More instances than there are places for their calls, and a budget that bears all of them.
fn crowd(dice: &mut Rng, configuration: &mut ScheduleConfig) {
    configuration.calls = dice.usize(16..=20);
    configuration.default_budget = Budget { per_minute: [600, 60_000][dice.usize(..2)], burst: 50 };
    configuration.budgets.clear();
    let upstreams = dice.usize(1..=3);
    for (number, name) in names().into_iter().take(configuration.calls + dice.usize(4..=16)).enumerate() {
        let mut plan = plan(dice);
        plan.upstream = ["u", "v", "w"][number % upstreams].parse().unwrap();
        plan.account = None;
        plan.policy.mode = ObtainMode::Always;
        plan.policy.calls.per_hour = 100_000;
        configuration.plans.insert(name, plan);
    }
}

fn budget(dice: &mut Rng) -> Budget {
    let per_minute = [0, 6, 30, 60, 300, 600, 3000, 60_000][dice.usize(..8)];
    Budget { per_minute, burst: [0, 1, 2, 5, 20, 50][dice.usize(..6)] }
}

fn budgets(dice: &mut Rng, configuration: &mut ScheduleConfig) {
    configuration.default_budget = budget(dice);
    configuration.budgets.clear();
    for _ in 0..dice.usize(..3) {
        configuration.budgets.insert(upstream(dice), budget(dice));
    }
    configuration.calls = if once_in(dice, 4) { dice.usize(16..=40) } else { dice.usize(..=10) };
}

fn plan(dice: &mut Rng) -> InstancePlan {
    let (fingerprint, component) = configured(dice);
    InstancePlan {
        policy: policy(dice),
        upstream: upstream(dice),
        account: [None, None, Some(UpstreamAccount([1; 16])), Some(UpstreamAccount([2; 16]))][dice.usize(..4)],
        service: None,
        file_kind: Some(payload_kind()),
        component,
        fingerprint,
        keeps_state: fingerprint == ConfigFingerprint([2; 16]),
    }
}

/// A component with its settings and grant: of one fingerprint, it can always do the same.
pub(crate) fn configured(dice: &mut Rng) -> (ConfigFingerprint, Option<OptionalExports>) {
    let number = if once_in(dice, 10) { 5 } else { dice.u8(1..=4) };
    let component = OptionalExports { renews: number % 2 == 0, revokes: number > 2 };
    (ConfigFingerprint([number; 16]), (number < 5).then_some(component))
}

fn per_hour(dice: &mut Rng) -> u32 {
    if once_in(dice, 6) { [1, 5, 20, 100][dice.usize(..4)] } else { 100_000 }
}

fn policy(dice: &mut Rng) -> Policy {
    let floor = span(dice, 50, 5000);
    let retry = RetryPolicy { floor, most: span(dice, 100, 300_000), slow: span(dice, 50, 120_000) };
    let longest = if once_in(dice, 3) { 30_000 } else { 50 };
    Policy {
        mode: if once_in(dice, 4) { ObtainMode::OnDemand(span(dice, 1000, 600_000)) } else { ObtainMode::Always },
        ratio: Ratio::thousandths([750, 750, 500, 900, 300, 1000][dice.usize(..6)]),
        jitter: Ratio::thousandths([0, 100, 100, 300][dice.usize(..4)]),
        lifetime: once_in(dice, 3).then(|| span(dice, 5000, 3_600_000)),
        max_lifetime: once_in(dice, 3).then(|| span(dice, 30_000, 10_000_000)),
        calls: CallRate { interval: span(dice, 10, longest), per_hour: per_hour(dice) },
        retry,
        revoke: RevocationPolicy {
            replaced: dice.bool().then(|| span(dice, 1, 300_000)),
            removed: (!once_in(dice, 3)).then(|| span(dice, 1, 600_000)),
            shutdown: if dice.bool() { Switch::Revoke } else { Switch::Expire },
        },
        prefer: if dice.bool() { PreferredSource::Component } else { PreferredSource::File },
    }
}

/// Another configuration, made from this one.
pub(crate) fn change(dice: &mut Rng, configuration: &mut ScheduleConfig) {
    for _ in 0..dice.usize(..4) {
        let name = names().swap_remove(dice.usize(..48).min(dice.usize(..48)));
        let any = configuration.plans.keys().nth(dice.usize(..configuration.plans.len().max(1))).cloned();
        match dice.u8(..8) {
            0 => budgets(dice, configuration),
            1 | 2 => drop(configuration.plans.insert(name, plan(dice))),
            kind => {
                let Some(any) = any else { continue };
                let old = configuration.plans.get_mut(&any).unwrap();
                match kind {
                    3 => old.policy = policy(dice),
                    4 => (old.fingerprint, old.component) = configured(dice),
                    5 => old.upstream = upstream(dice),
                    6 => *old = plan(dice),
                    _ => drop(configuration.plans.remove(&any)),
                }
            }
        }
    }
}

/// One line for each instance.
pub(crate) fn shown(configuration: &ScheduleConfig) -> String {
    let ScheduleConfig { plans, default_budget, budgets, calls } = configuration;
    let mut text = format!("{calls} calls at once, {default_budget:?}, {budgets:?}");
    for (name, plan) in plans {
        let InstancePlan { policy, upstream, component, fingerprint, .. } = plan;
        text += &format!("\n      {name} at {upstream}, {component:?}, {}, {policy:?}", fingerprint.0[0]);
    }
    text
}

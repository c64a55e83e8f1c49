//! When the coordinator would replace tokens: its own schedule is asked.

use std::collections::BTreeMap;

use deputy_core::schedule::{
    Budget, CallOutcome, ConfigFingerprint, InitialBudget, InstancePlan, OptionalExports, Policy, Ratio, Schedule,
    ScheduleAction, ScheduleConfig, ScheduleEvent, UpstreamName,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Span, Timestamp, Tokens};

/// Steps of the schedule until it rests: far more than it takes.
const MAX_STEPS: usize = 100;

/// How long after `now` tokens that were obtained at `now` are replaced, without jitter. `None`: never.
pub(crate) fn replaced_in(
    name: &InstanceName,
    policy: &Policy,
    exports: OptionalExports,
    tokens: Tokens,
    now: Timestamp,
) -> Option<Span> {
    let now = Now { wall: now, mono: MonotonicTime::default() };
    let mut schedule = Schedule::new(InitialBudget::Full, 0);
    schedule.handle(now, ScheduleEvent::Configured(config(name, policy, exports)));
    let mut tokens = Some(tokens);
    for _ in 0..MAX_STEPS {
        match schedule.next_action() {
            Some(ScheduleAction::Call(call, ..)) => {
                let outcome = tokens.take().map_or(CallOutcome::NotRequired, CallOutcome::Obtained);
                schedule.handle(now, ScheduleEvent::Finished(call, outcome));
            }
            Some(ScheduleAction::Save(save, ..)) => schedule.handle(now, ScheduleEvent::Saved(save)),
            Some(_) => {}
            None => break,
        }
    }
    let next = schedule.instance(name, now)?.next?;
    Some(next.since(now.wall))
}

fn config(name: &InstanceName, policy: &Policy, exports: OptionalExports) -> ScheduleConfig {
    let upstream = UpstreamName::derived("test", "test");
    let plan = InstancePlan {
        policy: Policy { jitter: Ratio::thousandths(0), ..policy.clone() },
        upstream,
        account: None,
        service: None,
        file_kind: None,
        component: Some(exports),
        fingerprint: ConfigFingerprint([1; 16]),
        keeps_state: false,
    };
    ScheduleConfig {
        plans: BTreeMap::from([(name.clone(), plan)]),
        default_budget: Budget::DEFAULT,
        budgets: BTreeMap::new(),
        calls: 1,
    }
}

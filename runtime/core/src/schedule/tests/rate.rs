use super::world::{World, failed, lasting, name, plain, plan};
use crate::failure::FailureKind;
use crate::retry::RetryPolicy;
use crate::schedule::{CallRate, InstanceActivity, OperatorEvent, ScheduleEvent};
use crate::{Revision, Span};

const HOUR: Span = Span::secs(3600);

fn calls_in(world: &mut World, span: Span) -> usize {
    let before = world.called("a").len();
    world.pass(span);
    world.called("a").len() - before
}

#[test]
fn rate_of_calls_is_not_the_components_to_choose() {
    for life in [1, 200, 1000, 2000] {
        let mut world = World::new([("a", plain())]);
        world.serve("a", move |_, now| Some((Span::millis(1), lasting(now, Span::millis(life)))));
        world.bring("a", Span::secs(1));
        let calls = calls_in(&mut world, HOUR);
        assert!((1000..=1200).contains(&calls), "{calls} calls in the first hour, with a life of {life} ms");
        let calls = calls_in(&mut world, HOUR);
        assert!((990..=1001).contains(&calls), "{calls} calls in the second one");
    }
}

#[test]
fn rate_of_calls_is_bounded_however_quickly_they_fail() {
    let retry = RetryPolicy { floor: Span::millis(10), most: Span::millis(10), slow: Span::millis(10) };
    let mut world = World::new([("a", plan(|plan| plan.policy.retry = retry))]);
    world.serve("a", |_, _| Some((Span::millis(1), failed(FailureKind::Broken))));
    world.fail("a", FailureKind::Broken);
    let calls = calls_in(&mut world, HOUR);
    assert!((1000..=1200).contains(&calls), "{calls}");
}

#[test]
fn rate_of_calls_is_as_configured() {
    let rate = CallRate { interval: Span::secs(20), per_hour: 60 };
    let mut world = World::new([("a", plan(|plan| plan.policy.calls = rate))]);
    world.serve("a", |_, now| Some((Span::secs(1), lasting(now, Span::secs(5)))));
    world.bring("a", Span::secs(5));
    world.pass(HOUR);
    let times: Vec<u64> = world.called("a").iter().map(|(at, _)| *at).collect();
    assert!((60..=73).contains(&times.len()), "{} calls", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 20_000), "{times:?}");
    assert!(times.windows(2).skip(18).all(|pair| pair[1] - pair[0] >= 59_000), "{times:?}");
}

#[test]
fn rate_of_calls_lets_leases_of_six_seconds_live() {
    let mut world = World::new([("a", plain())]);
    world.serve_for("a", Span::secs(6));
    world.bring("a", Span::secs(6));
    world.pass(Span::secs(6 * 3600));
    assert_eq!(world.notices().filter(|notice| matches!(notice, OperatorEvent::Expired(..))).count(), 0);
}

#[test]
fn rate_of_calls_does_not_hold_an_operator_back() {
    let rate = CallRate { interval: Span::secs(1), per_hour: 5 };
    let mut world = World::new([("a", plan(|plan| plan.policy.calls = rate))]);
    world.bring("a", Span::secs(2));
    world.pass(Span::secs(60));
    assert_eq!(world.word("a"), "nothing");
    let view = world.view("a");
    let next = view.next.unwrap().since(world.now().wall);
    assert_eq!(
        (view.doing, next),
        (InstanceActivity::Retrying, Span::secs(720 - 60)),
        "what is shown is when it is called"
    );
    world.handle(ScheduleEvent::Renew(name("a")));
    assert_eq!(world.word("a"), "obtain");
    world.bring("a", HOUR);
    assert_eq!(world.view("a").lease.unwrap().revision, Revision(2));
}

#[test]
fn rate_of_calls_is_changed_by_a_reload() {
    let with = |per_hour| plan(|plan| plan.policy.calls = CallRate { interval: Span::secs(1), per_hour });
    let mut world = World::new([("a", with(5))]);
    world.bring("a", Span::secs(2));
    world.pass(Span::secs(60));
    world.plan("a", with(1000));
    assert_eq!(world.word("a"), "obtain");
}

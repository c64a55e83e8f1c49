use deputy_core::Limit;

use super::*;

fn one() -> World {
    World::bound(plans(Expired::Keep), &[("aws", &["s3"])])
}

#[test]
fn what_comes_is_applied_and_reported_and_the_workload_told() {
    let mut world = one();
    assert_eq!(shown(&world.gets("s3", 1)), ["run 1 aws s3:1"]);
    assert_eq!(shown(&world.ends(1, done())), ["hook aws s3", "report s3:1 ok"]);
    assert!(world.hold().is_empty(), "nothing changed");
    assert!(world.later(50).is_empty());
    assert_eq!(shown(&world.gets("s3", 2)), ["run 2 aws s3:2"]);
}

#[test]
fn a_unit_that_was_there_already_is_reported_and_nobody_is_told_again() {
    let mut world = one();
    world.gets("s3", 1);
    let same = RunOutcome::Applied { published: published(7, PublishOutcome::NotNeeded), refused: BTreeMap::new() };
    assert_eq!(shown(&world.ends(1, same)), ["report s3:1 ok"]);
    // Unless a process that was killed had no time for it.
    world.gets("s3", 2);
    let untold = PublishedUnit { told: HookNotified::NotYet, ..published(7, PublishOutcome::NotNeeded) };
    let outcome = RunOutcome::Applied { published: untold, refused: BTreeMap::new() };
    assert_eq!(shown(&world.ends(2, outcome)), ["hook aws s3", "report s3:2 ok"]);
}

#[test]
fn what_comes_during_a_run_makes_one_run_more_with_the_newest() {
    let mut world = one();
    world.gets("s3", 1);
    for revision in 2..9 {
        assert!(world.gets("s3", revision).is_empty(), "one run at a time");
    }
    assert_eq!(shown(&world.ends(1, done())), ["hook aws s3", "run 2 aws s3:8"]);
    assert_eq!(shown(&world.ends(2, done())), ["report s3:8 ok"], "the hook still runs");
    assert_eq!(shown(&world.tell(ReconcilerEvent::Told("aws".parse().unwrap(), Ok(())))), ["hook aws s3"]);
    assert!(world.tell(ReconcilerEvent::Told("aws".parse().unwrap(), Err("it failed".to_owned()))).is_empty());
    // A failing run and a run of the past change nothing of that.
    assert!(world.ends(1, done()).is_empty());
}

#[test]
fn a_receiver_gets_all_that_is_there_and_runs_again_for_each_that_follows() {
    let mut world = World::bound(plans(Expired::Keep), &[("aws", &["a", "b", "c"]), ("files", &["b"])]);
    assert_eq!(shown(&world.gets("a", 1)), ["run 1 aws a:1", "run 2 files"]);
    assert_eq!(shown(&world.ends(1, done())), ["hook aws a", "report a:1 ok"]);
    let nothing =
        PublishedUnit { unit: None, switch: PublishOutcome::NotNeeded, told: HookNotified::Already, since: None };
    assert!(world.ends(2, RunOutcome::Applied { published: nothing, refused: BTreeMap::new() }).is_empty());
    assert_eq!(shown(&world.gets("b", 1)), ["run 3 aws a:1 b:1", "run 4 files b:1"]);
    assert!(!shown(&world.ends(3, done())).contains(&"report b:1 ok".to_owned()), "files has it not yet");
    assert_eq!(shown(&world.ends(4, done())), ["hook files b", "report b:1 ok"]);
}

#[test]
fn while_the_coordinator_is_sending_who_misses_something_waits() {
    let mut world = World::bound(plans(Expired::Keep), &[("both", &["a", "b"]), ("one", &["a"])]);
    world.held.complete = false;
    assert_eq!(shown(&world.gets("a", 1)), ["run 1 one a:1"], "one misses nothing");
    assert_eq!(world.machine.receivers(at(0)).next().unwrap().doing, ReceiverActivity::Waiting);
    assert_eq!(shown(&world.gets("b", 1)), ["run 2 both a:1 b:1"]);
    world.ends(1, done());
    world.ends(2, done());
    // Nor is anything taken back before all is there.
    world.held.receivers.clear();
    assert!(world.loses("b").is_empty());
    world.held.complete = true;
    assert_eq!(shown(&world.hold()), ["run 3 both", "run 4 one"]);
    let mut world = World::bound(plans(Expired::Keep), &[("both", &["a", "b"])]);
    world.held.complete = false;
    assert!(world.gets("a", 1).is_empty());
    world.held.complete = true;
    assert_eq!(shown(&world.hold()), ["run 1 both a:1"], "b has no lease at all");
}

#[test]
fn a_failed_run_is_tried_again_later_each_time_and_reported_once() {
    let mut world = one();
    world.gets("s3", 1);
    assert_eq!(shown(&world.ends(1, failure(FailureKind::Unavailable))), ["report s3:1 receiver aws: unavailable: no"]);
    let mut last = 0;
    for run in 2..20 {
        let wait = world.wake_at().unwrap() - world.now;
        assert!((1000..=60_000).contains(&wait), "{wait}");
        assert!(run > 6 || wait * 4 > last * 3, "{wait} after {last}");
        last = wait;
        assert!(world.later(wait - 1).is_empty());
        // Deliveries end meanwhile, which is another reason to wake up.
        if world.wake_at() != Some(world.now + 1) {
            continue;
        }
        assert_eq!(shown(&world.later(1)), [format!("run {run} aws s3:1")]);
        assert!(world.ends(run, failure(FailureKind::Unavailable)).is_empty(), "it was said");
        if world.now > LIFE / 2 {
            break;
        }
    }
    assert!(world.machine.receivers(at(world.now)).next().unwrap().published.is_none());
    let run = world.machine.runs + 1;
    assert_eq!(shown(&world.gets("s3", 2)), [format!("run {run} aws s3:2")], "at once if something changed");
    assert_eq!(shown(&world.ends(run, done())), ["hook aws s3", "report s3:2 ok"]);
    assert!(world.machine.receivers(at(world.now)).next().unwrap().trouble.is_none());
}

#[test]
fn a_failure_says_when_to_come_again() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, failure(FailureKind::Misconfigured));
    assert!(world.wake_at().unwrap() >= 30_000, "a person has to mend it");
    world.held.receivers.insert("aws".parse().unwrap(), binding(2, &["s3"]));
    assert_eq!(shown(&world.hold()), ["run 2 aws s3:1"], "and did");
    world.ends(2, failure(FailureKind::Throttled(Span::secs(20))));
    assert!((20_000..=22_000).contains(&world.wake_at().unwrap()));
}

#[test]
fn one_that_hangs_delays_no_other() {
    let mut world = World::bound(plans(Expired::Keep), &[("hangs", &["a"]), ("runs", &["b"])]);
    world.gets("a", 1);
    world.gets("b", 1);
    let runs =
        shown(&world.ends(
            2,
            RunOutcome::Applied { published: published(0, PublishOutcome::NotNeeded), refused: BTreeMap::new() },
        ));
    assert_eq!(runs, ["run 3 runs b:1"]);
    assert_eq!(shown(&world.ends(3, done())), ["hook runs b", "report b:1 ok"]);
    for revision in 2..5 {
        let run = revision + 2;
        assert_eq!(shown(&world.gets("b", revision)), [format!("run {run} runs b:{revision}")]);
        world.ends(run, done());
    }
}

#[test]
fn a_delivery_of_nobody_is_applied_by_being_held() {
    let mut world = World::new(plans(Expired::Keep));
    assert_eq!(shown(&world.gets("s3", 1)), ["report s3:1 ok"]);
    assert!(world.hold().is_empty());
    assert_eq!(shown(&world.gets("s3", 2)), ["report s3:2 ok"]);
}

#[test]
fn one_receiver_that_could_not_is_enough_to_say_so() {
    let mut world = World::bound(plans(Expired::Keep), &[("bad", &["s3"]), ("good", &["s3"])]);
    world.gets("s3", 1);
    assert_eq!(shown(&world.ends(2, done())), ["hook good s3"]);
    assert_eq!(shown(&world.ends(1, failure(FailureKind::Broken))), ["report s3:1 receiver bad: broken: no"]);
    world.later(60_000);
    assert_eq!(shown(&world.ends(3, done())), ["hook bad s3", "report s3:1 ok"]);
}

#[test]
fn a_service_that_a_receiver_does_not_know_costs_that_instance_alone() {
    let mut world = World::bound(plans(Expired::Keep), &[("aws", &["kafka", "s3"])]);
    world.gets("s3", 1);
    world.ends(1, done());
    world.gets("kafka", 1);
    let refused = BTreeMap::from([("kafka".parse().unwrap(), "it takes s3".to_owned())]);
    let outcome = RunOutcome::Applied { published: published(1, PublishOutcome::NotNeeded), refused };
    assert_eq!(shown(&world.ends(2, outcome)), ["report kafka:1 receiver aws: it takes s3"]);
}

#[test]
fn what_is_withdrawn_is_left_out_and_at_last_nothing_is_published() {
    let mut world = World::bound(plans(Expired::Keep), &[("aws", &["a", "b"])]);
    world.gets("a", 1);
    world.ends(1, done());
    world.gets("b", 1);
    world.ends(2, done());
    assert_eq!(shown(&world.loses("a")), ["run 3 aws b:1"]);
    world.ends(3, done());
    assert_eq!(shown(&world.loses("b")), ["run 4 aws"]);
    let gone = PublishedUnit { unit: None, switch: PublishOutcome::Done, told: HookNotified::NotYet, since: None };
    world.tell(ReconcilerEvent::Told("aws".parse().unwrap(), Ok(())));
    world.tell(ReconcilerEvent::Told("aws".parse().unwrap(), Ok(())));
    assert_eq!(shown(&world.ends(4, RunOutcome::Applied { published: gone, refused: BTreeMap::new() })), ["hook aws"]);
}

#[test]
fn a_receiver_that_is_no_longer_bound_goes_with_what_it_published() {
    let mut world = one();
    world.gets("s3", 1);
    world.held.receivers.clear();
    assert_eq!(shown(&world.hold()), ["report s3:1 ok"], "nobody is bound to it now; the run goes on");
    assert_eq!(shown(&world.ends(1, done())), ["hook aws s3", "run 2 aws"]);
    assert!(world.ends(2, failure(FailureKind::Internal)).is_empty());
    world.later(10_000);
    let gone = PublishedUnit { unit: None, switch: PublishOutcome::Done, told: HookNotified::NotYet, since: None };
    assert!(world.ends(3, RunOutcome::Applied { published: gone, refused: BTreeMap::new() }).is_empty());
    let told = || ReconcilerEvent::Told("aws".parse().unwrap(), Ok(()));
    assert_eq!(shown(&world.tell(told())), ["hook aws"]);
    assert_eq!(shown(&world.tell(told())), ["forget aws"]);
    assert_eq!(world.machine.receivers(at(world.now)).count(), 0);
}

#[test]
fn what_has_expired_is_kept_or_removed_as_the_operator_likes() {
    let mut keeps = one();
    keeps.gets("s3", 1);
    keeps.ends(1, done());
    assert_eq!(keeps.wake_at(), Some(LIFE));
    assert!(keeps.later(LIFE).is_empty());
    assert_eq!(keeps.wake_at(), None);

    let mut removes = World::bound(plans(Expired::Remove), &[("aws", &["a", "b"])]);
    removes.gets("a", 1);
    removes.ends(1, done());
    removes.now = LIFE / 2;
    removes.gets("b", 1);
    removes.ends(2, done());
    assert_eq!(removes.wake_at(), Some(LIFE));
    assert_eq!(shown(&removes.later(LIFE / 2)), ["run 3 aws b:1"]);
    assert!(removes.ends(3, done()).is_empty(), "what was applied was applied");
    assert_eq!(shown(&removes.later(LIFE / 2)), ["run 4 aws"]);
    assert!(removes.hold().is_empty());
    // One that is too late is not applied at all.
    let old = delivery("a", 2, 0);
    removes.held.deliveries.insert("a".parse().unwrap(), old);
    assert_eq!(shown(&removes.hold()), ["report a:2 it ended before it was applied"]);
}

#[test]
fn a_clock_that_is_set_back_brings_back_what_had_ended() {
    let mut world = World::bound(plans(Expired::Remove), &[("aws", &["s3"])]);
    world.gets("s3", 1);
    world.ends(1, done());
    world.later(LIFE);
    world.ends(2, done());
    world.now = 10;
    assert_eq!(shown(&world.tell(ReconcilerEvent::Woke)), ["run 3 aws s3:1"]);
}

#[test]
fn what_the_coordinator_says_now_wins_whatever_its_number() {
    let mut world = one();
    world.gets("s3", 9);
    world.ends(1, done());
    world.now = 5;
    assert_eq!(shown(&world.gets("s3", 1)), ["run 2 aws s3:1"]);
    assert_eq!(shown(&world.ends(2, done())), ["report s3:1 ok"]);
}

#[test]
fn a_binding_of_the_worker_counts_in_place_of_the_coordinators() {
    let mut plans = plans(Expired::Keep);
    plans.bindings.insert("aws".parse().unwrap(), binding(9, &["mine"]));
    let mut world = World::bound(plans, &[("aws", &["theirs"])]);
    world.gets("theirs", 1);
    assert_eq!(shown(&world.ends(1, done())), ["hook aws"]);
    let actions = world.gets("mine", 1);
    assert_eq!(shown(&actions), ["run 2 aws mine:1"]);
    let Some(ReconcilerAction::Run(ReceiverRun { work: Some((binding, _)), .. })) = actions.first() else { panic!() };
    assert_eq!(binding.component, Digest::new([9; 32]));
    world.ends(2, done());
    // And stays when the coordinator's go.
    world.held.receivers.clear();
    assert!(world.hold().is_empty());
}

/// What the first run among these actions is made with.
fn limits_of_run(actions: &[ReconcilerAction]) -> LimitOverrides {
    let Some(ReconcilerAction::Run(ReceiverRun { work: Some((binding, _)), .. })) = actions.first() else {
        panic!("{actions:?}")
    };
    binding.limits.clone()
}

fn limits<const N: usize>(limits: [(Limit, u64); N]) -> LimitOverrides {
    LimitOverrides::new(limits).unwrap()
}

#[test]
fn a_receiver_whose_limits_change_runs_again_with_the_new_ones() {
    let mut world = one();
    assert_eq!(limits_of_run(&world.gets("s3", 1)), LimitOverrides::default());
    world.ends(1, failure(FailureKind::OverLimit));
    let more = limits([(Limit::Wall, 5000)]);
    world
        .held
        .receivers
        .insert("aws".parse().unwrap(), ReceiverBinding { limits: more.clone(), ..binding(1, &["s3"]) });
    let again = world.hold();
    assert_eq!((shown(&again), limits_of_run(&again)), (vec!["run 2 aws s3:1".to_owned()], more), "at once");
    world.ends(2, done());
    assert!(world.hold().is_empty(), "nothing changed");
    world.held.receivers.insert("aws".parse().unwrap(), binding(1, &["s3"]));
    assert_eq!(limits_of_run(&world.hold()), LimitOverrides::default(), "nothing is set any more");
}

#[test]
fn the_operator_of_the_worker_has_the_last_word_on_limits() {
    let mut plans = plans(Expired::Keep);
    let own = ReceiverPolicy { limits: limits([(Limit::Wall, 1000), (Limit::Handles, 9)]), ..plans.default.clone() };
    plans.receivers.insert("aws".parse().unwrap(), own);
    let mut world = World::bound(plans, &[("aws", &["s3"])]);
    let said =
        |wall| ReceiverBinding { limits: limits([(Limit::Wall, wall), (Limit::Cpu, 700)]), ..binding(1, &["s3"]) };
    world.held.receivers.insert("aws".parse().unwrap(), said(5000));
    let expected = limits([(Limit::Wall, 1000), (Limit::Handles, 9), (Limit::Cpu, 700)]);
    assert_eq!(limits_of_run(&world.gets("s3", 1)), expected);
    world.ends(1, done());
    // What counts is the same, so there is nothing to do.
    world.held.receivers.insert("aws".parse().unwrap(), said(9000));
    assert!(world.hold().is_empty());
}

#[test]
fn a_reason_is_short_and_plain() {
    let mut world = one();
    world.gets("s3", 1);
    let message = "a\nb\u{1b}".to_owned() + &"x".repeat(5000);
    let actions = world.ends(1, RunOutcome::Failed(AcceptError { kind: FailureKind::Broken, message }));
    let [ReconcilerAction::Report(DeliveryReport { result: Err(why), .. })] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert!(why.starts_with("receiver aws: broken: a b xx") && why.len() == 300, "{why}");
}

#[test]
fn a_change_of_a_binding_that_does_not_work_is_reported_of_what_was_applied_before() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, done());
    world.held.receivers.insert("aws".parse().unwrap(), binding(2, &["s3"]));
    assert_eq!(shown(&world.hold()), ["run 2 aws s3:1"]);
    assert_eq!(
        shown(&world.ends(2, failure(FailureKind::Misconfigured))),
        ["report s3:1 receiver aws: misconfigured: no"]
    );
    world.held.receivers.insert("aws".parse().unwrap(), binding(1, &["s3"]));
    assert_eq!(shown(&world.hold()), ["report s3:1 ok"], "what is published is what the binding before made");
}

fn told(world: &mut World, result: Result<(), &str>) -> Vec<String> {
    shown(&world.tell(ReconcilerEvent::Told("aws".parse().unwrap(), result.map_err(str::to_owned))))
}

/// How the one receiver stands: whether it is ready, how often its hook failed in a row, and why it is not ready.
fn aws(world: &World) -> (bool, u32, Option<String>) {
    let view = world.machine.receivers(at(world.now)).next().unwrap();
    (view.is_ready(), view.retelling.map_or(0, |(failures, _)| failures), view.reason())
}

#[test]
fn hook_that_failed_is_tried_again_while_the_lease_lives() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, done());
    assert!(told(&mut world, Err("no pid file")).is_empty());
    let why = Some("the hook failed: no pid file".to_owned());
    assert_eq!(aws(&world), (true, 1, why.clone()), "the workload may not have been started yet");
    let mut waits = Vec::new();
    for _ in 0..6 {
        let wait = world.wake_at().unwrap() - world.now;
        assert!(world.later(wait - 1).is_empty());
        assert_eq!(shown(&world.later(1)), ["hook aws s3"]);
        assert!(told(&mut world, Err("no pid file")).is_empty());
        waits.push(wait);
    }
    assert!(waits[0] <= 1000 && waits[5] >= 16_000 && waits[5] <= 32_000, "{waits:?}");
    world.now += 60_000;
    assert_eq!(shown(&world.tell(ReconcilerEvent::Woke)), ["hook aws s3"]);
    assert!(told(&mut world, Ok(())).is_empty());
    assert_eq!(aws(&world), (true, 0, None));
    assert!(world.later(60_000).is_empty(), "it succeeded");
}

#[test]
fn hook_that_failed_for_what_has_ended_is_given_up() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, done());
    world.now = LIFE;
    told(&mut world, Err("it failed"));
    for _ in 1..10 {
        assert_eq!(shown(&world.later(60_000)), ["hook aws s3"]);
        told(&mut world, Err("it failed"));
    }
    world.machine.handle(at(world.now + 60_000), ReconcilerEvent::Woke);
    let given_up = ReconcilerAction::Notice(WorkerEvent::NotTold("aws".parse().unwrap(), 10));
    assert_eq!(format!("{:?}", world.machine.next_action()), format!("{:?}", Some(given_up)));
    assert!(world.later(600_000).is_empty());
    world.gets("s3", 2);
    assert_eq!(shown(&world.ends(2, done())), ["hook aws s3", "report s3:2 ok"], "what is new is told");
}

#[test]
fn hook_that_fails_for_a_workload_told_before_is_not_ready() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, done());
    told(&mut world, Ok(()));
    world.gets("s3", 2);
    world.ends(2, done());
    assert_eq!(aws(&world), (true, 0, None), "it is being told");
    told(&mut world, Err("it failed"));
    assert_eq!(aws(&world), (false, 1, Some("the hook failed: it failed".to_owned())));
    world.later(1000);
    told(&mut world, Ok(()));
    assert_eq!(aws(&world), (true, 0, None));
}

#[test]
fn output_that_vanished_is_published_and_told_again() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, done());
    told(&mut world, Ok(()));
    let vanished = |number: u64| {
        let unit = published(number, PublishOutcome::Done).unit.unwrap();
        ReconcilerEvent::Vanished("aws".parse().unwrap(), unit, "it is gone".to_owned())
    };
    assert!(world.tell(vanished(7)).is_empty(), "that is not what counts");
    assert_eq!(shown(&world.tell(vanished(1))), ["run 2 aws s3:1"]);
    assert!(!aws(&world).0, "nothing is published");
    assert!(world.tell(vanished(1)).is_empty(), "it is on its way");
    assert_eq!(shown(&world.ends(2, done())), ["hook aws s3"]);
    assert!(aws(&world).0);
}

#[test]
fn published_leases_that_ended_are_not_ready_however_long_a_run_takes() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, done());
    world.now = LIFE - 1;
    world.gets("s3", 2);
    assert!(aws(&world).0, "what was published before is good");
    world.now += 1;
    assert!(!aws(&world).0);
    world.ends(2, done());
    assert!(aws(&world).0);
}

#[test]
fn refused_service_is_not_ready() {
    let mut world = one();
    world.gets("s3", 1);
    let refused = BTreeMap::from([("s3".parse().unwrap(), "it takes kafka".to_owned())]);
    let published =
        PublishedUnit { unit: None, switch: PublishOutcome::NotNeeded, told: HookNotified::Already, since: None };
    world.ends(1, RunOutcome::Applied { published, refused });
    assert_eq!(aws(&world), (false, 0, Some("s3: it takes kafka".to_owned())));
}

#[test]
fn throttled_receiver_is_tried_again_within_a_minute() {
    let mut world = one();
    world.gets("s3", 1);
    world.ends(1, failure(FailureKind::Throttled(Span::secs(86_400))));
    assert_eq!(shown(&world.later(60_000)), ["run 2 aws s3:1"]);
    world.ends(2, failure(FailureKind::Throttled(Span::secs(5))));
    assert!(world.later(4_999).is_empty(), "what it asked for is kept to");
    assert_eq!(shown(&world.later(1_000)), ["run 3 aws s3:1"]);
}

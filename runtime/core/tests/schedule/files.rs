use deputy_core::Span;
use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, FilePayload, InstanceActivity, InstancePlan, LeaseOrigin, PreferredSource,
    Readiness, ScheduleEvent,
};
use deputy_test_support::{SaveMode, TestSchedule, failure, file_payload, instance_name, plan_with, revoking_plan};

const HOUR: Span = Span::secs(3600);

fn preferring(prefer: PreferredSource) -> InstancePlan {
    plan_with(|plan| {
        plan.component = revoking_plan().component;
        plan.policy.prefer = prefer;
    })
}

fn file_only() -> InstancePlan {
    plan_with(|plan| plan.component = None)
}

/// What instance "a" has of its file.
trait InstanceFile {
    fn observe_file(&mut self, file: Option<FilePayload>);
    fn write_file(&mut self, text: &str, life: Span);
    fn published_payload(&self) -> Option<(&str, LeaseOrigin)>;
}

impl InstanceFile for TestSchedule {
    fn observe_file(&mut self, found: Option<FilePayload>) {
        self.handle(ScheduleEvent::FileObserved(instance_name("a"), found));
    }

    /// What is published, and where it came from.
    fn published_payload(&self) -> Option<(&str, LeaseOrigin)> {
        let lease = self.published.get(&instance_name("a"))?;
        Some((std::str::from_utf8(lease.payload.expose()).unwrap(), lease.origin))
    }

    /// A file of this text that was written now.
    fn write_file(&mut self, text: &str, life: Span) {
        let found = file_payload(text, self.now().wall, life);
        self.observe_file(found);
    }
}

#[test]
fn files_only_instance_publishes_the_content_of_the_file() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    assert_eq!(
        (schedule.snapshot("a").activity, schedule.snapshot("a").readiness),
        (InstanceActivity::NoFile, Readiness::Missing)
    );
    schedule.write_file("one", HOUR);
    assert_eq!(schedule.published_payload(), Some(("one", LeaseOrigin::File)));
    schedule.advance(Span::secs(60));
    schedule.write_file("two", HOUR);
    assert_eq!(
        (schedule.published_payload(), schedule.published_revision("a")),
        (Some(("two", LeaseOrigin::File)), Some(2))
    );
    assert!(schedule.calls_of("a").is_empty());
}

#[test]
fn files_that_fill_a_gap_let_no_reload_call_without_a_bound() {
    let mut with_component = preferring(PreferredSource::Component);
    with_component.fingerprint = ConfigFingerprint([2; 16]);
    let mut schedule = TestSchedule::new([("a", with_component.clone())]);
    schedule.answer_calls("a", |_, _| Some((Span::millis(0), failure(FailureKind::Unavailable))));
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.write_file("one", HOUR);
    schedule.observe_file(None); // what it held is held until it ends
    for _ in 0..500 {
        schedule.configure("a", file_only());
        schedule.advance(Span::millis(90));
        schedule.configure("a", with_component.clone());
        schedule.advance(Span::millis(90));
    }
    assert_eq!(schedule.published_payload(), Some(("one", LeaseOrigin::File)));
    let calls = schedule.calls_of("a").len();
    assert!((2..=60).contains(&calls), "{calls} calls in 90 s");
}

#[test]
fn files_observed_unchanged_have_no_effect() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    let found = file_payload("one", schedule.now().wall, HOUR);
    for _ in 0..5 {
        schedule.observe_file(found.clone());
        schedule.advance(Span::secs(10));
    }
    assert_eq!(schedule.published_revision("a"), Some(1));
}

#[test]
fn files_same_payload_with_a_later_expiry_is_published() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    schedule.write_file("one", HOUR);
    schedule.advance(Span::secs(60));
    schedule.write_file("one", HOUR);
    assert_eq!(schedule.published_revision("a"), Some(2));
}

#[test]
fn files_missing_or_invalid_keep_the_lease_until_it_expires() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    schedule.write_file("one", HOUR);
    schedule.observe_file(None);
    schedule.advance(Span::secs(3599));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready);
    schedule.advance(Span::secs(1));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Expired);
    schedule.write_file("two", HOUR);
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready);
}

#[test]
fn files_that_have_expired_are_not_published() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    let old = file_payload("old", schedule.now().wall.minus(HOUR), Span::secs(1800));
    schedule.observe_file(old);
    assert_eq!(schedule.published_payload(), None);
}

#[test]
fn files_fill_in_until_the_preferred_component_succeeds() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::Component))]);
    schedule.write_file("file", HOUR);
    assert_eq!(
        (schedule.published_payload(), schedule.call_kind("a")),
        (None, "obtain"),
        "it is called, and may bring something at once"
    );
    schedule.fail_call("a", FailureKind::Unavailable);
    assert_eq!(schedule.published_payload(), Some(("file", LeaseOrigin::File)));
    let wait = schedule.advance_until_called("a");
    assert!(wait <= 2000, "the file does not delay the next try: {wait}");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
    schedule.write_file("newer", HOUR);
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)), "a newer file changes nothing");
}

#[test]
fn files_take_over_when_the_lease_of_the_component_expires() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::Component))]);
    schedule.complete("a", Span::secs(60));
    schedule.answer_calls("a", |_, _| Some((Span::millis(5), failure(FailureKind::Unavailable))));
    schedule.write_file("file", HOUR);
    schedule.advance(Span::secs(59));
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
    schedule.advance(Span::secs(20));
    assert_eq!(schedule.published_payload(), Some(("file", LeaseOrigin::File)));
    let calls = schedule.calls_of("a").len();
    schedule.advance(Span::secs(1200));
    assert!(schedule.calls_of("a").len() > calls + 3, "the component is tried on");
    schedule.answer_with_lifetime("a", HOUR);
    schedule.advance(Span::secs(600));
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
}

#[test]
fn files_preferred_and_valid_prevent_calls() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", HOUR); // the shell may look at the file before there is a configuration
    schedule.configure("a", preferring(PreferredSource::File));
    assert_eq!(schedule.published_payload(), Some(("one", LeaseOrigin::File)));
    for _ in 0..10 {
        schedule.advance(Span::secs(2000));
        schedule.write_file(&format!("at {}", schedule.age()), HOUR);
    }
    assert!(schedule.calls_of("a").is_empty());
    assert_eq!(schedule.published_revision("a"), Some(11));
}

#[test]
fn files_preferred_but_due_let_the_component_be_called() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", HOUR);
    schedule.configure("a", preferring(PreferredSource::File));
    assert_eq!(schedule.advance_until_called("a"), 2_700_000);
    assert_eq!(schedule.published_payload(), Some(("one", LeaseOrigin::File)), "which is still good");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
    schedule.advance(Span::secs(60));
    assert_eq!(
        schedule.published_payload(),
        Some(("tokens", LeaseOrigin::Component)),
        "the old file does not come back"
    );
    schedule.write_file("two", HOUR);
    assert_eq!(schedule.published_payload(), Some(("two", LeaseOrigin::File)), "a new one does");
    assert_eq!(schedule.snapshot("a").retired, 1, "and the component's lease is revoked after the grace");
}

#[test]
fn files_preferred_but_due_stay_while_the_component_fails() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", HOUR);
    schedule.configure("a", preferring(PreferredSource::File));
    schedule.answer_calls("a", |_, _| Some((Span::millis(5), failure(FailureKind::Unavailable))));
    schedule.advance(Span::secs(3590));
    assert_eq!(schedule.published_payload(), Some(("one", LeaseOrigin::File)));
    assert_eq!(schedule.snapshot("a").readiness, Readiness::Ready);
    assert!(schedule.calls_of("a").len() > 5);
}

#[test]
fn files_preferred_but_missing_let_the_component_be_called() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::File))]);
    schedule.observe_file(None);
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
}

#[test]
fn files_preferred_win_over_a_later_call() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::File))]);
    let written = schedule.now().wall;
    schedule.advance(Span::secs(60));
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(60));
    schedule.observe_file(file_payload("moved here", written, HOUR)); // with the date that it had elsewhere
    assert_eq!(schedule.published_payload(), Some(("moved here", LeaseOrigin::File)));
}

#[test]
fn files_preferred_and_written_during_a_call_win() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::File))]);
    schedule.advance(Span::secs(1));
    schedule.write_file("meanwhile", HOUR);
    schedule.advance(Span::secs(1));
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_payload(), Some(("meanwhile", LeaseOrigin::File)));
}

#[test]
fn files_renew_request_calls_the_component() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", HOUR);
    schedule.configure("a", preferring(PreferredSource::File));
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    assert_eq!(schedule.call_kind("a"), "obtain");
    schedule.complete("a", HOUR);
    schedule.advance(Span::secs(60));
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)), "the file had its turn");
}

#[test]
fn files_new_content_answers_a_renew_request() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", HOUR);
    schedule.configure("a", preferring(PreferredSource::File));
    schedule.handle(ScheduleEvent::Renew(instance_name("a")));
    schedule.fail_call("a", FailureKind::Unavailable);
    schedule.write_file("two", HOUR);
    assert_eq!(schedule.published_payload(), Some(("two", LeaseOrigin::File)));
    assert_eq!(schedule.advance_until_called("a"), 2_700_000, "the wish is fulfilled");
}

#[test]
fn files_revoked_by_the_operator_return_only_when_changed() {
    for plan in [file_only(), preferring(PreferredSource::Component), preferring(PreferredSource::File)] {
        let mut schedule = TestSchedule::unconfigured(1);
        let found = file_payload("one", schedule.now().wall, HOUR);
        schedule.observe_file(found.clone());
        schedule.answer_calls("a", |_, _| Some((Span::millis(1), failure(FailureKind::Unavailable))));
        schedule.configure("a", plan);
        schedule.advance(Span::secs(1));
        assert_eq!(schedule.published_payload(), Some(("one", LeaseOrigin::File)));
        schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
        assert_eq!(schedule.published_payload(), None);
        schedule.observe_file(found);
        schedule.advance(Span::secs(60));
        assert_eq!(schedule.published_payload(), None);
        schedule.write_file("two", HOUR);
        schedule.advance(Span::secs(60));
        assert_eq!(schedule.published_payload(), Some(("two", LeaseOrigin::File)));
    }
}

#[test]
fn files_written_after_a_revoke_that_is_unsaved_are_published() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    schedule.saves = SaveMode::Hold;
    schedule.write_file("one", HOUR);
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.write_file("two", HOUR);
    schedule.release_saves();
    assert_eq!(schedule.published_payload(), Some(("two", LeaseOrigin::File)));
}

#[test]
fn files_written_after_two_revokes_are_published() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    schedule.write_file("one", HOUR);
    schedule.saves = SaveMode::Hold;
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.write_file("two", HOUR);
    schedule.release_saves();
    assert_eq!(schedule.published_payload(), Some(("two", LeaseOrigin::File)));
}

#[test]
fn files_leases_are_never_revoked() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", HOUR);
    schedule.configure("a", preferring(PreferredSource::File));
    schedule.write_file("two", HOUR);
    schedule.remove("a");
    assert!(schedule.calls_of("a").is_empty() && schedule.disk.is_empty());
}

#[test]
fn files_replace_the_lease_when_the_component_is_removed() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::Component))]);
    schedule.complete("a", HOUR);
    schedule.write_file("file", HOUR);
    schedule.configure("a", file_only());
    assert_eq!(schedule.published_payload(), Some(("file", LeaseOrigin::File)));
}

#[test]
fn files_lease_is_published_after_a_restart_until_a_call_ends() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::Component))]);
    schedule.write_file("file", HOUR);
    schedule.fail_call("a", FailureKind::Denied);
    schedule.crash();
    assert_eq!(schedule.published_payload(), Some(("file", LeaseOrigin::File)));
    schedule.advance(Span::secs(1));
    assert_eq!(schedule.call_kind("a"), "obtain");
}

#[test]
fn files_lease_that_expired_unpublished_is_published_when_valid() {
    let mut schedule = TestSchedule::new([("a", preferring(PreferredSource::File))]);
    schedule.complete("a", HOUR);
    schedule.saves = SaveMode::Hold;
    schedule.write_file("one", Span::secs(60));
    schedule.set_clock(120_000);
    schedule.release_saves();
    assert_eq!(schedule.published_payload().map(|(_, origin)| origin), Some(LeaseOrigin::Component));
    schedule.jump_clock(-120_000);
    assert_eq!(schedule.published_payload(), Some(("one", LeaseOrigin::File)));
}

#[test]
fn files_payload_that_was_revoked_stays_so_after_a_restart() {
    for prefer in [PreferredSource::File, PreferredSource::Component] {
        let mut schedule = TestSchedule::unconfigured(1);
        schedule.write_file("one", HOUR);
        schedule.configure("a", preferring(prefer));
        let written = schedule.now().wall;
        schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
        schedule.crash();
        schedule.observe_file(file_payload("one", written, HOUR));
        schedule.advance(Span::secs(1));
        assert_eq!(schedule.published_payload(), None, "{prefer:?}");
        schedule.write_file("two", HOUR);
        schedule.fail_call("a", FailureKind::Unavailable);
        assert_eq!(schedule.published_payload(), Some(("two", LeaseOrigin::File)), "{prefer:?}");
    }
}

#[test]
fn files_payload_stays_revoked_after_another_one_had_its_turn() {
    let life = Span::secs(36_000);
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", life);
    schedule.configure("a", preferring(PreferredSource::File));
    let written = schedule.now().wall;
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.complete("a", HOUR);
    schedule.write_file("two", life);
    assert_eq!(schedule.published_payload(), Some(("two", LeaseOrigin::File)));
    // The lease that it replaced is revoked first.
    schedule.advance_until_called("a");
    schedule.end_call("a", CallOutcome::Revoked);
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
    // The coordinator that takes over has the file of before, and a service that is away until the lease has ended.
    schedule.crash();
    schedule.observe_file(file_payload("one", written, life));
    schedule.advance(Span::secs(4_000));
    schedule.fail_call("a", FailureKind::Unavailable);
    assert!(schedule.now().wall < written.plus(life));
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)), "nothing newer");
}

#[test]
fn files_payload_is_revoked_before_the_file_is_read_again() {
    let mut schedule = TestSchedule::new([("a", file_only())]);
    schedule.write_file("one", HOUR);
    let written = schedule.now().wall;
    schedule.crash();
    schedule.handle(ScheduleEvent::Revoke(instance_name("a")));
    schedule.observe_file(file_payload("one", written, HOUR));
    assert_eq!(schedule.published_payload(), None);
}

#[test]
fn files_payload_has_one_turn_also_after_a_restart() {
    let mut schedule = TestSchedule::unconfigured(1);
    schedule.write_file("one", HOUR);
    schedule.configure("a", preferring(PreferredSource::File));
    let written = schedule.now().wall;
    schedule.advance_until_called("a");
    schedule.complete("a", HOUR);
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
    // A clock that was set back makes the file look young.
    schedule.set_clock(-1_800_000);
    schedule.crash();
    schedule.observe_file(file_payload("one", written, HOUR));
    assert_eq!(schedule.published_payload(), Some(("tokens", LeaseOrigin::Component)));
}

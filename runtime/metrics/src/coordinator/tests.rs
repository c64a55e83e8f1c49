//! What a scrape of a coordinator shows.

use deputy_audit::{AuditAction, AuditEvent, AuditOutcome, AuditSubject, CallId};

use crate::{CoordinatorMetrics, CoordinatorSnapshot, LeaseMetrics, LoginMetrics, UpstreamMetrics};

fn event(action: AuditAction, outcome: AuditOutcome, code: Option<&str>) -> AuditEvent {
    let time = "2026-01-01T00:00:00.000Z".to_owned();
    let subject = AuditSubject::Instance("s3".parse().unwrap());
    AuditEvent { time, subject, call: CallId(1), action, outcome, code: code.map(str::to_owned) }
}

#[test]
fn metrics_count_capability_uses_by_kind_and_outcome() {
    let metrics = CoordinatorMetrics::default();
    let name = || AuditAction::Name { host: "a\"b\nc".into() };
    metrics.record_event(&event(name(), AuditOutcome::Done, None));
    metrics.record_event(&event(name(), AuditOutcome::Refused, Some("host-not-granted")));
    let call = AuditAction::Call { function: "obtain", millis: 3 };
    metrics.record_event(&event(call, AuditOutcome::Refused, Some("over-limit:memory")));
    let receiver = AuditSubject::Receiver("aws".parse().unwrap());
    let put = AuditAction::Output { path: "a\"b\nc".into(), bytes: 1 };
    metrics.record_event(&AuditEvent { subject: receiver.clone(), ..event(put, AuditOutcome::Done, None) });
    let accept = AuditAction::Accept { deliveries: Vec::new(), files: 1, bytes: 1, millis: 1 };
    metrics.record_event(&AuditEvent { subject: receiver, ..event(accept, AuditOutcome::Failed, Some("trap")) });
    let text = metrics.encode(&CoordinatorSnapshot::default()).unwrap();
    for line in [
        "deputy_capability_uses_total{receiver=\"aws\",capability=\"output\",outcome=\"done\"} 1",
        "deputy_sandbox_calls_total{function=\"accept\"} 1",
        "deputy_capability_uses_total{instance=\"s3\",capability=\"name\",outcome=\"done\"} 1",
        "deputy_capability_uses_total{instance=\"s3\",capability=\"name\",outcome=\"refused\"} 1",
        "deputy_refusals_total{instance=\"s3\",code=\"host-not-granted\"} 1",
        "deputy_sandbox_calls_total{function=\"obtain\"} 1",
        "deputy_sandbox_limits_total{limit=\"memory\"} 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|actual| actual == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("a\\\"b"), "a component's text is no label");
}

#[test]
fn metrics_of_a_lease_vanish_with_it() {
    let metrics = CoordinatorMetrics::default();
    let lease = LeaseMetrics {
        instance: "s3".into(),
        service: "s3".into(),
        expiry: Some(1_800_000_000),
        ready: 1,
        ..LeaseMetrics::default()
    };
    let snapshot = CoordinatorSnapshot {
        leases: vec![lease],
        upstreams: vec![UpstreamMetrics { name: "sts".into(), waiting: 3, waits: 7 }],
        behind: [("s3".parse().unwrap(), 2)].into(),
        is_leading: true,
        ..CoordinatorSnapshot::default()
    };
    let text = metrics.encode(&snapshot).unwrap();
    assert!(text.contains("deputy_lease_expiry_timestamp_seconds{instance=\"s3\",service=\"s3\"} 1800000000\n"));
    assert!(text.contains("deputy_ready{instance=\"s3\",service=\"s3\"} 1\n"));
    assert!(text.contains("deputy_upstream_waiting{upstream=\"sts\"} 3\n"));
    assert!(text.contains("deputy_budget_waits_total{upstream=\"sts\"} 7\n"));
    assert!(text.contains("deputy_workers_behind{instance=\"s3\"} 2\n"));
    assert!(text.contains("deputy_leading 1\n") && text.contains("deputy_state_failing 0\n"));
    let text = metrics.encode(&CoordinatorSnapshot::default()).unwrap();
    assert!(text.contains("deputy_leading 0\n"));
    for name in ["ready", "upstream_waiting", "workers_behind"] {
        assert!(!text.contains(&format!("deputy_{name}{{")), "{name} in\n{text}");
    }
}

fn with_login(metrics: &CoordinatorMetrics, login: LoginMetrics) -> String {
    metrics.encode(&CoordinatorSnapshot { logins: vec![login], ..CoordinatorSnapshot::default() }).unwrap()
}

#[test]
fn metrics_of_a_login_vanish_with_it() {
    let metrics = CoordinatorMetrics::default();
    let login = LoginMetrics {
        login: "etl".into(),
        principal: "etl@EXAMPLE.COM".into(),
        ready: true,
        expiry: Some(1_800_000_000),
        fault: Some("locked".into()),
        clock_offset_seconds: -7,
        contexts: 2,
        ..LoginMetrics::default()
    };
    let text = with_login(&metrics, login.clone());
    let labels = "{login=\"etl\",principal=\"etl@EXAMPLE.COM\"}";
    for (name, value) in [
        ("kerberos_ready", "1"),
        ("kerberos_ticket_expiry_timestamp_seconds", "1800000000"),
        ("kerberos_clock_offset_seconds", "-7"),
        ("kerberos_contexts", "2"),
    ] {
        assert!(text.contains(&format!("deputy_{name}{labels} {value}\n")), "{name} in\n{text}");
    }
    assert!(text.contains("deputy_kerberos_fault{login=\"etl\",code=\"locked\"} 1\n"), "{text}");
    assert!(!text.contains("deputy_kerberos_last_login_timestamp_seconds{"), "{text}");
    let text = with_login(&metrics, LoginMetrics { fault: None, ..login });
    assert!(!text.contains("deputy_kerberos_fault{"), "{text}");
    let text = metrics.encode(&CoordinatorSnapshot::default()).unwrap();
    assert!(!text.contains("deputy_kerberos_ready{"), "{text}");
}

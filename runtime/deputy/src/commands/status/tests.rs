//! The table of instances.

use anstream::adapter::strip_str;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::print::{ERROR, GOOD, WARNING};

fn instance(name: &str, state: &str, ready: bool, failures: u32) -> Value {
    json!({
        "name": name, "service": "s3", "ready": ready, "reason": format!("what {name} waits for {}", "and why ".repeat(9)),
        "state": state, "lease": null, "next": null, "next_in_ms": 61000, "last_success": null, "failures": failures,
        "trouble": null, "file_trouble": null, "unsaved": null, "to_revoke": 0, "not_revoked": null, "users": 0,
        "upstream": "", "component": true, "renews": false, "revokes": false,
    })
}

fn status() -> CoordinatorStatus {
    let instances = vec![
        instance("a-holding", "holding", true, 0),
        instance("b-unused", "unused", true, 0),
        instance("c-retrying", "retrying", true, 2),
        instance("d-waiting", "waiting", false, 1),
        instance("e-person", "needs-attention", false, 3),
        instance("f-holding", "holding", true, 0),
    ];
    serde_json::from_value(json!({
        "schema": 1, "version": "0.1.0", "pid": 7, "since": "", "now": "", "starting": false, "ready": false,
        "instance_count": 6, "ready_count": 4, "instances": instances, "upstreams": [], "orphans": [],
    }))
    .unwrap()
}

fn names(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.get(1..2) == Some("-"));
    rows.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn status_truncates_long_reasons_between_characters() {
    let long = "ü".repeat(MAX_REASON + 1);
    assert_eq!(truncated(&long, MAX_REASON), "ü".repeat(MAX_REASON) + "…");
    assert_eq!(truncated(&"ü".repeat(MAX_REASON), MAX_REASON), "ü".repeat(MAX_REASON));
}

#[test]
fn status_lists_what_needs_a_person_first() {
    let text = strip_str(&overview(status(), usize::MAX, None)).to_string();
    let order = ["e-person", "d-waiting", "c-retrying", "a-holding", "f-holding", "b-unused"];
    assert_eq!(names(&text), order, "{text}");
    let text = strip_str(&overview(status(), 2, None)).to_string();
    assert_eq!(names(&text), order[..2]);
    assert!(text.ends_with("4 of 6 ready; 2 listed\n"), "{text}");
}

#[test]
fn status_fits_the_terminal() {
    for width in [40, 60, 80, 100, 200] {
        let text = strip_str(&overview(status(), usize::MAX, Some(width))).to_string();
        assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
        for part in ["INSTANCE", "STATE", "WHY", "c-retry"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        // What is left out first is what a person needs least.
        assert_eq!(text.contains("REVISION"), width > 60, "{width}:\n{text}");
    }
}

#[test]
fn status_colours_states_by_what_they_mean() {
    let text = overview(status(), usize::MAX, None);
    for (state, style) in [("needs-attention", ERROR), ("waiting", ERROR), ("retrying", WARNING), ("holding", GOOD)] {
        assert!(text.contains(&format!("{style}{state}{style:#}")), "{state} in {text:?}");
    }
}

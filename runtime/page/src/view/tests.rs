use serde_json::{Value, json};

use super::*;

fn instance(name: &str, state: &str, ready: bool) -> InstanceRow {
    let status = json!({
        "name": name, "service": "s3", "ready": ready, "reason": "r", "state": state,
        "lease": {
            "revision": 7, "kind": null, "obtained_at": "2026-01-01T00:00:00.000Z", "valid_until": "never",
            "valid_for_ms": null, "origin": "component", "bytes": 3, "facts": [{"name": "role", "value": "not shown"}],
        },
        "next": null, "next_in_ms": null, "last_success": null, "failures": 0,
        "trouble": {"kind": "denied", "message": "<b>".repeat(1000), "at": ""}, "file_trouble": null, "unsaved": null,
        "to_revoke": 0, "not_revoked": null, "users": 0, "upstream": "", "component": true, "renews": false,
        "revokes": false,
    });
    InstanceRow::of(serde_json::from_value(status).unwrap())
}

fn table(rows: &[InstanceRow], query: &PageQuery) -> Value {
    serde_json::to_value(InstanceTable::of(rows, query)).unwrap()
}

#[test]
fn page_table_has_few_rows_of_many_instances() {
    let rows: Vec<_> = (0..1000).map(|number| instance(&format!("i-{number:03}"), "holding", true)).collect();
    let mut found = Vec::new();
    for skip in (0..1100).step_by(MAX_ROWS) {
        let page = table(&rows, &PageQuery { skip, ..PageQuery::default() });
        let page_rows = page["rows"].as_array().unwrap();
        assert!(page_rows.len() <= MAX_ROWS && page["selected"] == 1000, "{skip}");
        found.extend(page_rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
    }
    let names: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
    assert_eq!(found, names);
    // What a component says is cut, so that a message has a bound.
    assert!(table(&rows, &PageQuery::default()).to_string().len() < MAX_ROWS * (MAX_WORDS + 1000));
}

#[test]
fn page_table_selects_and_begins_with_what_needs_attention() {
    let mut rows = vec![
        instance("fine", "holding", true),
        instance("lost", "backing-off", false),
        instance("asks", "needs-attention", false),
    ];
    rows.sort_by(|one, other| one.order().cmp(&other.order()));
    let names = |query: PageQuery| {
        let table = table(&rows, &query);
        let rows = table["rows"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(PageQuery::default()), ["asks", "lost", "fine"]);
    assert_eq!(names(PageQuery { attention: true, ..PageQuery::default() }), ["asks", "lost"]);
    assert_eq!(names(PageQuery { name: "in".to_owned(), ..PageQuery::default() }), ["fine"]);
    assert!(!table(&rows, &PageQuery::default()).to_string().contains("not shown"), "facts may be long");
}

#[test]
fn page_row_of_a_worker_lists_few_deliveries() {
    let applied: Vec<_> = (0..20)
        .map(|number| {
            json!({"instance": format!("i-{number}"), "revision": 1, "newest": 1, "current": true,
                   "failure": (number == 19).then_some("no room")})
        })
        .collect();
    let worker = json!({
        "id": "9f31c07a52d84e66", "group": "etl", "standing": "active", "connected": true, "address": null,
        "version": null, "host": null, "joined": "", "seen": null, "seen_ago_ms": null, "renewals": 0,
        "applied": applied,
    });
    let row = serde_json::to_value(WorkerRow::of(serde_json::from_value(worker).unwrap())).unwrap();
    assert_eq!((row["applied"].as_array().unwrap().len(), &row["more"]), (MAX_APPLIED, &json!(12)));
    assert_eq!((&row["applied"][0]["failure"], &row["attention"]), (&json!("no room"), &json!("down")));
}

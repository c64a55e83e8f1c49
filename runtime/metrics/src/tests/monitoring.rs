//! The alert rules and the dashboard name metrics and labels that the program has, and pages name the alerts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::expression::{grouped_labels, metrics_of, selections};
use super::{Metric, all_metrics};

const ALERTS: &str = include_str!("../../../../monitoring/alerts.yml");
const ALERT_TESTS: &str = include_str!("../../../../monitoring/alerts.test.yml");
const DASHBOARD: &str = include_str!("../../../../monitoring/dashboard.json");
const PAGE: &str = include_str!("../../../../docs/monitoring.md");

/// What Prometheus adds to every sample.
const TARGET_LABELS: [&str; 2] = ["instance", "job"];

/// An alert rule.
struct Alert<'a> {
    name: &'a str,
    severity: &'a str,
    expression: String,
    text: &'a str,
}

/// The rules of the file, whose layout is fixed.
fn alerts() -> Vec<Alert<'static>> {
    let alerts = ALERTS.split("- alert: ").skip(1).map(|text| {
        let (name, _) = text.split_once('\n').unwrap();
        let lines = text.lines().skip(1).skip_while(|line| !line.trim_start().starts_with("expr:"));
        let expression = lines.take_while(|line| !line.trim_end().ends_with("labels:"));
        let expression = expression.filter(|line| !line.trim_start().starts_with("for:")).collect::<Vec<_>>().join(" ");
        let severity = text.lines().find_map(|line| line.trim().strip_prefix("severity: ")).unwrap();
        Alert { name, severity, expression: expression.replacen("expr:", "", 1), text }
    });
    alerts.collect()
}

/// The expressions of all panels.
fn panel_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The queries of the dashboard's variables.
fn variable_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    variables.filter_map(|variable| variable["definition"].as_str()).map(str::to_owned).collect()
}

/// The labels that a metric has in Prometheus.
fn scraped_labels(metric: &Metric) -> BTreeSet<&str> {
    let renamed = metric.labels.iter().map(|label| match label.as_str() {
        "instance" => "exported_instance",
        label => label,
    });
    renamed.chain(TARGET_LABELS).collect()
}

/// Asserts that metrics and labels are the program's, and returns all labels that the result may have.
fn check<'m>(place: &str, expression: &str, metrics: &'m BTreeMap<String, Metric>) -> BTreeSet<&'m str> {
    let mut all = BTreeSet::new();
    for (name, labels) in selections(expression) {
        let metric = metrics.get(&name).unwrap_or_else(|| panic!("{place}: the program has no metric {name}"));
        let known = scraped_labels(metric);
        for label in labels {
            assert!(known.contains(label.as_str()), "{place}: {name} has no label {label}");
        }
        all.extend(known);
    }
    for label in grouped_labels(expression) {
        assert!(all.contains(label.as_str()), "{place}: no metric has the label {label}");
    }
    all
}

#[test]
fn alerts_name_metrics_and_labels_of_the_program() {
    let metrics = all_metrics();
    let alerts = alerts();
    assert!(alerts.len() >= 20, "{} alerts", alerts.len());
    for alert in &alerts {
        let labels = check(alert.name, &alert.expression, &metrics);
        assert!(!metrics_of(&alert.expression).is_empty(), "{}: {}", alert.name, alert.expression);
        for used in alert.text.split("$labels.").skip(1) {
            let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            assert!(labels.contains(used), "{}: its samples have no label {used}", alert.name);
        }
        assert!(ALERT_TESTS.contains(&format!("alertname=\"{}\"", alert.name)), "{}: no test", alert.name);
    }
}

#[test]
fn alerts_are_on_the_page() {
    let rows: BTreeSet<String> = PAGE.lines().filter(|line| line.starts_with("| `Deputy")).map(str::to_owned).collect();
    assert_eq!(rows.len(), alerts().len(), "docs/monitoring.md has other alerts: {rows:#?}");
    for Alert { name, severity, .. } in alerts() {
        let start = format!("| `{name}` | {severity} | ");
        assert!(rows.iter().any(|row| row.starts_with(&start)), "docs/monitoring.md lacks {start}");
    }
}

#[test]
fn dashboard_shows_every_metric_and_no_other() {
    let metrics = all_metrics();
    let expressions = panel_expressions();
    for expression in expressions.iter().chain(&variable_queries()) {
        check(expression, expression, &metrics);
    }
    let shown: BTreeSet<String> = expressions.iter().flat_map(|expression| metrics_of(expression)).collect();
    // Of a histogram, its buckets.
    let parts = ["_count", "_sum"];
    let missing: Vec<_> =
        metrics.keys().filter(|name| !shown.contains(*name) && !parts.iter().any(|end| name.ends_with(end))).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
}

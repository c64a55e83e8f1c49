//! The page for operators has every metric, with its kind and meaning, and no other.

use std::collections::BTreeSet;

use super::all_metrics;

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

#[test]
fn metrics_match_the_operations_page() {
    let metrics = all_metrics();
    let rows: BTreeSet<String> = metrics
        .iter()
        // A histogram is one row.
        .filter(|(name, _)| !name.ends_with("_bucket") && !name.ends_with("_sum"))
        .map(|(name, metric)| format!("`{}`|{}|{}", name.trim_end_matches("_count"), metric.kind, metric.help))
        .collect();
    let page = OPERATIONS.lines().filter(|line| line.starts_with("| `deputy_"));
    let cells = |line: &str| line.split('|').skip(1).take(3).map(str::trim).collect::<Vec<_>>().join("|");
    assert_eq!(page.map(cells).collect::<BTreeSet<_>>(), rows);
    assert!(rows.len() >= 45, "{rows:?}");
}

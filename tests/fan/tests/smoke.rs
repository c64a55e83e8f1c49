//! The bench itself, small: every worker must have every lease, however long that takes.

use std::process::Command;

use serde_json::Value;

#[test]
fn fanout_reaches_a_hundred_workers_despite_slow_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_deputy-fan"))
        .args(["--json", "--workers", "100", "--rounds", "1", "--loads", "1"])
        .env_remove("DEPUTY_FLINK_JAR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let workers: Vec<_> = report["sizes"].as_array().unwrap().iter().map(|size| size["workers"].as_u64()).collect();
    assert_eq!(workers, [Some(1), Some(10), Some(100)]);
    for size in report["sizes"].as_array().unwrap() {
        assert!(!size["link"].as_array().unwrap().is_empty() && !size["floor"].as_array().unwrap().is_empty());
    }
    assert!(report["flink"].is_null(), "no jar is named");
    assert_eq!(report["stalled"][0]["stalled"], 1);
    let resumed: Vec<_> = report["storms"].as_array().unwrap().iter().map(|storm| storm["resumed"].as_u64()).collect();
    assert_eq!(resumed, [Some(0), Some(100)], "workers with a ticket resume with it");
}

#[test]
fn fanout_reports_a_missing_flink_jar_first() {
    let output = Command::new(env!("CARGO_BIN_EXE_deputy-fan"))
        .args(["--workers", "1"])
        .env("DEPUTY_FLINK_JAR", "no-such.jar")
        .output()
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: DEPUTY_FLINK_JAR names no file: no-such.jar\n");
}

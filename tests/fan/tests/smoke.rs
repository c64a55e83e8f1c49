//! The bench itself, small: every worker must have every lease, however long that takes.

use std::io;
use std::process::{Command, Output};

use serde_json::Value;

fn fan(arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_deputy-fan")).args(arguments).env_remove("DEPUTY_FLINK_JAR").output()
}

#[test]
fn fanout_reaches_a_hundred_workers_despite_slow_ones() {
    let output = fan(&["--json", "--workers", "100", "--rounds", "1", "--loads", "1"]).unwrap();
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
fn fanout_of_two_servers_reaches_all_workers() {
    let output = fan(&["--json", "--workers", "37", "--servers", "2", "--rounds", "1", "--loads", "2"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["servers"][0].as_u64(), report["servers"][1].as_u64()), (Some(19), Some(18)));
    for samples in [&report["link"], &report["floor"], &report["storms"][0]["samples"]] {
        let samples = samples.as_array().unwrap();
        assert!(!samples.is_empty());
        for sample in samples {
            let servers: Vec<f64> =
                (0..2).map(|server| sample["servers"][server]["all_ms"].as_f64().unwrap()).collect();
            assert_eq!(
                sample["all"]["all_ms"].as_f64().unwrap(),
                servers[0].max(servers[1]),
                "the last of all workers"
            );
        }
    }
    let resumed: Vec<_> = report["storms"].as_array().unwrap().iter().map(|storm| storm["resumed"].as_u64()).collect();
    assert_eq!(resumed, [Some(0), Some(37)], "a ticket of the restarted servers is valid");
    let memory = report["memory"].as_array().unwrap();
    assert!(memory.iter().all(|memory| memory["bytes"].as_array().unwrap().len() == 2) && memory.len() == 5);
}

#[test]
fn fanout_says_what_the_limit_of_files_allows() {
    // More than one server admits, wherever this runs.
    let output = fan(&["--workers", "1000000"]).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(error.starts_with("error: this process may open ") && error.contains("workers per server"), "{error}");
    assert!(error.contains("; --servers ") && error.ends_with(" serves 1000000\n"), "{error}");
    let output = fan(&["--servers", "0"]).unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("0 is not in 1..=1000"));
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

//! The bench of enrolment itself, small: what it asks of a coordinator works in both stores.

use std::process::Command;

use serde_json::Value;

#[test]
fn enrolment_bench_measures_both_stores() {
    let output = Command::new(env!("CARGO_BIN_EXE_deputy-bench"))
        .args(["--json", "--enrolled", "300", "--joins", "5", "enrolment"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = report["sections"].as_array().unwrap();
    for store in ["in a directory", "in etcd"] {
        let of_store = sections.iter().filter(|section| section["title"].as_str().unwrap().ends_with(store));
        let names: Vec<_> = of_store
            .flat_map(|section| section["rows"].as_array().unwrap())
            .map(|row| (row["name"].as_str().unwrap(), row["samples"].as_u64().unwrap() > 0))
            .collect();
        assert_eq!(names, [("3 workers", true), ("300 workers", true)].repeat(8));
    }
}

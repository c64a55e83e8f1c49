//! `deputy worker --once`: it applies what there is and ends, or says what is missing.

use std::fs;

use deputy_test_harness::exit;

use super::site::TestSite;

#[test]
fn worker_once_applies_what_there_is_and_exits() {
    let site = TestSite::standard("");
    let coordinator = site.coordinator();
    let join = site.token("analytics", &[]);
    let once = |more: &[&str]| {
        let output = site.command_logging("worker", "warn").arg("--once").args(more).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        site.home.record_output("once", &stderr);
        (output.status.code(), stderr)
    };
    let (code, said) = once(&["--join", join.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(exit::OK), ""));
    let copy = site.link("worker", "app").join("creds.copy");
    let first = fs::read_to_string(&copy).unwrap();
    // It needs no second join string, and brings what is new since.
    site.publish_numbered("creds", 2);
    coordinator.wait_until("the second payload", || coordinator.revision("creds") == 2);
    assert_eq!(once(&[]).0, Some(exit::OK));
    assert_ne!(fs::read_to_string(&copy).unwrap(), first);

    // Something that it needs has no lease: it says what, in time, and leaves what is published.
    site.configure("worker", "instances = [\"creds\", \"other\"]");
    let (code, said) = once(&["--timeout", "5s"]);
    assert_eq!(code, Some(exit::UNAVAILABLE), "{said}");
    assert!(said.contains("not everything was applied in time") && said.contains("other not ready: "), "{said}");
    assert!(copy.exists());

    // What it kept from before is not what there is: without the coordinator it cannot know.
    site.configure("worker", "");
    coordinator.kill();
    let (code, said) = once(&["--timeout", "5s"]);
    assert_eq!(code, Some(exit::UNAVAILABLE), "{said}");
    assert!(said.contains(site.address()), "{said}");
}

//! SeaweedFS goes and comes back, with its data and at its ports, while real credentials are kept and used.

use std::time::{Duration, Instant};

use deputy_coordinator::status::InstanceStatus;
use deputy_test_harness::{RunningCoordinator, exit};
use deputy_test_servers::{Place, Seaweed};

use super::fleet::Fleet;
use super::log::{self, Line, millis_between};
use super::samples::while_asking;
use crate::{s3, servers};

const INSTANCES: usize = 5;

/// The first tries to replace a lease come after four to six seconds; its end a minute later, which is long after the
/// outage also on a busy machine.
const LONG: &str =
    "lifetime = \"60s\"\nrenew = { ratio = 0.1, jitter = 0.3 }\nretry = { floor = \"100ms\", most = \"2s\" }";

/// These end during the outage.
const SHORT: &str = "lifetime = \"2s\"\nretry = { floor = \"100ms\", most = \"2s\" }";

#[test]
fn outage_causes_no_gap_for_leases_that_outlive_it() {
    let place = Place::new().unwrap();
    let seaweed = Seaweed::start_at(&place).unwrap();
    servers::make_bucket(&seaweed);
    let endpoint = seaweed.endpoint();
    let fleet = Fleet::new(6000, 40, "").with("long", INSTANCES, &endpoint, LONG);
    let fleet = fleet.with("short", INSTANCES, &endpoint, SHORT);
    let running = RunningCoordinator::start(&fleet.home);
    fleet.wait_until_ready(&running);
    let used = |payload: &str, key| s3::object_at(&endpoint, payload, key);
    let before = fleet.issued("long-000");
    assert_eq!(used(&before.payload, "before").unwrap(), "written with obtained credentials\n");

    // As new as it can be, for it has to outlive what comes.
    let revision = running.revision("long-000");
    running.wait_until("the next lease", || running.revision("long-000") > revision);
    let (outage, samples) = while_asking(&fleet, Duration::from_millis(100), || {
        let begun = Instant::now();
        drop(seaweed);
        running.wait_until("everybody has tried in vain, and some have nothing left", || all_failed(&fleet));
        assert!(used(&before.payload, "during").is_err());
        let surviving = fleet.issued("long-000");
        fleet.metrics();
        let seaweed = Seaweed::start_at(&place).unwrap();
        let outage = begun.elapsed();
        // Good until a minute after it was obtained, also for the server that did not give it out.
        assert_eq!(used(&surviving.payload, "surviving").unwrap(), "written with obtained credentials\n");
        running.wait_until("all are well again", || all_well(&fleet, surviving.revision));
        let after = fleet.issued("long-000");
        assert!(after.revision > surviving.revision, "{after:?}");
        assert_eq!(used(&after.payload, "after").unwrap(), "written with obtained credentials\n");
        drop(seaweed);
        outage
    });

    let mut least = i64::MAX;
    for sample in &samples {
        for (name, good) in sample.leases().filter(|(name, _)| name.starts_with("long")) {
            assert!(good > Some(0), "{name} had none that is good: {good:?}");
            least = least.min(good.unwrap());
        }
    }
    assert!(samples.len() >= 20, "only {} answers", samples.len());
    let tries = backoff(&log::lines(&running));
    eprintln!(
        "{} ms without a server, {tries} tries of {}; {} answers, in which a long lease had {least} ms left at least",
        outage.as_millis(),
        2 * INSTANCES,
        samples.len()
    );
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
}

fn all_failed(fleet: &Fleet) -> bool {
    fleet.status().instances.iter().all(|instance| {
        let lost = instance.name.starts_with("short");
        let is_unavailable = instance.trouble.as_ref().is_some_and(|failure| failure.kind == "unavailable");
        is_unavailable && instance.ready != lost && (!lost || instance.reason.starts_with("lease expired"))
    })
}

fn all_well(fleet: &Fleet, revision: u64) -> bool {
    let status = fleet.status();
    let newer = |instance: &InstanceStatus| instance.lease.as_ref().is_some_and(|lease| lease.revision > revision);
    let is_well =
        |instance: &InstanceStatus| instance.failures == 0 && (instance.name != "long-000" || newer(instance));
    status.ready && status.instances.iter().all(is_well)
}

/// Each delay is at least the floor, at most what was said, and kept; they grow. Gives how many tries there were.
fn backoff(lines: &[Line]) -> usize {
    let failed = |line: &&Line| line.message == "call failed";
    for name in (0..INSTANCES).flat_map(|number| [format!("long-{number:03}"), format!("short-{number:03}")]) {
        let own: Vec<&Line> = lines.iter().filter(failed).filter(|line| line.instance() == name).collect();
        assert!(own.len() >= 2, "{name} failed {} times", own.len());
        let mut most = 0;
        for pair in own.windows(2) {
            let wait = millis(pair[0].field("retry_in"));
            assert!((100..=2000).contains(&wait), "{name}: {pair:?}");
            let apart = millis_between(&pair[0].at, &pair[1].at);
            assert!(apart >= wait, "{name}: {pair:?}");
            most = most.max(wait);
        }
        assert!(most >= 400, "{name} never waited for longer than {most} ms");
    }
    lines.iter().filter(failed).count()
}

/// `350ms`, `1s`, `1s350ms`: of less than a minute.
fn millis(span: &str) -> i64 {
    let (text, unit) = match span.strip_suffix("ms") {
        Some(text) => (text, 1),
        None => (span.strip_suffix('s').unwrap(), 1000),
    };
    match text.split_once('s') {
        Some((seconds, rest)) => seconds.parse::<i64>().unwrap() * 1000 + rest.parse::<i64>().unwrap() * unit,
        None => text.parse::<i64>().unwrap() * unit,
    }
}

//! `kill -9`, again and again, while real credentials rotate every two seconds.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deputy_test_harness::{RunningCoordinator, exit};

use super::fleet::{Fleet, IssuedTokens};
use super::log::{self, Line};
use super::samples::{Sample, while_asking};
use crate::{s3, servers};

const INSTANCES: usize = 20;
const ROTATIONS: u64 = 200;
const KILLS: usize = 10;

/// In milliseconds.
const LIFETIME: i64 = 2000;

/// How long a process may take from its start until every instance has a good lease, on a machine that is busy.
const SETTLED: Duration = Duration::from_secs(2);

/// For how long a lease may have ended after that, while another one is on its way on such a machine. (On one that is
/// not, it is there half a second before the end.)
const LATE: i64 = 1500;

/// From when a process ran, and until when.
type Life = (Instant, Instant);

#[test]
fn kills_lose_no_lease_and_set_no_revision_back() {
    let mut chance = Chance::from_environment();
    let policy = format!("lifetime = \"{LIFETIME}ms\"\nretry = {{ floor = \"50ms\" }}");
    let fleet = Fleet::new(12_000, 40, "").with("web", INSTANCES, &servers::seaweed().endpoint(), &policy);
    let mut payloads = BTreeMap::new();
    let (lives, samples) =
        while_asking(&fleet, Duration::from_millis(100), || rotate(&fleet, &mut chance, &mut payloads));

    no_gap_is_long(&lives, &samples);
    let state: Vec<_> =
        fs::read_dir(fleet.home.path("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let damaged = state.iter().filter(|name| name.to_string_lossy().contains(".damaged-")).count();
    assert_eq!(damaged, 0, "{state:?}");
    fleet.assert_no_secret_leaked();
}

/// Starts and kills; ends when there were enough rotations, all instances are well, and the last process has stopped.
fn rotate(fleet: &Fleet, chance: &mut Chance, payloads: &mut BTreeMap<(String, u64), IssuedTokens>) -> Vec<Life> {
    let mut lives = Vec::new();
    for _ in 0..KILLS {
        let begun = Instant::now();
        let running = RunningCoordinator::start_unseen(&fleet.home);
        thread::sleep(Duration::from_millis(chance.below(3000)));
        // Some are killed before their socket is there.
        if chance.below(2) == 0 && fleet.has_started() {
            see(fleet, chance, payloads);
        }
        lives.push((begun, Instant::now()));
        running.kill();
    }
    let begun = Instant::now();
    let running = RunningCoordinator::start(&fleet.home);
    fleet.wait_until_ready(&running);
    let last: BTreeMap<_, _> = revisions(fleet);
    running.wait_until("every instance has rotated four times more, and all of them two hundred times", || {
        let now = revisions(fleet);
        now.values().sum::<u64>() >= ROTATIONS && last.iter().all(|(name, revision)| now[name] >= revision + 4)
    });
    fleet.wait_until_ready(&running);
    for _ in 0..3 {
        see(fleet, chance, payloads);
    }
    let given = fleet.issued("web-000");
    assert_eq!(s3::object(&given.payload, "after-kills").unwrap(), "written with obtained credentials\n");
    assert!(fleet.metrics().contains("web-000"));
    lives.push((begun, Instant::now()));

    let rotations: u64 = revisions(fleet).values().sum();
    let lines = log::lines(&running);
    assert_eq!(running.stop(), Some(exit::OK));
    let served = leases_are_served_again(&lines);
    eprintln!("{rotations} rotations, {} kills; {served}", KILLS);
    lives
}

fn revisions(fleet: &Fleet) -> BTreeMap<String, u64> {
    let instances = fleet.status().instances.into_iter();
    instances.map(|instance| (instance.name, instance.lease.map_or(0, |lease| lease.revision))).collect()
}

/// A revision of an instance is the same payload each time, whichever process gives it out.
fn see(fleet: &Fleet, chance: &mut Chance, payloads: &mut BTreeMap<(String, u64), IssuedTokens>) {
    let name = format!("web-{:03}", chance.below(INSTANCES as u64));
    let given = fleet.issued(&name);
    let before = payloads.entry((name, given.revision)).or_insert_with(|| given.clone());
    assert_eq!(*before, given);
}

/// Reads in the log that each process gave out what the one before it had given out, if it was still valid, and
/// at once: before it called a service for another one.
fn leases_are_served_again(lines: &[Line]) -> String {
    // With a little time left: it is looked at a moment before anything is given out.
    let good = |line: &Line, until: &str| log::millis_between(&line.at, until) > 100;
    let lives: Vec<&[Line]> = lines.split(|line| line.message == "state restored").skip(1).collect();
    assert!(lives.len() > KILLS / 2, "only {} processes came so far as to read their state", lives.len());
    let mut given: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    let (mut again, mut slowest) = (0, 0);
    for life in lives {
        let Some(first) = life.first() else { continue };
        let before = given.clone();
        for line in life.iter().filter(|line| line.message == "lease published") {
            let revision: u64 = line.field("revision").parse().unwrap();
            let (old, until) = given.get(line.instance()).copied().unwrap_or_default();
            assert!(revision >= old, "{} went from {old} back to {revision}", line.instance());
            if revision == old {
                assert_eq!(line.field("valid_until"), until, "{} {revision} changed", line.instance());
            }
            given.insert(line.instance(), (revision, line.field("valid_until")));
        }
        // One that was killed while it loaded its components gave out nothing.
        let Some(begun) = life.iter().find(|line| line.message == "lease published") else { continue };
        for (name, (revision, until)) in before.into_iter().filter(|(_, (_, until))| good(begun, until)) {
            let now = life.iter().find(|line| line.instance() == name);
            if now.is_none() && life.last().is_some_and(|line| line.message == "lease published") {
                continue; // killed while it gave out one after the other
            }
            let now = now.unwrap_or_else(|| panic!("{name} {revision}, good until {until}, was lost"));
            // What this process obtained itself lives for longer than a life after its beginning.
            let inherited = log::millis_between(&first.at, now.field("valid_until")) <= LIFETIME;
            assert!(now.message == "lease published" && inherited, "{name} {revision} was good until {until}: {now:?}");
            slowest = slowest.max(log::millis_between(&first.at, &now.at));
            again += 1;
        }
    }
    let complaint =
        lines.iter().find(|line| line.level == "ERROR" && !line.message.starts_with("lease expired before"));
    assert!(complaint.is_none(), "{complaint:?}");
    assert!(again >= INSTANCES, "only {again} leases were good when a process was killed");
    format!("{again} good leases served again, the slowest {slowest} ms after its process began")
}

/// Looks at every answer of a process that had time to settle.
fn no_gap_is_long(lives: &[Life], samples: &[Sample]) {
    let (mut seen, mut longest, mut settled) = (0, 0, 0);
    for sample in samples.iter().filter(|sample| sample.status.is_some()) {
        let Some((begun, _)) = lives.iter().find(|(begun, end)| (*begun..*end).contains(&sample.at)) else { continue };
        let leases: Vec<_> = sample.leases().collect();
        let ended = leases.iter().filter_map(|(_, good)| *good).map(|good| -good).max().unwrap_or(0);
        let up = sample.at.duration_since(*begun);
        longest = longest.max(ended);
        if up > SETTLED {
            let held = leases.iter().filter(|(_, good)| good.is_some()).count();
            assert_eq!(held, INSTANCES, "after {up:?}: {leases:?}");
            assert!(ended < LATE, "after {up:?}, ended {ended} ms ago: {leases:?}");
            (seen, settled) = (seen + 1, settled.max(ended));
        }
    }
    assert!(seen >= 10, "only {seen} of {} answers were looked at", samples.len());
    eprintln!("{seen} of {} answers from settled processes; longest gap {settled} ms, {longest} in all", samples.len());
}

/// Numbers that look random, and are the same for the same seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn from_environment() -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let seed = std::env::var("DEPUTY_SEED").map_or(u64::from(clock), |seed| seed.parse().unwrap());
        eprintln!("DEPUTY_SEED={seed} kills at the same moments again");
        Self(seed)
    }

    /// SplitMix64.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[usize::try_from(self.below(these.len() as u64)).unwrap()]
    }

    /// These in another order.
    pub(crate) fn shuffled<T>(&mut self, mut these: Vec<T>) -> Vec<T> {
        for end in (1..these.len()).rev() {
            these.swap(end, usize::try_from(self.below(end as u64 + 1)).unwrap());
        }
        these
    }
}

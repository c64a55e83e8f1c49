//! State that is not what was written: each damaged file costs the lease in it, and a wrong key costs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use deputy_test_harness::{RunningCoordinator, TestEnvironment, base64, exit};

use super::fleet::Fleet;
use super::log;
use super::stand_in::{CANARY, StandIn};

const INSTANCES: usize = 6;

/// How a file is damaged: from what it was, and another file of the store.
type Damage = fn(Vec<u8>, &[u8]) -> Vec<u8>;

const DAMAGES: [(&str, Damage); 5] = [
    ("one bit", |mut own, _| {
        let middle = own.len() / 2;
        own[middle] ^= 1;
        own
    }),
    ("its end cut off", |mut own, _| {
        own.truncate(own.len() - 7);
        own
    }),
    ("nothing left", |_, _| Vec::new()),
    ("zeros", |own, _| vec![0; own.len()]),
    ("another's", |_, other| other.to_vec()),
];

#[test]
fn damage_of_a_record_costs_only_its_lease() {
    let server = StandIn::generous();
    let fleet = fleet(&server, "");
    let running = RunningCoordinator::start(&fleet.home);
    fleet.wait_until_ready(&running);
    let mut payloads = given(&fleet);
    assert_eq!(running.stop(), Some(exit::OK));

    let names: Vec<String> = fleet.names().map(str::to_owned).collect();
    for (number, (how, damage)) in DAMAGES.into_iter().enumerate() {
        let (name, calls) = (names[number].as_str(), server.calls().len());
        let (file, other) = (sealed(&fleet.home, name), sealed(&fleet.home, &names[number + 1]));
        let damaged = damage(fs::read(&file).unwrap(), &fs::read(other).unwrap());
        fs::write(&file, &damaged).unwrap();

        let running = RunningCoordinator::start(&fleet.home);
        fleet.wait_until_ready(&running);
        let now = given(&fleet);
        for other in names.iter().filter(|other| *other != name) {
            assert_eq!(now[other], payloads[other], "{how} in {name} changed {other}");
        }
        assert_ne!(now[name].payload, payloads[name].payload, "{how}");
        let called: Vec<_> = server.calls().into_iter().skip(calls).map(|call| call.caller).collect();
        assert_eq!(called, [name], "{how}");
        let lines = log::lines(&running);
        let told = |line: &log::Line| line.level == "ERROR" && line.field("error").contains(&format!("lease/{name} "));
        assert_eq!(lines.iter().filter(|line| told(line)).count(), 1, "{how}: {lines:?}");
        let aside = file.with_extension("sealed.damaged-1");
        assert_eq!(fs::read(&aside).unwrap(), damaged, "{how} is kept for an investigation");
        fleet.metrics();
        assert_eq!(running.stop(), Some(exit::OK));
        payloads = now;
    }
    fleet.assert_no_secret_leaked();
}

#[test]
fn damage_wrong_master_key_is_reported_and_changes_nothing() {
    let (right, wrong) = (base64(&(0..32).collect::<Vec<u8>>()), base64(&(1..33).collect::<Vec<u8>>()));
    let server = StandIn::generous();
    let fleet = fleet(&server, "key = { file = \"secrets/state-key\" }");
    fleet.home.put_secret("state-key", &right);
    fleet.home.register_secret(&right);
    fleet.home.register_secret(&wrong);
    let running = RunningCoordinator::start(&fleet.home);
    fleet.wait_until_ready(&running);
    let before = given(&fleet);
    assert_eq!(running.stop(), Some(exit::OK));

    let state = contents(&fleet.home.path("state"));
    for (key, why) in [(Some(wrong), "the key does not fit this state directory"), (None, "cannot read")] {
        match key {
            Some(key) => fleet.home.put_secret("state-key", &key),
            None => fs::remove_file(fleet.home.path("secrets/state-key")).unwrap(),
        }
        let mut refused = RunningCoordinator::start_unseen(&fleet.home);
        assert_eq!(refused.end(), Some(exit::MISCONFIGURED));
        let said = refused.last_error();
        assert!(said.contains(why), "{said}");
        assert_eq!(contents(&fleet.home.path("state")), state);
    }

    fleet.home.put_secret("state-key", &right);
    let running = RunningCoordinator::start(&fleet.home);
    assert_eq!(given(&fleet), before);
    assert_eq!(server.calls().len(), INSTANCES);
    fleet.metrics();
    assert_eq!(running.stop(), Some(exit::OK));
    fleet.assert_no_secret_leaked();
}

fn fleet(server: &StandIn, coordinator: &str) -> Fleet {
    let fleet = Fleet::new(6000, 20, coordinator).with("web", INSTANCES, &server.endpoint(), "lifetime = \"1h\"");
    fleet.home.register_secret(CANARY);
    fleet
}

fn given(fleet: &Fleet) -> BTreeMap<String, super::fleet::IssuedTokens> {
    fleet.names().map(|name| (name.to_owned(), fleet.issued(name))).collect()
}

fn sealed(home: &TestEnvironment, name: &str) -> std::path::PathBuf {
    home.path("state").join(format!("lease.{name}.sealed"))
}

/// The files of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

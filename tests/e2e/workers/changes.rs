//! Changes by an operator while everything runs, and how the workload learns of them.

use std::fs;
use std::process::{Command, Stdio};

use deputy_test_harness::exit;
use deputy_test_servers::guest;
use deputy_worker::status::WorkerReport;

use super::site::{GROUP, TestSite, twice};
use super::unit::Unit;
use super::watcher::Watcher;

#[test]
fn delivery_change_withdraws_and_publishes() {
    let site = TestSite::standard("").instance("extra", "any", &[GROUP]);
    let _coordinator = site.coordinator();
    let component = guest("files").unwrap();
    let mine = format!(
        "[receivers.mine]\ncomponent = {component:?}\ninstances = [\"creds\", \"extra\"]\n[receivers.mine.settings]\n{}\n{}",
        twice("creds"),
        twice("extra"),
    );
    site.configure("worker", &mine);
    let worker = site.worker("worker");
    worker.wait_until_published("mine", "extra", 1);
    worker.wait_until_published("app", "creds", 1);
    let watcher = Watcher::of(site.link("worker", "app"));
    let head = "[instances.extra]\nservice = \"any\"\nkind = \"hostile/1\"\n";
    let delivered = format!("{head}deliver-to = [{GROUP:?}]\n");
    for (before, after, number) in [(delivered.as_str(), head, 0), (head, &delivered, 1)] {
        site.home.edit(before, after);
        site.run_command(&["reload"]).ends_with(exit::OK);
        worker.wait_until_published("mine", "extra", number);
        assert_eq!(worker.published_number("mine", "creds"), 1);
        let held = worker.status().unwrap().instances.len();
        assert_eq!(held, 1 + usize::try_from(number).unwrap());
    }
    assert_eq!(worker.stop(), Some(exit::OK));
    site.home.edit(&delivered, head);
    site.run_command(&["reload"]).ends_with(exit::OK);
    // It learns of it when it comes back.
    let worker = site.restart_worker("worker");
    worker.wait_until_published("mine", "extra", 0);
    assert_eq!(watcher.saw().numbers["creds"], [1]);
}

#[test]
fn receivers_of_a_group_come_and_go_with_their_files() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let worker = site.worker("worker");
    worker.wait_until_published("app", "creds", 1);
    site.home.edit("receivers.app]\n", "receivers.later]\n");
    site.home.edit("receivers.app.settings]\n", "receivers.later.settings]\n");
    site.run_command(&["reload"]).ends_with(exit::OK);
    worker.wait_until_published("later", "creds", 1);
    worker.wait_until("the one before is gone", || !site.link("worker", "app").exists());
    worker.wait_until("nothing of it is left", || {
        !site.home.path("secrets/worker/.app").exists() || {
            fs::read_dir(site.home.path("secrets/worker/.app"))
                .unwrap()
                .all(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with('.'))
        }
    });
}

#[test]
fn hook_command_runs_once_per_published_unit() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let told = site.home.path("secrets/told");
    // It reads the unit that it is called for, and leaves it for the test.
    let script = format!(
        "cat \"$DEPUTY_UNIT/creds\" >> {0}; echo \" $DEPUTY_RECEIVER $DEPUTY_INSTANCES\" >> {0}",
        told.display()
    );
    site.configure(
        "worker",
        &format!("[receivers.app]\non-change = {{ command = [\"/bin/sh\", \"-c\", {script:?}] }}"),
    );
    let worker = site.worker("worker");
    // A line is there when it has ended: its halves are written one after the other.
    let lines = || {
        let text = fs::read_to_string(&told).unwrap_or_default();
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect::<Vec<_>>()
    };
    worker.wait_until("the first", || lines().len() == 1);
    site.publish_numbered("creds", 2);
    worker.wait_until("the second", || lines().len() == 2);
    for (line, number) in lines().iter().zip(1..) {
        assert!(line.contains(&format!(" creds {number} ")) && line.ends_with(" app creds"), "{line}");
    }
    // The hook has run for this unit already.
    let hook = || worker_hook(&worker.status().unwrap());
    worker.wait_until("that is noted", || hook() == Some((false, None)));
    assert_eq!(worker.stop(), Some(exit::OK));
    let worker = site.restart_worker("worker");
    worker.wait_until("it has applied it", || {
        worker.status().is_some_and(|status| status.receivers[0].state == "applied")
    });
    worker.wait_for_link("connected");
    site.publish_numbered("creds", 3);
    worker.wait_until("the third", || lines().len() == 3);
    assert!(lines()[2].contains(" creds 3 "), "{:?}", lines());
}

/// Whether the hook runs, and the error of its last run.
fn worker_hook(status: &WorkerReport) -> Option<(bool, Option<String>)> {
    let hook = status.receivers.first()?.hook.as_ref()?;
    Some((hook.running, hook.error.clone()))
}

#[test]
fn hook_failure_is_reported_and_keeps_the_unit() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    site.configure("worker", "[receivers.app]\non-change = { command = [\"/bin/false\"] }");
    let worker = site.worker("worker");
    worker.wait_until("the failure is reported", || {
        let status = worker.status();
        status.is_some_and(|status| worker_hook(&status).is_some_and(|(_, error)| error.is_some()))
    });
    assert_eq!(worker.published_number("app", "creds"), 1);
    site.publish_numbered("creds", 2);
    worker.wait_until_published("app", "creds", 2);
}

#[test]
fn hook_signal_arrives_after_the_unit() {
    let site = TestSite::standard("");
    let _coordinator = site.coordinator();
    let (pid_file, heard) = (site.home.path("app.pid"), site.home.path("secrets/heard"));
    let unit = site.link("worker", "app");
    // A shell may lose a signal that comes while it starts a program.
    let script = format!(
        "import os, signal, time
def hear(*_):
    with open({:?}) as unit, open({heard:?}, 'a') as heard:
        heard.write(unit.read() + '\\n')
signal.signal(signal.SIGHUP, hear)
with open({pid_file:?} + '.new', 'w') as file:
    file.write(str(os.getpid()))
os.rename({pid_file:?} + '.new', {pid_file:?})
while True:
    time.sleep(0.02)
",
        unit.join("creds"),
    );
    let mut workload = Command::new("python3").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
    site.configure("worker", &format!("[receivers.app]\non-change = {{ signal = \"HUP\", pid-file = {pid_file:?} }}"));
    while !pid_file.exists() {
        std::thread::yield_now();
    }
    let worker = site.worker("worker");
    let last = || fs::read_to_string(&heard).unwrap_or_default().lines().last().unwrap_or_default().to_owned();
    for number in 1..=3 {
        site.publish_numbered("creds", number);
        worker.wait_until("it has heard of it", || last().contains(&format!(" creds {number} ")));
    }
    assert_eq!(Unit::read(&unit).unwrap().unwrap().0["creds"], last());
    workload.kill().unwrap();
    workload.wait().unwrap();
}

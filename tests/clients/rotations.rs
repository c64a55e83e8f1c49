//! All clients at once, through rotations.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{RunningCoordinator, RunningWorker};
use deputy_test_servers::engine;

use crate::client::{Client, Program, Way, object, until};
use crate::page::Place;
use crate::programs::{all, boto3, go, hadoop, java, short_calls, spark};
use crate::site::Site;

/// With how many keys each client reads: five rotations.
const KEYS: usize = 6;

/// How long all of it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a client takes to end once it is asked to.
const END: Duration = Duration::from_secs(60);

/// The clients whose credentials are replaced while they run.
fn lasting() -> Vec<(Program, Way)> {
    let mut clients = Vec::new();
    // Those that start slowly come first.
    clients.push((spark(), Way::Endpoint));
    clients.push((hadoop(), Way::Process));
    clients.push((java(), Way::Endpoint));
    for way in [Way::Endpoint, Way::Process] {
        clients.extend(all().into_iter().map(|program| (program, way)));
    }
    clients.push((boto3(), Way::OwnProcess));
    clients.push((go(), Way::Restarted));
    // Short calls, which find the newest.
    clients.push((short_calls(), Way::File));
    clients
}

/// The clients that keep what they found at first, and what they say of it: boto3 knows by the variables that `deputy exec`
/// sets that the credentials have ended, and sends no request with them.
fn ending() -> Vec<(Program, Way, &'static str)> {
    let ended = "the refreshed credentials are still expired";
    vec![(boto3(), Way::File, "(ExpiredToken)"), (boto3(), Way::Exec, ended)]
}

/// An engine that is a worker itself.
struct Engine(Child);

impl Engine {
    fn start(site: &Site) -> Self {
        let log = File::create(site.home.path("secrets/engine.log")).unwrap();
        let mut command = Command::new(engine("list").unwrap());
        command.arg("--join").arg(site.join("engines")).args(["--instance", "s3-prod", "--bucket", "engine"]);
        command.args(["--endpoint", &site.s3.endpoint()]).env_clear().stdin(Stdio::null());
        Self(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn clients_read_through_five_rotations_of_keys_that_end() {
    let (lasting, ending) = (lasting(), ending());
    let all = lasting.iter().map(|(program, way)| (program, way));
    let all = all.chain(ending.iter().map(|(program, way, _)| (program, way)));
    let objects: Vec<String> = all.map(|(program, way)| object(program, *way)).collect();
    let site = Site::new(&objects);
    let coordinator = RunningCoordinator::start_logging(&site.home, site.home.command(), "info");
    coordinator.wait_until("it answers", || coordinator.answers());
    let join = site.join("jobs");
    let _worker = RunningWorker::start(&site.home, &["--join".as_ref(), join.as_os_str()]);
    coordinator.wait_until("the first is published", || site.run().join("aws/config").exists());

    let begun = Instant::now();
    let mut engine = Engine::start(&site);
    let lasting_clients = lasting.iter().map(|(program, way)| Client::start(&site, program, *way));
    let mut lasting_clients: Vec<Client> = lasting_clients.collect();
    let ending_clients = ending.iter().map(|(program, way, _)| Client::start(&site, program, *way));
    let mut ending_clients: Vec<Client> = ending_clients.collect();
    loop {
        for client in &mut lasting_clients {
            assert_eq!(
                client.ended(),
                None,
                "{} ended after {} keys:\n{}",
                client.name,
                site.reads(client).keys.len(),
                client.log()
            );
        }
        assert!(
            engine.0.try_wait().unwrap().is_none(),
            "{}",
            fs::read_to_string(site.home.path("secrets/engine.log")).unwrap()
        );
        let behind: Vec<String> = lasting_clients
            .iter()
            .filter(|client| site.reads(client).keys.len() < KEYS)
            .map(|client| format!("{}: {}\n{}", client.name, site.reads(client).keys.len(), client.log()))
            .collect();
        if behind.is_empty() && site.s3.reads("/engine").keys.len() >= KEYS {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "of {} keys:\n{}", site.s3.keys(), behind.join("\n"));
        thread::sleep(Duration::from_millis(200));
    }
    for (client, (_, _, said)) in ending_clients.iter_mut().zip(&ending) {
        let (reads, log) = (site.reads(client), client.log());
        assert!(client.ended().is_some_and(|status| !status.success()), "{} goes on:\n{log}", client.name);
        // On a busy machine one may begin when its credentials have ended.
        assert!(log.contains(said) && reads.keys.len() <= 1, "{reads:?}\n{log}");
    }

    fs::write(until(&site), "").unwrap();
    let asked = Instant::now();
    for (client, (program, way)) in lasting_clients.iter_mut().zip(&lasting) {
        while client.ended().is_none() {
            assert!(asked.elapsed() < END, "{} does not end:\n{}", client.name, client.log());
            thread::sleep(Duration::from_millis(50));
        }
        let reads = site.reads(client);
        println!(
            "{}: {} reads with {} keys in {} s",
            client.name,
            reads.succeeded,
            reads.keys.len(),
            begun.elapsed().as_secs()
        );
        assert!(client.ended().is_some_and(|status| status.success()), "{}: {}", client.name, client.log());
        // A short call can begin too late, and DuckDB makes its secret again when a request was refused.
        let may_be_refused = *way == Way::File || program.name == "duckdb";
        assert!(reads.expired == 0 || may_be_refused, "{}: {reads:?}\n{}", client.name, client.log());
    }
    let reads = site.s3.reads("/engine");
    println!("engine: {} lists with {} keys", reads.succeeded, reads.keys.len());
    assert_eq!(reads.expired, 0, "the engine");
}

#[test]
fn clients_of_the_page_are_those_that_run() {
    let run: BTreeSet<&str> = lasting().iter().map(|(program, _)| program.client).collect();
    // The engine, and a row that is no client.
    let others = ["object_store", "a program that reads its environment once"];
    let rows = Place::rows();
    let named: BTreeSet<&str> = rows.iter().map(|(client, _)| *client).filter(|name| !others.contains(name)).collect();
    assert_eq!(run, named);
    assert_eq!(rows.len(), run.len() + others.len());
}

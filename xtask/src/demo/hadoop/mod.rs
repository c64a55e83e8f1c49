//! `cargo xtask demo hadoop`: one keytab and one `deputy.toml` at the coordinator; a real KDC, HDFS, KMS, YARN, HBase, Hive's
//! metastore and Kafka; and the clients of each, which have no ticket: they work with what a worker's files hold, through
//! renewals and new tokens.

mod clients;
mod configuration;
mod servers;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use deputy_test_servers::Proof;
use serde_json::Value;

use self::clients::Clients;
use self::configuration::INSTANCES;
use self::servers::{LONGEST, RENEWAL, Servers};
use super::build;
use super::daemon::{Process, now, since, until};
use crate::digest::write;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;
use crate::{guests, tools};

/// How old the first tokens are when the clients begin their last round: beyond their maximum lifetime.
const WORKING: Duration = Duration::from_secs(LONGEST as u64 + 1);

/// How many leases of each instance there must have been in the end: renewals, or new tokens where there are none.
const LEASES: u64 = 3;

/// The group of the worker.
const GROUP: &str = "readers";

/// The files of the worker.
const TOKENS: &str = "worker/hadoop/hadoop.tokens";
const PROPERTIES: &str = "worker/kafka/kafka.properties";

/// Runs it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    tools::install_java(workspace)?;
    guests::build_connectors(workspace)?;
    let deputy = build(workspace)?;
    let step = Step::begin(
        "kerberos",
        "starting the KDC of the realm TEST.LOCAL, and what wants its tickets: HDFS, KMS, YARN, HBase, Hive and Kafka",
    );
    let servers = Servers::start()?;
    step.end(format!("ready: hdfs://localhost:{}, and the others", servers.hdfs.rpc_port()));

    // In the server's folder: it ends with the server, also when this program is interrupted.
    let folder = servers.hdfs.folder().join("demo");
    fs::create_dir_all(folder.join("worker")).doing(|| "making the demonstration's folder".into())?;
    let demo = Demo { deputy: &deputy, folder: &folder, servers: &servers };
    configuration::write_configuration(&demo, workspace)?;
    demo.refuses_without_a_token()?;
    let coordinator = Process::start(&deputy, &folder, "coordinator", &["--config", "deputy.toml", "run"])?;
    for name in INSTANCES {
        until(&format!("a token of {name}"), || demo.call(&["get", name, "--wait", "1s"]).succeeds())?;
    }
    let held = now();
    demo.call(&["token", "create", "--group", GROUP, "--out", "join"]).said().shown()?;
    let arguments = ["worker", "--join", "join", "--output", "worker", "--state", "worker-state"];
    let worker = Process::start(&deputy, &folder, "worker", &arguments)?;
    for file in [TOKENS, PROPERTIES] {
        until(&format!("the worker to publish {file}"), || folder.join(file).exists())?;
    }
    let rounds = demo.work(held)?;
    say::note("deputy", "what the coordinator says of it:");
    demo.call(&["status"]).said().shown()?;
    demo.conclude(rounds)?;
    worker.stop()?;
    coordinator.stop()
}

struct Demo<'a> {
    deputy: &'a Path,
    folder: &'a Path,
    servers: &'a Servers,
}

impl Demo<'_> {
    fn call(&self, arguments: &[&str]) -> Run {
        Run::new(self.deputy).args(["--config", "deputy.toml"]).args(arguments).dir(self.folder)
    }

    /// The client proves nothing yet.
    fn refuses_without_a_token(&self) -> Result<()> {
        match self.servers.hdfs.client().fs(&["-ls", "/open"], Proof::Nothing) {
            Ok(_) => Err(Failure::new("HDFS serves a client that proves nothing")),
            Err(error) if error.to_string().contains("Client cannot authenticate") => {
                say::note(
                    "hadoop fs",
                    "without a ticket or a token: refused (Client cannot authenticate via:[TOKEN, KERBEROS])",
                );
                Ok(())
            }
            Err(error) => Err(error).doing(|| "asking HDFS without a token".into()),
        }
    }

    /// Has all clients work, each time as new processes, until the first tokens, which were there at this time, have
    /// ended. The number of rounds.
    fn work(&self, held: Instant) -> Result<u32> {
        let step = Step::begin(
            "clients",
            format!("work with the worker's files alone, until the first tokens are {} s old", WORKING.as_secs()),
        );
        let (tokens, properties) = (self.folder.join(TOKENS), self.folder.join(PROPERTIES));
        let text = self.folder.join("greeting");
        write(&text, b"Good morning from a worker without a key.")?;
        let clients = Clients { servers: self.servers, tokens: &tokens, properties: &properties, text: &text };
        clients.prepare()?;
        let mut rounds = 0;
        // Past the maximum lifetime there is one more.
        let mut is_last = false;
        while !is_last {
            is_last = since(held) > WORKING;
            clients.round(rounds)?;
            rounds += 1;
        }
        step.end(format!(
            "{rounds} rounds: files of HDFS, half of them encrypted, YARN's applications, rows of HBase, Hive's \
             databases, messages of Kafka; nothing failed"
        ));
        Ok(rounds)
    }

    /// Says what was shown, from what the coordinator and the KDC counted.
    fn conclude(&self, rounds: u32) -> Result<()> {
        let status = self.call(&["status", "--json"]).json()?;
        let instances = status.get("instances").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut leases = Vec::new();
        for name in INSTANCES {
            let instance = instances.iter().find(|instance| instance.get("name").is_some_and(|own| own == name));
            let revision = instance.and_then(|instance| instance.pointer("/lease/revision")).and_then(Value::as_u64);
            match revision {
                Some(revision) if revision >= LEASES => leases.push(format!("{revision} of {name}")),
                _ => {
                    return Err(Failure::new(format!("{revision:?} leases of {name}, where {LEASES} were to be seen")));
                }
            }
        }
        let logins = self.servers.kdc.issued("AS_REQ", "etl@TEST.LOCAL");
        say::note(
            "shown",
            format!(
                "the clients of six services worked {rounds} times through leases ({}) of tokens",
                leases.join(", ")
            ),
        );
        say::note(
            "",
            format!(
                "that lived {RENEWAL} s, and {LONGEST} s at most; the KDC saw {logins} logins, by `check` and the \
                 coordinator,"
            ),
        );
        say::note("", "and none by the worker or the clients: the keytab was in one place");
        Ok(())
    }
}

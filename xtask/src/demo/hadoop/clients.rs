//! The unmodified clients of the services: each use is a new process, with what a worker's files hold then.

use std::path::Path;
use std::thread;

use deputy_test_servers::{Error, Proof};

use super::servers::{Servers, ZONE};
use crate::failure::{Doing, Failure, Result};

/// The clients, and the files of the worker.
pub(super) struct Clients<'a> {
    pub(super) servers: &'a Servers,
    /// The token file.
    pub(super) tokens: &'a Path,
    /// The properties of Kafka's clients.
    pub(super) properties: &'a Path,
    /// A local file.
    pub(super) text: &'a Path,
}

/// A use of one service by its own client.
type Use = (&'static str, fn(&Clients<'_>, u32) -> std::result::Result<bool, Error>);

/// What a round of the clients uses. The two lists run at the same time.
const USES: [&[Use]; 2] =
    [&[("HDFS and KMS", hdfs), ("YARN", yarn), ("Hive", hive)], &[("HBase", hbase), ("Kafka", kafka)]];

impl Clients<'_> {
    /// Makes what the clients use: a table of HBase.
    pub(super) fn prepare(&self) -> Result<()> {
        let client = self.servers.hbase.client();
        client.run("HBaseTable", &["create", "demo"], self.proof()).map(drop).doing(|| "creating a table".into())
    }

    /// Has each client do something once. The number of the round is in what is written.
    pub(super) fn round(&self, number: u32) -> Result<()> {
        let of_list = |list: &[Use]| {
            list.iter().try_for_each(|(service, used)| match used(self, number) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Failure::new(format!("the client of {service} reads something else than it wrote"))),
                Err(error) => Err(error).doing(|| format!("using {service}")),
            })
        };
        let [first, second] = USES;
        thread::scope(|scope| {
            let first = scope.spawn(|| of_list(first));
            let second = of_list(second);
            first.join().map_err(|_| Failure::new("the thread of the clients panicked"))?.and(second)
        })
    }

    fn proof(&self) -> Proof<'_> {
        Proof::TokenFile(self.tokens)
    }
}

/// Writes a file, every other one into the encryption zone, and reads it.
fn hdfs(clients: &Clients<'_>, number: u32) -> std::result::Result<bool, Error> {
    let client = clients.servers.hdfs.client();
    let path = format!("{}/{number}", if number.is_multiple_of(2) { ZONE } else { "/open" });
    client.fs(&["-put", &clients.text.display().to_string(), &path], clients.proof())?;
    Ok(client.fs(&["-cat", &path], clients.proof())?.starts_with("Good morning"))
}

/// Lists applications: there are none.
fn yarn(clients: &Clients<'_>, _: u32) -> std::result::Result<bool, Error> {
    let main = "org.apache.hadoop.yarn.client.cli.ApplicationCLI";
    let listed = clients.servers.yarn.client().run(main, &["application", "-list"], clients.proof())?;
    Ok(listed.contains("Total number of applications"))
}

/// Lists databases.
fn hive(clients: &Clients<'_>, _: u32) -> std::result::Result<bool, Error> {
    Ok(clients.servers.hive.client().run("Metastore", &["databases"], clients.proof())? == "default\n")
}

/// Writes a row of a table, and reads it.
fn hbase(clients: &Clients<'_>, number: u32) -> std::result::Result<bool, Error> {
    let (client, row) = (clients.servers.hbase.client(), number.to_string());
    client.run("HBaseTable", &["put", "demo", &row, "Good morning"], clients.proof())?;
    Ok(client.run("HBaseTable", &["get", "demo", &row], clients.proof())? == "Good morning\n")
}

/// Produces a message, and consumes the first one.
fn kafka(clients: &Clients<'_>, _: u32) -> std::result::Result<bool, Error> {
    let (kafka, port) = (&clients.servers.kafka, clients.servers.kafka.ports().sasl);
    let sent = kafka.produce(port, clients.properties, "demo")?;
    Ok(sent.contains("\"acked\":1") && kafka.consume(port, clients.properties, "demo")? == "0\n")
}

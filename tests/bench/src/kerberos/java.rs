//! How long the services' own clients take, each in one warm JVM, which logs in once.

use std::time::Duration;

use deputy_test_servers::{Client, Error, Kdc, Proof};

use super::PRINCIPAL;
use crate::Result;

/// How many obtains a JVM makes before those that are timed.
const BEFORE: usize = 30;

/// The times of a program that prints nanoseconds. Its last two arguments are how many are timed, and how many come before.
pub(crate) fn times(kdc: &Kdc, client: &Client, main: &str, arguments: &[&str], count: usize) -> Result<Vec<Duration>> {
    let ticket = kdc.ticket("alice")?;
    read(client.run(main, &counted(arguments, count).each(), Proof::Ticket(&ticket)))
}

/// The same of Kafka's client, whose login is in a file of its own.
pub(crate) fn kafka_times(kdc: &Kdc, kafka: &deputy_test_servers::Kafka, count: usize) -> Result<Vec<Duration>> {
    let ticket = kdc.ticket("alice")?.display().to_string();
    let login = format!(
        "com.sun.security.auth.module.Krb5LoginModule required useTicketCache=true ticketCache=\"{ticket}\" principal=\"{PRINCIPAL}\";"
    );
    let properties = deputy_test_servers::Site::new()
        .set("bootstrap.servers", format!("localhost:{}", kafka.ports().sasl))
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "GSSAPI")
        .set("sasl.kerberos.service.name", "kafka")
        .set("sasl.jaas.config", login);
    let file = kafka.properties("bench.properties", &properties)?.display().to_string();
    read(kafka.run("ObtainTimes", &counted(&[&file], count).each()))
}

struct Counted(Vec<String>);

impl Counted {
    fn each(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

fn counted(arguments: &[&str], count: usize) -> Counted {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    Counted(arguments.chain([count.to_string(), BEFORE.to_string()]).collect())
}

fn read(said: std::result::Result<String, Error>) -> Result<Vec<Duration>> {
    let said = said?;
    let nanos = said.lines().map(str::parse::<u64>).collect::<std::result::Result<Vec<_>, _>>();
    Ok(nanos.map_err(|error| format!("{error}: {said}"))?.into_iter().map(Duration::from_nanos).collect())
}

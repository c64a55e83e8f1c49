//! HBase, Hive's metastore and Kafka start, refuse a client that proves nothing, and serve one with a ticket or a token.
#![expect(clippy::disallowed_methods, reason = "plain blocking test code, which waits for servers on this machine")]
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use deputy_test_servers::{HBase, Hive, Kafka, Kdc, Proof, Site, Tls, boto};

fn kdc() -> &'static Kdc {
    static KDC: OnceLock<Kdc> = OnceLock::new();
    KDC.get_or_init(|| Kdc::start().unwrap())
}

#[test]
fn hbase_token_works_until_expiry_and_after_a_restart() {
    let mut hbase = HBase::start(kdc(), &Site::new().set("hbase.auth.token.max.lifetime", 120_000)).unwrap();
    let alice = kdc().ticket("alice").unwrap();
    let client = hbase.client().clone();
    let run = |arguments: &[&str], proof: Proof<'_>| client.run("HBaseTable", arguments, proof);
    run(&["create", "table"], Proof::Ticket(&alice)).unwrap();
    let file = client.conf().join("tokens");
    run(&["token", &file.display().to_string()], Proof::Ticket(&alice)).unwrap();
    let fetched = std::time::Instant::now();
    assert_eq!(hbase.cluster_id().unwrap().len(), 36);
    let tokens = Proof::TokenFile(&file);
    run(&["put", "table", "row", "value"], tokens).unwrap();
    assert!(run(&["get", "table", "row"], Proof::Nothing).is_err());
    hbase.server().stop().unwrap();
    hbase.server().restart().unwrap();
    assert_eq!(run(&["get", "table", "row"], tokens).unwrap(), "value\n");
    sleep(Duration::from_secs(121).saturating_sub(fetched.elapsed()));
    let refused = run(&["get", "table", "row"], tokens).unwrap_err().to_string();
    assert!(refused.contains("Token has expired"), "{refused}");
}

#[test]
fn hive_token_works_until_expiry_and_after_a_restart() {
    let mut hive = Hive::start(kdc(), &Site::new().hive_token_lives(80, 120)).unwrap();
    let alice = kdc().ticket("alice").unwrap();
    let client = hive.client().clone();
    let run = |arguments: &[&str], proof: Proof<'_>| client.run("Metastore", arguments, proof);
    assert_eq!(run(&["databases"], Proof::Ticket(&alice)).unwrap(), "default\n");
    let file = client.conf().join("tokens");
    let token = ["token", "alice", "alice", Hive::SIGNATURE, &file.display().to_string()];
    run(&token, Proof::Ticket(&alice)).unwrap();
    let fetched = std::time::Instant::now();
    assert_eq!(run(&["databases"], Proof::TokenFile(&file)).unwrap(), "default\n");
    let refused = run(&["databases"], Proof::Nothing).unwrap_err().to_string();
    assert!(refused.contains("GSS initiate failed"), "{refused}");
    hive.server().kill();
    hive.server().restart().unwrap();
    assert_eq!(run(&["databases"], Proof::TokenFile(&file)).unwrap(), "default\n");
    sleep(Duration::from_secs(82).saturating_sub(fetched.elapsed()));
    assert!(run(&["databases"], Proof::TokenFile(&file)).is_err());
}

/// The properties of a client that logs in by SCRAM: a user's name and password, and more of the login's options.
fn scram(kafka: &Kafka, bits: u16, tls: Option<&Tls>, [user, password, more]: [&str; 3]) -> PathBuf {
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule required";
    let login = format!("{module} username=\"{user}\" password=\"{password}\"{more};");
    let protocol = if tls.is_some() { "SASL_SSL" } else { "SASL_PLAINTEXT" };
    let mut site = Site::new()
        .set("security.protocol", protocol)
        .set("sasl.mechanism", format!("SCRAM-SHA-{bits}"))
        .set("sasl.jaas.config", login)
        .set("request.timeout.ms", 5000)
        .set("max.block.ms", 5000);
    if let Some(tls) = tls {
        let roots = tls.roots().display().to_string();
        site = site.set("ssl.truststore.type", "PEM").set("ssl.truststore.location", roots);
    }
    kafka.properties(&format!("scram-{bits}-{protocol}-{user}-{}", password.len()), &site).unwrap()
}

#[test]
fn kafka_serves_scram_with_and_without_tls() {
    let tls = Tls::new().unwrap();
    let clients = std::fs::read_to_string(tls.roots()).unwrap();
    let mut kafka = Kafka::start(kdc(), Some((&tls, &clients)), &Site::new().kafka_token_lives(20, 60)).unwrap();
    let ports = kafka.ports();
    let user = [Kafka::USER, Kafka::PASSWORD, ""];
    let (plain, secure) = (scram(&kafka, 256, None, user), scram(&kafka, 512, Some(&tls), user));
    let sent = kafka.produce(ports.sasl, &plain, "topic").unwrap();
    assert!(sent.contains("\"acked\":1"), "{sent}");
    kafka.server().kill();
    kafka.server().restart().unwrap();
    assert_eq!(kafka.consume(ports.sasl_tls, &secure, "topic").unwrap(), "0\n");
    let wrong = scram(&kafka, 256, None, [Kafka::USER, "wrong", ""]);
    let refused = kafka.produce(ports.sasl, &wrong, "topic").unwrap();
    assert!(refused.contains("SaslAuthenticationException") && refused.contains("\"acked\":0"), "{refused}");
}

/// Writes a message with librdkafka, over SCRAM-SHA-512, and prints why it could not.
const LIBRDKAFKA: &str = "
import os
from confluent_kafka import Producer
errors = []
producer = Producer({'bootstrap.servers': os.environ['SERVERS'], 'security.protocol': 'SASL_PLAINTEXT',
                     'sasl.mechanisms': 'SCRAM-SHA-512', 'sasl.username': os.environ['NAME'],
                     'sasl.password': os.environ['PASSWORD'], 'error_cb': lambda error: errors.append(error.name())})
producer.produce('librdkafka', b'message')
print(producer.flush(8), *set(errors) - {'_ALL_BROKERS_DOWN'})
";

#[test]
fn kafka_token_works_in_java_and_not_in_librdkafka() {
    let kafka = Kafka::start(kdc(), None, &Site::new()).unwrap();
    let (port, address) = (kafka.ports().sasl, format!("localhost:{}", kafka.ports().sasl));
    let user = scram(&kafka, 256, None, [Kafka::USER, Kafka::PASSWORD, ""]).display().to_string();
    let login = ["--bootstrap-server", &address, "--command-config", &user];
    let create = [&login[..], &["--create", "--max-life-time-period", "-1"]].concat();
    let printed = kafka.run("org.apache.kafka.tools.DelegationTokenCommand", &create).unwrap();
    let row = printed.lines().find(|line| line.contains("User:carol")).unwrap();
    let mut columns = row.split_ascii_whitespace();
    let (id, hmac) = (columns.next().unwrap(), columns.next().unwrap());
    let token = scram(&kafka, 512, None, [id, hmac, " tokenauth=\"true\""]);
    let sent = kafka.produce(port, &token, "token").unwrap();
    assert!(sent.contains("\"acked\":1"), "{sent}");
    assert_eq!(kafka.consume(port, &token, "token").unwrap(), "0\n");
    // It logs a user in by SCRAM, and cannot say that a name is a token's.
    let librdkafka =
        |name, password| boto(LIBRDKAFKA, &[("SERVERS", &address), ("NAME", name), ("PASSWORD", password)]).unwrap();
    assert_eq!(librdkafka(Kafka::USER, Kafka::PASSWORD), "0\n");
    assert_eq!(librdkafka(id, hmac), "1 _AUTHENTICATION\n");
}

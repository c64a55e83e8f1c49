//! HBase, Hive's metastore and Kafka start, refuse a client that proves nothing, and serve one with a ticket or a token.
#![expect(clippy::disallowed_methods, reason = "plain blocking test code, which waits for servers on this machine")]
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use deputy_test_servers::{HBase, Hive, Kafka, Kdc, Proof, Site, Tls};

fn kdc() -> &'static Kdc {
    static KDC: OnceLock<Kdc> = OnceLock::new();
    KDC.get_or_init(|| Kdc::start().unwrap())
}

#[test]
fn hbase_token_works_until_expiry_and_after_a_restart() {
    let mut hbase = HBase::start(kdc(), &Site::new().set("hbase.auth.token.max.lifetime", 45_000)).unwrap();
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
    sleep(Duration::from_secs(46).saturating_sub(fetched.elapsed()));
    let refused = run(&["get", "table", "row"], tokens).unwrap_err().to_string();
    assert!(refused.contains("Token has expired"), "{refused}");
}

#[test]
fn hive_token_works_until_expiry_and_after_a_restart() {
    let mut hive = Hive::start(kdc(), &Site::new().hive_token_lives(20, 60)).unwrap();
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
    sleep(Duration::from_secs(22).saturating_sub(fetched.elapsed()));
    assert!(run(&["databases"], Proof::TokenFile(&file)).is_err());
}

/// The properties of a client that logs in by SCRAM.
fn scram(kafka: &Kafka, bits: u16, tls: Option<&Tls>, password: &str) -> PathBuf {
    let login = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{}\" password=\"{password}\";",
        Kafka::USER
    );
    let protocol = if tls.is_some() { "SASL_SSL" } else { "SASL_PLAINTEXT" };
    let mut site = Site::new()
        .set("security.protocol", protocol)
        .set("sasl.mechanism", format!("SCRAM-SHA-{bits}"))
        .set("sasl.jaas.config", login)
        .set("request.timeout.ms", 5000)
        .set("retries", 0)
        .set("max.block.ms", 5000);
    if let Some(tls) = tls {
        let roots = tls.roots().display().to_string();
        site = site.set("ssl.truststore.type", "PEM").set("ssl.truststore.location", roots);
    }
    kafka.properties(&format!("scram-{bits}-{protocol}-{}", password.len()), &site).unwrap()
}

#[test]
fn kafka_serves_scram_with_and_without_tls() {
    let tls = Tls::new().unwrap();
    let clients = std::fs::read_to_string(tls.roots()).unwrap();
    let mut kafka = Kafka::start(kdc(), Some((&tls, &clients)), &Site::new().kafka_token_lives(20, 60)).unwrap();
    let ports = kafka.ports();
    let plain = scram(&kafka, 256, None, Kafka::PASSWORD);
    let secure = scram(&kafka, 512, Some(&tls), Kafka::PASSWORD);
    let sent = kafka.produce(ports.sasl, &plain, "topic").unwrap();
    assert!(sent.contains("\"acked\":1"), "{sent}");
    kafka.server().kill();
    kafka.server().restart().unwrap();
    assert_eq!(kafka.consume(ports.sasl_tls, &secure, "topic").unwrap(), "0\n");
    let refused = kafka.consume(ports.sasl, &scram(&kafka, 256, None, "wrong"), "topic").unwrap_err().to_string();
    assert!(refused.contains("SaslAuthenticationException"), "{refused}");
}

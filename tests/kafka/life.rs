//! The life of tokens: used by both SCRAM mechanisms, through renewals, past the maximum lifetime, after a restart of the broker.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::InstanceStatus;
use deputy_test_harness::{KafkaSite, PRINCIPAL, exit, fact};
use deputy_test_servers::{Kafka, Kdc, Site, Tls};

/// The seconds that a token works without a renewal.
const RENEWAL: u32 = 8;
/// The seconds that it works at all.
const LONGEST: u32 = 60;

#[test]
fn kafka_clients_work_by_the_files_of_the_worker() {
    let kdc = Kdc::start().unwrap();
    let tls = Tls::new().unwrap();
    let roots = fs::read_to_string(tls.roots()).unwrap();
    let settings = Site::new().kafka_token_lives(RENEWAL, LONGEST);
    let mut kafka = Kafka::start(&kdc, Some((&tls, &roots)), &settings).unwrap();
    let port = kafka.ports().sasl;
    let server = format!("localhost:{port}");
    let scram = "authentication = \"SCRAM-SHA-256\"\ntoken-mechanism = \"SCRAM-SHA-512\"";
    let site = KafkaSite::new(&kdc)
        .scram("scram", &server, scram, "")
        .gssapi("gssapi", &server, "token-mechanism = \"SCRAM-SHA-256\"")
        .receiver(
            "protocol = \"SASL_PLAINTEXT\"\n\"property.request.timeout.ms\" = \"5000\"\n\"property.max.block.ms\" = \"5000\"",
        );
    let coordinator = site.coordinator();
    let _worker = site.worker();
    for name in ["scram", "gssapi"] {
        site.wait_for_tokens(&coordinator, &[(name, 1)]);
    }
    let held = coordinator.printed_instance("scram");
    assert_eq!([fact(&held, "owner"), fact(&held, "confirmed-by")], ["User:carol", "1 of 1 brokers"]);
    assert_eq!(fact(&coordinator.printed_instance("gssapi"), "owner"), format!("User:{PRINCIPAL}"));
    let first = kafka.properties("first", &Site::new()).unwrap();
    fs::copy(site.properties("scram"), &first).unwrap();
    let begun = Instant::now();

    // One producer runs through the renewals with what it read at its start, a message each second.
    let file = site.properties("scram").display().to_string();
    let arguments = ["--bootstrap-server", &server, "--command-config", &file, "--topic", "topic"];
    let arguments = [&arguments[..], &["--max-messages", "30", "--throughput", "1"]].concat();
    thread::scope(|scope| {
        let producer = scope.spawn(|| kafka.run("org.apache.kafka.tools.VerifiableProducer", &arguments));
        let revision = coordinator.revision("scram");
        site.wait_for_tokens(&coordinator, &[("scram", revision + 5)]);
        // The other mechanism, and the other owner.
        assert_eq!(kafka.consume(port, &site.properties("gssapi"), "topic").unwrap(), "0\n");
        let sent = producer.join().unwrap().unwrap();
        assert!(sent.contains("\"acked\":30"), "{sent}");
    });
    let end = |instance: &InstanceStatus| instance.lease.as_ref().unwrap().renewable_until.clone().unwrap();
    assert_eq!(end(&coordinator.printed_instance("scram")), end(&held), "five renewals of one token");

    // Past the maximum lifetime there is another token, and the first one is refused.
    coordinator.wait_until("another token", || end(&coordinator.printed_instance("scram")) != end(&held));
    let revision = coordinator.revision("scram");
    site.wait_for_tokens(&coordinator, &[("scram", revision)]);
    thread::sleep(Duration::from_secs(u64::from(LONGEST) + 2).saturating_sub(begun.elapsed()));
    let refused = kafka.produce(port, &first, "topic").unwrap();
    assert!(refused.contains("SaslAuthenticationException") && refused.contains("\"acked\":0"), "{refused}");

    kafka.server().kill();
    kafka.server().restart().unwrap();
    let revision = coordinator.revision("scram");
    site.wait_for_tokens(&coordinator, &[("scram", revision + 1)]);
    let sent = kafka.produce(port, &site.properties("scram"), "topic").unwrap();
    assert!(sent.contains("\"acked\":1"), "{sent}");

    // What is replaced or removed ends at the broker, too.
    let last = kafka.properties("last", &Site::new()).unwrap();
    fs::copy(site.properties("scram"), &last).unwrap();
    site.home.deputy(&["revoke", "scram"]).ends_with(exit::OK);
    let refused = kafka.produce(port, &last, "topic").unwrap();
    assert!(refused.contains("SaslAuthenticationException") && refused.contains("\"acked\":0"), "{refused}");

    // The password was used, and each use recorded before the proof left.
    let audit = site.home.whole_audit("audit.jsonl");
    let proofs = audit.iter().filter(|event| event["operation"] == "scram-proof" && event["outcome"] == "done");
    assert!(proofs.clone().count() >= 6, "{audit:#?}");
    assert!(proofs.clone().all(|event| event["scope"] == "SCRAM-SHA-256 as carol"), "{audit:#?}");
}

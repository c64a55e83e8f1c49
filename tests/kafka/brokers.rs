//! Several brokers, and tokens for another user.

use deputy_test_harness::{KafkaSite, exit, fact};
use deputy_test_servers::{Kafka, Kdc, Site};

/// The seconds that a token works without a renewal, and at all.
const RENEWAL: u32 = 15;
const LONGEST: u32 = 600;

#[test]
fn kafka_token_is_for_its_owner_at_each_broker() {
    let kdc = Kdc::start().unwrap();
    let settings = Site::new()
        .kafka_token_lives(RENEWAL, LONGEST)
        .set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .set("super.users", "User:ANONYMOUS")
        .set("allow.everyone.if.no.acl.found", "true");
    let mut kafka = Kafka::start_two(&kdc, &settings).unwrap();
    let (first, plain) = (kafka.ports().sasl, kafka.ports().plain);
    let second = kafka.second().unwrap().1.sasl;
    // Other users may then create none for this one.
    let permission = ["--allow-principal", "User:carol", "--operation", "CreateTokens", "--user-principal", "User:bob"];
    let address = ["--bootstrap-server", &format!("localhost:{plain}"), "--add"];
    kafka.run("org.apache.kafka.tools.AclCommand", &[&address[..], &permission].concat()).unwrap();

    let servers = format!("localhost:{second},localhost:{first}");
    let owner = "owner = \"User:bob\"\ntoken-mechanism = \"SCRAM-SHA-256\"";
    let site = KafkaSite::new(&kdc)
        .scram("kafka", &servers, "authentication = \"SCRAM-SHA-512\"", "")
        .scram("owned", &servers, &format!("authentication = \"SCRAM-SHA-256\"\n{owner}"), "")
        .receiver("protocol = \"SASL_PLAINTEXT\"")
        .gssapi("refused", &servers, owner);
    let said = site.home.deputy(&["obtain", "refused"]).ends_with(exit::DENIED).stderr;
    assert!(said.contains("this user may not create tokens for that owner"), "{said}");

    let coordinator = site.coordinator();
    let _worker = site.worker();
    // Renewed by the user that created it.
    site.wait_for_tokens(&coordinator, &[("kafka", 1), ("owned", 2)]);
    for (name, owner) in [("kafka", "User:carol"), ("owned", "User:bob")] {
        let held = coordinator.printed_instance(name);
        assert_eq!([fact(&held, "owner"), fact(&held, "confirmed-by")], [owner, "2 of 2 brokers"]);
    }
    let sent = kafka.produce(second, &site.properties("owned"), "topic").unwrap();
    assert!(sent.contains("\"acked\":1"), "{sent}");
    assert_eq!(kafka.consume(first, &site.properties("kafka"), "topic").unwrap(), "0\n");

    // The first one in the list is down: the other one makes the next token, and confirms it alone.
    kafka.second().unwrap().0.kill();
    let revision = coordinator.revision("kafka");
    site.home.deputy(&["renew", "kafka"]).ends_with(exit::OK);
    site.wait_for_tokens(&coordinator, &[("kafka", revision + 1)]);
    let held = coordinator.printed_instance("kafka");
    assert_eq!(fact(&held, "confirmed-by"), "1 of 2 brokers");
    assert!(fact(&held, "not-confirmed-by").contains(&format!("localhost:{second}")), "{held:?}");
}

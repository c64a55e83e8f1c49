//! TLS: the host speaks it below the component's connection, with a certificate of its own where the broker wants one.

use std::fs;

use deputy_test_harness::{KafkaSite, PRINCIPAL, fact};
use deputy_test_servers::{Kafka, Kdc, Site, Tls};

#[test]
fn kafka_tokens_come_over_tls_and_mutual_tls() {
    let kdc = Kdc::start().unwrap();
    let tls = Tls::new().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "deputy");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    let kafka = Kafka::start(&kdc, Some((&tls, &certificate)), &Site::new()).unwrap();
    let (sasl, mutual) = (kafka.ports().sasl_tls, kafka.ports().mutual_tls);
    let (sasl_server, mutual_server) = (format!("localhost:{sasl}"), format!("localhost:{mutual}"));
    let roots = tls.roots();
    fs::write(kafka.folder().join("deputy.pem"), certificate).unwrap();
    let chain = kafka.folder().join("deputy.pem");

    let rule = format!("tls = {{ roots = {roots:?} }}\n");
    let token_rule = format!("[[instances.mutual.tcp]]\nallow = \"{sasl_server}\"\nnetworks = [\"loopback\"]\n{rule}");
    let grant = format!("[instances.mutual.secrets.key]\nfile = \"secrets/tls-key\"\n{token_rule}");
    let with_certificate = format!(
        "tls = {{ roots = {roots:?}, client-certificate = {{ chain = {chain:?}, key = {{ secret = \"key\" }} }} }}\n"
    );
    let settings = format!("authentication = \"certificate\"\ntoken-servers = \"{sasl_server}\"");
    let kerberos =
        format!("[instances.gssapi.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"kafka/localhost@TEST.LOCAL\"]\n");
    let site = KafkaSite::new(&kdc)
        .scram("tls", &sasl_server, "authentication = \"SCRAM-SHA-512\"\ntoken-mechanism = \"SCRAM-SHA-256\"", &rule)
        .scram("tls-256", &sasl_server, "authentication = \"SCRAM-SHA-256\"", &rule)
        .kafka("gssapi", &sasl_server, "authentication = \"GSSAPI\"", &kerberos, &rule)
        .kafka("mutual", &mutual_server, &settings, &grant, &with_certificate)
        .receiver(&format!(
            "\"property.ssl.truststore.type\" = \"PEM\"\n\"property.ssl.truststore.location\" = {roots:?}"
        ));
    site.home.put_secret("tls-key", &key.serialize_pem());
    let coordinator = site.coordinator();
    let _worker = site.worker();
    for (name, owner) in [
        ("tls", "User:carol"),
        ("tls-256", "User:carol"),
        ("gssapi", &format!("User:{PRINCIPAL}")),
        ("mutual", "User:CN=deputy"),
    ] {
        site.wait_for_tokens(&coordinator, &[(name, 1)]);
        let held = coordinator.printed_instance(name);
        assert_eq!([fact(&held, "owner"), fact(&held, "confirmed-by")], [owner, "1 of 1 brokers"]);
    }
    let sent = kafka.produce(sasl, &site.properties("tls"), "topic").unwrap();
    assert!(sent.contains("\"acked\":1"), "{sent}");
    assert_eq!(kafka.consume(sasl, &site.properties("mutual"), "topic").unwrap(), "0\n");
}

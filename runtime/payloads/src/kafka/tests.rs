use super::*;

include!("../../vectors/kafka.in");

#[test]
fn kafka_payload_vectors_have_the_stated_outcome() {
    for (accepted, payload) in VECTORS {
        assert_eq!(KafkaToken::parse(payload.as_bytes()).is_ok(), accepted, "{payload}");
    }
    assert!(VECTORS.iter().filter(|(accepted, _)| *accepted).count() >= 3);
    assert!(VECTORS.iter().filter(|(accepted, _)| !*accepted).count() >= 20);
}

#[test]
fn kafka_payload_survives_the_round_trip() {
    let written = KafkaToken::new("b1:9093,[::1]:9093", "SCRAM-SHA-512", "gkgG4rUBS3yG2uFeLE4Wng", "aG1hYw==").unwrap();
    let json = written.to_json();
    let read = KafkaToken::parse(json.as_bytes()).unwrap();
    assert_eq!((read.servers(), read.mechanism()), ("b1:9093,[::1]:9093", "SCRAM-SHA-512"));
    assert_eq!((read.token_id(), read.hmac()), ("gkgG4rUBS3yG2uFeLE4Wng", "aG1hYw=="));
    assert_eq!(format!("{read:?}"), "[token]");
}

#[test]
fn kafka_payload_error_names_the_member_without_its_value() {
    let of = |servers, mechanism, id, hmac| KafkaToken::new(servers, mechanism, id, hmac).unwrap_err();
    assert_eq!(of("b 1:9093", "SCRAM-SHA-256", "id", "aG1hYw=="), KafkaTokenError::Value("servers"));
    assert_eq!(of("b1:9093", "PLAIN", "id", "aG1hYw=="), KafkaTokenError::Value("mechanism"));
    assert_eq!(of("b1:9093", "SCRAM-SHA-256", "id\" x=\"", "aG1hYw=="), KafkaTokenError::Value("token-id"));
    let error = of("b1:9093", "SCRAM-SHA-256", "id", "hunter2\";");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert_eq!(error, KafkaTokenError::Value("hmac"));
}

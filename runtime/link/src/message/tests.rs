use std::collections::BTreeMap;

use deputy_support::{hex, sha256};
use prost::Message;

use super::*;

fn known_lease() -> KnownLease {
    KnownLease { instance: "s3".to_owned(), revision: 300, obtained_ms: 5 }
}

fn receiver_limits() -> ReceiverLimits {
    ReceiverLimits {
        argument_bytes: Some(1),
        between_bytes_ms: Some(2),
        connect_ms: Some(3),
        cpu_ms: Some(4),
        exchange_ms: Some(5),
        first_byte_ms: Some(6),
        handles: Some(7),
        headers_bytes: Some(8),
        instances: Some(9),
        log_bytes: Some(10),
        log_lines: Some(11),
        memory_bytes: Some(12),
        output_bytes: Some(13),
        output_files: Some(14),
        payload_bytes: Some(15),
        received_bytes: Some(16),
        requests: Some(17),
        response_bytes: Some(18),
        secret_operations: Some(19),
        sent_bytes: Some(20),
        table_elements: Some(21),
        tls_ms: Some(22),
        url_bytes: Some(23),
        wall_ms: Some(0),
        state_bytes: Some(25),
        state_operations: Some(26),
        kerberos_bytes: Some(27),
        kerberos_contexts: Some(28),
    }
}

fn client_messages() -> Vec<ClientMessageKind> {
    vec![
        ClientMessageKind::Join(Join { token: vec![1; 8], secret: vec![2, 3], request: vec![4] }),
        ClientMessageKind::RenewCertificate(RenewCertificate { sequence: 7, request: vec![8, 9] }),
        ClientMessageKind::Subscribe(Subscribe {
            instances: vec!["s3".to_owned(), "kafka".to_owned()],
            known: vec![known_lease(), KnownLease::default()],
            version: "1.0".to_owned(),
            host: "h".to_owned(),
        }),
        ClientMessageKind::ApplyReport(ApplyReport { lease: Some(known_lease()), failure: "full".to_owned() }),
        ClientMessageKind::FetchComponent(FetchComponent { digest: vec![5; 3] }),
        ClientMessageKind::Ping(Ping {}),
    ]
}

fn server_messages() -> Vec<ServerMessageKind> {
    vec![
        ServerMessageKind::Certified(Certified {
            certificate: vec![1, 2],
            worker: "0707".to_owned(),
            group: "g".to_owned(),
            sequence: 3,
            authorities: vec![vec![4], vec![5, 6]],
        }),
        ServerMessageKind::Refusal(Refusal {
            code: "clock".to_owned(),
            message: "why".to_owned(),
            subject: "s3".to_owned(),
        }),
        ServerMessageKind::Welcome(Welcome { heartbeat_ms: 30_000, spread_ms: 250, version: "2".to_owned() }),
        ServerMessageKind::LeaseUpdate(LeaseUpdate {
            instance: "s3".to_owned(),
            service: "aws".to_owned(),
            revision: 1,
            obtained_ms: 2,
            valid_until_ms: 3,
            payload: vec![4, 5],
            kind: "pem/1".to_owned(),
            subject: String::new(),
            next_at_ms: None,
            renewable_until_ms: None,
            traceparent: None,
        }),
        ServerMessageKind::LeaseWithdrawn(LeaseWithdrawn { instance: "s3".to_owned() }),
        ServerMessageKind::ReceiverBound(ReceiverBound {
            receiver: "files".to_owned(),
            component: vec![9; 2],
            settings: BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]),
            instances: vec!["s3".to_owned()],
            limits: Some(Box::new(receiver_limits())),
        }),
        ServerMessageKind::SnapshotEnd(SnapshotEnd {
            instances: vec!["s3".to_owned()],
            receivers: vec!["files".to_owned()],
        }),
        ServerMessageKind::Authorities(Authorities { certificates: vec![vec![1], vec![]] }),
        ServerMessageKind::ComponentChunk(ComponentChunk { digest: vec![1], size: 1 << 40, bytes: vec![0, 255] }),
        ServerMessageKind::Pong(Ping {}),
        ServerMessageKind::Shutdown(Shutdown { spread_ms: 1000 }),
        ServerMessageKind::GroupInstances(GroupInstances {
            instances: vec!["s3".to_owned()],
            places: vec![InstancePlace {
                instance: "s3".to_owned(),
                region: "r".to_owned(),
                endpoint: "http://s".to_owned(),
            }],
        }),
    ]
}

/// In the order of [`client_messages`].
const CLIENT_ENCODINGS: [&str; 6] = [
    "0a110a080101010101010101120202031a0104",
    "1206080712020809",
    "1a200a0273330a056b61666b6112090a02733310ac02180512001a03312e30220168",
    "22110a090a02733310ac021805120466756c6c",
    "2a050a03050505",
    "3200",
];
/// In the order of [`server_messages`].
const SERVER_ENCODINGS: [&str; 12] = [
    "0a160a0201021204303730371a016720032a01042a020506",
    "12100a05636c6f636b12037768791a027333",
    "1a0a08b0ea0110fa011a0132",
    "221a0a0273331203617773180120022803320204053a0570656d2f31",
    "2a040a027333",
    "32630a0566696c6573120209091a060a01611201311a030a0162220273332a45080110021803200428053006380740084809500a580b600c680d700e780f800110880111900112980113a00114a80115b00116b80117c00100c80119d0011ad8011be0011c",
    "3a0b0a027333120566696c6573",
    "42050a01010a00",
    "4a0e0a0101108080808080201a0200ff",
    "5200",
    "5a0308e807",
    "62170a02733312110a0273331201721a08687474703a2f2f73",
];

/// Workers and coordinators of all versions read these bytes.
#[test]
fn message_encoding_of_clients_is_stable() {
    for (kind, expected) in client_messages().into_iter().zip(CLIENT_ENCODINGS) {
        let message = ClientMessage::from(kind);
        let encoded = message.encode_to_vec();
        assert_eq!(hex(&encoded), expected, "{message:?}");
        assert_eq!(ClientMessage::decode(encoded.as_slice()).unwrap(), message);
    }
}

#[test]
fn message_encoding_of_servers_is_stable() {
    for (kind, expected) in server_messages().into_iter().zip(SERVER_ENCODINGS) {
        let message = ServerMessage::from(kind);
        let encoded = message.encode_to_vec();
        assert_eq!(hex(&encoded), expected, "{message:?}");
        assert_eq!(ServerMessage::decode(encoded.as_slice()).unwrap(), message);
    }
}

/// `LeaseUpdate` as versions knew it that had no times but the expiry.
#[derive(Clone, PartialEq, Message)]
struct EarlierLeaseUpdate {
    #[prost(string, tag = "1")]
    instance: String,
    #[prost(uint64, tag = "3")]
    revision: u64,
    #[prost(uint64, tag = "5")]
    valid_until_ms: u64,
    #[prost(bytes = "vec", tag = "6")]
    payload: Vec<u8>,
    #[prost(string, tag = "7")]
    kind: String,
}

#[test]
fn message_lease_times_are_additive() {
    let update = LeaseUpdate {
        instance: "s3".to_owned(),
        revision: 1,
        valid_until_ms: 3,
        payload: vec![4],
        kind: "pem/1".to_owned(),
        next_at_ms: Some(2),
        renewable_until_ms: Some(0),
        ..LeaseUpdate::default()
    };
    assert_eq!(hex(&update.encode_to_vec()), "0a027333180128033201043a0570656d2f3148025000");
    assert_eq!(LeaseUpdate::decode(update.encode_to_vec().as_slice()).unwrap(), update, "0 is a time");
    let earlier = EarlierLeaseUpdate::decode(update.encode_to_vec().as_slice()).unwrap();
    assert_eq!((earlier.revision, earlier.valid_until_ms, earlier.kind.as_str()), (1, 3, "pem/1"));
    let from_earlier = LeaseUpdate::decode(earlier.encode_to_vec().as_slice()).unwrap();
    assert_eq!(from_earlier, LeaseUpdate { next_at_ms: None, renewable_until_ms: None, ..update });
}

#[test]
fn message_types_are_generated_from_the_present_proto() {
    let digest = sha256(include_bytes!("../../link.proto")).to_string();
    let generated = include_str!("generated.rs");
    assert!(generated.contains(&digest), "link.proto has changed: run `cargo xtask proto`");
}

#[test]
fn message_debug_shows_no_bytes_and_no_settings() {
    let secret = b"canary".to_vec();
    let text = "canary".to_owned();
    let messages = [
        format!("{:?}", Join { token: secret.clone(), secret: secret.clone(), request: secret.clone() }),
        format!("{:?}", RenewCertificate { sequence: 1, request: secret.clone() }),
        format!("{:?}", FetchComponent { digest: secret.clone() }),
        format!("{:?}", Certified { certificate: secret.clone(), ..Certified::default() }),
        format!("{:?}", LeaseUpdate { payload: secret.clone(), ..LeaseUpdate::default() }),
        format!("{:?}", Authorities { certificates: vec![secret.clone()] }),
        format!("{:?}", ComponentChunk { digest: secret.clone(), size: 1, bytes: secret.clone() }),
        format!(
            "{:?}",
            ReceiverBound {
                settings: BTreeMap::from([(text.clone(), text)]),
                component: secret,
                ..ReceiverBound::default()
            }
        ),
    ];
    for shown in messages {
        assert!(!shown.contains("canary") && !shown.contains("99, 97"), "{shown}");
    }
}

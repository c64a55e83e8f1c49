//! A coordinator that was replaced and does not know it yet.

use super::*;
use crate::message::LeaseUpdate;

fn update(instance: &str, revision: u64) -> ServerMessageKind {
    ServerMessageKind::LeaseUpdate(LeaseUpdate {
        instance: instance.to_owned(),
        service: "s3".to_owned(),
        kind: "test/1".to_owned(),
        revision,
        obtained_ms: 1000 * revision,
        valid_until_ms: u64::MAX,
        payload: vec![b'x'],
        ..LeaseUpdate::default()
    })
}

fn revision(held: &DeliveredState, instance: &str) -> Option<u64> {
    held.deliveries.get(&instance.parse().unwrap()).map(|it| it.stamp.revision.0)
}

#[tokio::test]
async fn lease_of_a_replaced_coordinator_is_ignored() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut client, mut link) = client(identity(&authority, now(), addresses(&[address])), Arc::new(NoIdentityStore));
    let mut last = 0;
    // The second connection begins with a snapshot that has no lease: what the worker had is withdrawn, and not forgotten.
    for offers in [[(8, Some(8)), (7, Some(8))], [(7, None), (9, Some(9))]] {
        let serving = async {
            let mut stream = accept(&listener, &tls).await;
            for (offered, expected) in offers {
                last += 1;
                for message in [update("s3", offered), update("last", last)] {
                    stream.write_all(&encode(&ServerMessage::from(message))).await.unwrap();
                }
                stream.flush().await.unwrap();
                let held = link.held.wait_for(|held| revision(held, "last") == Some(last)).await.unwrap();
                assert_eq!(revision(&held, "s3"), expected, "{offered} was offered");
            }
        };
        tokio::join!(client.connection(), serving);
    }
}

//! Enrolling.

use std::cell::Cell;

use super::*;
use crate::message::Refusal;
use crate::{ErrorCode, JoinString, TokenId, TokenSecret, WorkerKey};

fn join_string(authority: &Authority, listener: &TcpListener) -> JoinString {
    JoinString {
        token: TokenId::from_bytes([1; 8]),
        secret: TokenSecret::new(&mut [1; 32]),
        authority: authority.fingerprint(),
        addresses: addresses(&[listener.local_addr().unwrap()]),
    }
}

#[tokio::test]
async fn join_until_retries_transient_failures_only() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let string = join_string(&authority, &listener);
    let retries = Cell::new(0);
    let key = WorkerKey::new().unwrap();
    let joining = join_until(&string, &key, None, 1, |failure| {
        assert!(matches!(failure, JoinFailure::Unreachable(..)), "{failure}");
        retries.set(retries.get() + 1);
    });
    let serving = async {
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
        let refusal = Refusal { code: "bad-join".to_owned(), ..Refusal::default() };
        answer(&mut stream, ServerMessageKind::Refusal(refusal)).await;
        stream
    };
    let (result, _stream) = in_time(async { tokio::join!(joining, serving) }).await;
    assert!(matches!(result, Err(JoinFailure::Refused(refusal)) if refusal.code == ErrorCode::BadJoin));
    assert_eq!(retries.get(), 2);
}

#[tokio::test]
async fn join_until_gives_up_at_its_limit() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let string = join_string(&authority, &listener);
    let key = WorkerKey::new().unwrap();
    let limit = Duration::from_millis(50);
    let result = in_time(join_until(&string, &key, Some(limit), 1, |_| {})).await;
    assert!(matches!(result, Err(JoinFailure::Unreachable(..))));
}

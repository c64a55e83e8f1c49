//! Peers that leave while what they asked for is being decided.

use std::future::pending;

use deputy_core::{GroupName, Span};
use tokio::time::timeout;

use super::*;
use crate::client::join;
use crate::{JoinString, WorkerKey};

/// Answers nothing.
struct HangingHandler {
    /// Whether it admits workers.
    admits: bool,
    asked: watch::Sender<usize>,
    waiting: Arc<()>,
}

impl HangingHandler {
    async fn hang<T>(&self) -> T {
        let _waiting = Arc::clone(&self.waiting);
        self.asked.send_modify(|asked| *asked += 1);
        pending().await
    }
}

#[async_trait]
impl LinkHandler for HangingHandler {
    async fn join(&self, _: SocketAddr, _: TokenId, _: TokenSecret, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        self.hang().await
    }

    async fn renew(&self, _: SocketAddr, _: PeerCertificate, _: u64, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        self.hang().await
    }

    async fn admit(&self, _: SocketAddr, _: PeerCertificate) -> Result<GroupName, ProtocolError> {
        match self.admits {
            true => Ok("analytics".parse().unwrap()),
            false => self.hang().await,
        }
    }

    async fn subscribed(
        &self,
        _: SocketAddr,
        _: WorkerId,
        _: &GroupName,
        _: Option<Vec<InstanceName>>,
    ) -> Vec<ProtocolError> {
        Vec::new()
    }

    fn component(&self, _: SocketAddr, _: WorkerId, _: &GroupName, _: Digest) -> Result<Bytes, ProtocolError> {
        Err(removed())
    }

    fn suspicious(&self, _: SocketAddr, what: &str) {
        panic!("{what}");
    }
}

fn start_hanging(admits: bool) -> TestServer<HangingHandler> {
    start_with(ServerLimits::default(), |_| HangingHandler {
        admits,
        asked: watch::Sender::new(0),
        waiting: Arc::default(),
    })
}

impl TestServer<HangingHandler> {
    /// The peer asks, and leaves before there is an answer.
    async fn leave(&self, peer: impl Future) {
        let mut asked = self.handler.asked.subscribe();
        let asking = async { asked.wait_for(|asked| *asked == 1).await.map(drop).unwrap() };
        tokio::select! {
            _ = peer => panic!("it was answered"),
            asked = timeout(Duration::from_secs(30), asking) => asked.unwrap(),
        }
        assert_eq!(Arc::strong_count(&self.handler.waiting), 2);
        let dropped = async {
            while Arc::strong_count(&self.handler.waiting) > 1 {
                pause(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), dropped).await.expect("it is given up");
    }
}

#[tokio::test]
async fn request_of_a_peer_that_has_left_is_given_up() {
    let server = start_hanging(false);
    let string = JoinString {
        addresses: addresses(&[server.address]),
        token: TokenId::from_bytes([1; 8]),
        secret: TokenSecret::new(&mut [2; 32]),
        authority: server.authority.fingerprint(),
    };
    server.leave(join(&string, WorkerKey::new().unwrap())).await;
    for (admits, age) in [(false, Span::secs(0)), (true, Span::secs(80_000))] {
        let server = start_hanging(admits);
        let identity = identity(&server.authority, now().minus(age), addresses(&[server.address]));
        let (client, _link) = client(identity, Arc::new(NoIdentityStore));
        server.leave(client.run()).await;
    }
}

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::client::{ClientStopped, LinkPhase};
use crate::testing::{LIVES, Nowhere, client, clock, identity, now};
use crate::{Authority, ErrorCode};
use deputy_support::timer_now;

/// Lets everybody in. Whoever comes first is removed by an operator at the moment that this is said.
struct Hesitant {
    roster: Arc<Sessions>,
    asked: AtomicUsize,
    faults: Mutex<Vec<String>>,
}

fn removed() -> ProtocolError {
    ProtocolError::new(ErrorCode::Removed, "it was removed")
}

#[async_trait]
impl LinkHandler for Hesitant {
    async fn join(&self, _: SocketAddr, _: TokenId, _: TokenSecret, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        Err(removed())
    }

    async fn renew(&self, _: SocketAddr, _: PeerCertificate, _: u64, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        Err(removed())
    }

    async fn admit(&self, _: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err(removed());
        }
        // It has been let in, and is not there yet.
        self.roster.cut(peer.worker, removed());
        Ok("analytics".parse().unwrap())
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
        self.faults.lock().unwrap().push(what.to_owned());
    }
}

struct Site {
    authority: Authority,
    desk: Arc<Hesitant>,
    address: SocketAddr,
    _stop: watch::Sender<bool>,
}

#[expect(clippy::disallowed_methods, reason = "a test runs beside what it tests")]
fn serve(limits: ServerLimits) -> Site {
    let authority = Authority::found(now(), LIVES).unwrap();
    let tls = Arc::new(ServerTls::new(now(), &authority, clock()).unwrap());
    let roster = Arc::new(Sessions::new(clock(), None));
    let (asked, faults) = (AtomicUsize::new(0), Mutex::default());
    let desk = Arc::new(Hesitant { roster: Arc::clone(&roster), asked, faults });
    let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
    let server = LinkServer::bind(anywhere, Arc::clone(&desk) as _, Arc::default(), roster, tls, limits).unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(server.run(stopped));
    Site { authority, desk, address, _stop: stop }
}

impl Site {
    #[expect(clippy::disallowed_methods, reason = "a stranger connects as it likes")]
    async fn stranger(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

#[tokio::test]
async fn who_is_shut_out_between_being_let_in_and_being_there_does_not_stay() {
    let site = serve(ServerLimits::default());
    let (client, link) = client(identity(&site.authority, now(), site.address.to_string()), Arc::new(Nowhere));
    let out = client.run().await;
    assert!(matches!(out, ClientStopped::Refused(refusal) if refusal.code == ErrorCode::Removed));
    assert!(link.held.borrow().deliveries.is_empty() && link.state.borrow().phase == LinkPhase::Out);
    assert_eq!(site.desk.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn who_says_nothing_takes_up_what_is_for_strangers_and_nothing_else() {
    let limits = ServerLimits { visitors: 8, greeting: Span::secs(600), ..ServerLimits::default() };
    let site = serve(limits);
    let mut crowd = Vec::new();
    for _ in 0..4 {
        crowd.push(site.stranger().await);
    }
    // One more from there is let go at once.
    assert_eq!(site.stranger().await.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(site.desk.faults.lock().unwrap()[0].contains("too many connections"));
    drop(crowd);
}

#[tokio::test]
async fn the_wait_for_a_handshake_is_part_of_its_time() {
    let site = serve(ServerLimits { handshakes: 2, greeting: Span::secs(1), ..ServerLimits::default() });
    let (mut first, mut second) = (site.stranger().await, site.stranger().await);
    let begun = timer_now();
    // The first one has the only place of its origin, so the other never gets to shake hands.
    assert_eq!(second.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(first.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(timer_now() - begun < Duration::from_millis(1900), "both began at once");
}

#[test]
fn there_is_room_for_as_many_as_there_are_files_and_files_are_left() {
    let within = |files| {
        let ServerLimits { workers, visitors, .. } = ServerLimits::default().within(files);
        (workers, visitors)
    };
    assert_eq!(within(u64::MAX), (50_000, 32_000));
    for files in [1024, 4096, 65_536] {
        let (workers, visitors) = within(files);
        assert!(workers > visitors && (workers + visitors + 255) as u64 <= files, "{workers} {visitors}");
    }
    assert_eq!(within(1024), (512, 256));
    assert_eq!(within(100), (1, 1));
}

//! A network that is parted lets nothing through, closes nothing, and passes it on when it is healed.
#![expect(clippy::disallowed_methods, reason = "plain blocking test code, which connects on this machine only")]
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use deputy_test_servers::DroppingProxy;

const LOOK: Duration = Duration::from_millis(300);

fn hears(stream: &mut TcpStream, said: &[u8]) {
    let mut heard = vec![0; said.len()];
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, said);
}

fn hears_nothing(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(LOOK)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
}

#[test]
fn dropping_proxy_holds_everything_while_it_is_parted() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = DroppingProxy::start(listener.local_addr().unwrap()).unwrap();
    let mut caller = TcpStream::connect(proxy.address()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    caller.write_all(b"one").unwrap();
    hears(&mut server, b"one");

    proxy.part();
    caller.write_all(b"two").unwrap();
    server.write_all(b"back").unwrap();
    hears_nothing(&mut server);
    hears_nothing(&mut caller);
    // One that comes meanwhile gets no answer, and does not reach the server.
    let mut late = TcpStream::connect(proxy.address()).unwrap();
    late.write_all(b"late").unwrap();
    hears_nothing(&mut late);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
    listener.set_nonblocking(false).unwrap();

    proxy.heal();
    hears(&mut server, b"two");
    hears(&mut caller, b"back");
    let (mut reached, _) = listener.accept().unwrap();
    hears(&mut reached, b"late");
    drop(reached);
    late.set_read_timeout(None).unwrap();
    assert_eq!(late.read(&mut [0]).unwrap(), 0);
}

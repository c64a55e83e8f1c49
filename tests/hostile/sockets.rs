//! Raw sockets and name look-ups.

use deputy_audit::AuditAction;

use crate::harness::{Attack, host};
use crate::servers::Server;

#[test]
fn address_not_granted_tcp() {
    for address in ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "10.0.0.1"] {
        let name = host().name(&["93.184.216.34", address]);
        let case = Attack::new("address-not-granted-tcp").tcp_with(&format!("{name}:443"), &[]).setting("name", &name);
        let seen = case.obtain();
        seen.assert_denied(&["address-not-granted"]);
        assert_eq!(seen.report(), "err \"resolve-next-address access-denied\"");
        assert_eq!(
            seen.call.denials[0].address().unwrap().to_canonical(),
            address.parse::<std::net::IpAddr>().unwrap().to_canonical()
        );
    }
}

#[test]
fn socket_not_granted() {
    let server = Server::silent();
    let port = server.port();
    let addresses =
        [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "169.254.169.254:80".into(), "8.8.8.8:53".into()];
    let seen = Attack::new("socket-not-granted").setting("addresses", addresses.join("\n")).obtain();
    seen.assert_denied(&["socket-not-granted"]);
    assert_eq!(seen.lines(), ["err \"start-connect access-denied\""; 4]);
    assert_eq!(seen.events.iter().filter(|event| matches!(event.action, AuditAction::Tcp { .. })).count(), 4);

    // A rule for HTTP opens no socket, and one for another port or address does not open this one.
    let case = Attack::new("socket-not-granted").http(&format!("http://127.0.0.1:{port}")).tcp("127.0.0.1:1");
    let seen = case.tcp(&format!("127.0.0.2:{port}")).setting("addresses", &addresses[0]).obtain();
    seen.assert_denied(&["socket-not-granted"]);
    assert_eq!(seen.report(), "err \"start-connect access-denied\"");
}

#[test]
fn socket_not_resolved() {
    let (server, other, name) = (Server::silent(), Server::silent(), host().name(&["127.0.0.1"]));
    let port = server.port();
    let addresses = [
        format!("127.0.0.2:{port}"),
        format!("127.0.0.1:{}", other.port()),
        format!("[::1]:{port}"),
        format!("127.0.0.1:{port}"),
    ];
    let case = Attack::new("socket-not-resolved").tcp(&format!("{name}:{port}")).setting("name", &name);
    let seen = case.setting("addresses", addresses.join("\n")).obtain();
    seen.assert_denied(&["socket-not-granted"]);
    let denied = "err \"start-connect access-denied\"";
    assert_eq!(seen.lines(), ["ok [127.0.0.1]", denied, denied, denied, "ok ()"]);

    // The grant alone is not enough: it is for a name, and no look-up has shown that it leads here.
    let case = Attack::new("socket-not-granted").tcp(&format!("{name}:{port}"));
    let seen = case.setting("addresses", &addresses[3]).obtain();
    seen.assert_denied(&["socket-not-granted"]);
}

#[test]
fn name_not_granted() {
    let granted = host().name(&["127.0.0.1"]);
    let names = ["secret.inner.test", "localhost", "c2VjcmV0.evil.test", "127.0.0.1", "::1", &format!("x.{granted}")];
    let case = Attack::new("name-not-granted").tcp(&format!("{granted}:443")).http(&format!("http://{}", names[0]));
    let seen = case.setting("names", names.join("\n")).obtain();
    seen.assert_denied(&["name-not-granted"]);
    assert_eq!(seen.lines(), ["err \"resolve-next-address access-denied\""; 6]);
    assert!(
        !host().unanswered_queries().iter().any(|asked| names.contains(&asked.as_str())),
        "a refused name was resolved"
    );

    let seen = Attack::new("name-not-granted").setting("names", "127.1\n2130706433\na..b\n-x.test").obtain();
    seen.assert_denied(&["odd-host"]);
    assert_eq!(seen.lines(), ["err \"resolve-addresses invalid-argument\""; 4]);
}

#[test]
fn listening_not_allowed() {
    let seen = Attack::new("listening-not-allowed").tcp("127.0.0.1:80").tcp_with("0.0.0.0:80", &["0.0.0.0"]).obtain();
    seen.assert_denied(&["listening-not-allowed"]);
    assert_eq!(seen.lines(), ["err \"start-bind access-denied\""; 4]);
}

#[test]
fn listening_without_bind() {
    let seen = Attack::new("listening-without-bind").obtain();
    seen.assert_denied(&["listening-not-allowed"]);
    let lines = seen.lines();
    assert_eq!(lines[0], "err \"start-listen access-denied\"");
    assert!(lines[1].starts_with("err "), "{lines:?}");
}

#[test]
fn udp_not_allowed() {
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let address = receiver.local_addr().unwrap();
    let seen = Attack::new("udp-not-allowed").tcp(&address.to_string()).setting("address", address).obtain();
    seen.assert_denied(&["udp-not-allowed"]);
    assert_eq!(seen.report(), "err \"create-udp-socket access-denied\"");
    assert!(receiver.recv(&mut [0; 16]).is_err(), "a datagram has arrived");
}

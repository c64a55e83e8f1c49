use super::*;
use crate::testing::{HangingResolver, tcp};
use deputy_audit::AuditAction;
use deputy_core::{Limit, Span};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[tokio::test]
async fn lookup_of_a_granted_name_is_recorded() {
    let mut guest = guest(vec![tcp("a.example:9093")], Limits::default(), resolving_to(&["127.0.0.1", "8.8.8.8"]));
    let found = guest.lookup("A.example").await.map_err(|_| ()).unwrap();
    assert_eq!(found, ["127.0.0.1".parse::<IpAddr>().unwrap(), "8.8.8.8".parse().unwrap()]);
    let events = guest.audited.events();
    assert_eq!((events.len(), events[0].outcome), (1, AuditOutcome::Done));
    assert_eq!(events[0].action, AuditAction::Name { host: "A.example".into() });
    assert_eq!(guest.audited.budget.usage.snapshot(), crate::CallUsage { requests: 1, ..crate::CallUsage::default() });
}

#[tokio::test]
async fn lookup_of_another_name_is_denied_without_a_query() {
    for name in ["b.example", "x.a.example", "127.0.0.1", "::1"] {
        let mut guest = guest(vec![tcp("a.example:1")], Limits::default(), Arc::new(HangingResolver));
        assert_eq!(code(guest.lookup(name).await), ErrorCode::AccessDenied, "{name}");
        assert_eq!(guest.outcomes(), [refused("name-not-granted")], "{name}");
    }
}

#[tokio::test]
async fn lookup_of_an_odd_name_is_denied_first() {
    for name in ["", "2130706433", "127.1", "a.example.", "a b", "a\0b", "b\u{fc}cher.example", "[fe80::1%eth0]"] {
        let mut guest = guest(vec![tcp("a.example:1")], Limits::default(), Arc::new(HangingResolver));
        assert_eq!(code(guest.lookup(name).await), ErrorCode::InvalidArgument, "{name:?}");
        assert_eq!(guest.outcomes(), [refused("odd-host")], "{name:?}");
    }
}

#[tokio::test]
async fn lookup_with_one_forbidden_address_gives_none() {
    for addresses in [&["127.0.0.1"][..], &["8.8.8.8", "169.254.169.254"], &["8.8.8.8", "::ffff:10.0.0.1"]] {
        let mut rule = tcp("a.example:1");
        rule.networks.clear();
        let mut guest = guest(vec![rule], Limits::default(), resolving_to(addresses));
        assert_eq!(code(guest.lookup("a.example").await), ErrorCode::AccessDenied, "{addresses:?}");
        assert_eq!(guest.outcomes(), [refused("address-not-granted")]);
        // And none of them is known for connecting.
        let to = SocketAddr::new(addresses[0].parse().unwrap(), 1);
        assert_eq!(code(guest.connect(to).await.map(drop)), ErrorCode::AccessDenied);
        assert_eq!(guest.outcomes(), [refused("socket-not-granted")]);
    }
}

#[tokio::test]
async fn lookup_is_denied_if_one_of_several_rules_forbids_an_address() {
    let mut narrow = tcp("a.example:2");
    narrow.networks.clear();
    let mut guest = guest(vec![tcp("a.example:1"), narrow], Limits::default(), resolving_to(&["127.0.0.1"]));
    assert_eq!(code(guest.lookup("a.example").await), ErrorCode::AccessDenied);
    assert_eq!(guest.outcomes(), [refused("address-not-granted")]);
}

#[tokio::test]
async fn lookup_of_a_granted_address_gives_itself() {
    let mut guest = guest(vec![tcp("127.0.0.1:1"), tcp("[::1]:1")], Limits::default(), Arc::new(HangingResolver));
    for name in ["127.0.0.1", "::1", "[::1]"] {
        let found = guest.lookup(name).await.map_err(|_| ()).unwrap();
        assert_eq!(found, [name.trim_matches(['[', ']']).parse::<IpAddr>().unwrap()]);
    }
}

#[tokio::test]
async fn lookup_of_an_unknown_name_is_no_denial() {
    for resolver in [resolving_to(&[]), Arc::new(StaticResolver::default())] {
        let mut guest = guest(vec![tcp("a.example:1")], Limits::default(), resolver);
        assert_eq!(code(guest.lookup("a.example").await), ErrorCode::NameUnresolvable);
        assert_eq!(guest.outcomes(), [(AuditOutcome::Failed, Some("dns".into()))]);
    }
}

#[tokio::test]
async fn lookup_that_hangs_ends_at_the_connect_limit() {
    let limits = Limits { connect: Span::millis(50), ..Limits::default() };
    let mut guest = guest(vec![tcp("a.example:1")], limits, Arc::new(HangingResolver));
    assert_eq!(code(guest.lookup("a.example").await), ErrorCode::TemporaryResolverFailure);
    assert_eq!((guest.denials(), guest.timeouts()), (vec![], vec![Limit::Connect]));
    assert_eq!(guest.outcomes(), [(AuditOutcome::Failed, Some("dns-timeout".into()))]);
}

/// Counts concurrent lookups, and answers each with an address of its own.
#[derive(Default)]
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

#[async_trait::async_trait]
impl Resolver for Counting {
    async fn resolve(&self, _: &str, _: LookupSlot) -> std::io::Result<Vec<IpAddr>> {
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        crate::testing::pause(20).await;
        self.now.fetch_sub(1, SeqCst);
        let last = u8::try_from(self.all.fetch_add(1, SeqCst) + 1).unwrap();
        Ok(vec![[127, 0, 1, last].into()])
    }
}

#[tokio::test]
async fn lookups_run_few_at_once() {
    let resolver = Arc::new(Counting::default());
    let limits = Limits { requests: 20, ..Limits::default() };
    let mut guest = guest(vec![tcp("*.a.example:1")], limits, Arc::clone(&resolver) as Arc<dyn Resolver>);
    for index in 0..20 {
        let network = guest.network();
        guest.view().resolve_addresses(network, format!("n{index}.a.example")).map_err(|_| ()).unwrap();
    }
    crate::testing::eventually(|| resolver.all.load(SeqCst) == 20).await;
    assert_eq!(resolver.most.load(SeqCst), LOOKUPS);
}

#[tokio::test]
async fn lookup_keeps_a_bounded_number_of_earlier_addresses() {
    let resolver = Arc::new(Counting::default());
    let limits = Limits { requests: 70, ..Limits::default() };
    let mut guest = guest(vec![tcp("a.example:1")], limits, resolver);
    for _ in 0..70 {
        guest.lookup("a.example").await.map_err(|_| ()).unwrap();
    }
    let resolved = |last: u8| guest.sockets.pin(SocketAddr::from(([127, 0, 1, last], 1))).is_ok();
    assert_eq!([6, 7, 70, 71].map(resolved), [false, true, true, false]);
}

#[tokio::test]
async fn lookup_keeps_the_same_address_once() {
    let mut guest = guest(vec![tcp("a.example:1")], Limits::default(), resolving_to(&["127.0.0.1", "127.0.0.2"]));
    for _ in 0..3 {
        guest.lookup("a.example").await.map_err(|_| ()).unwrap();
    }
    let resolved = guest.sockets.resolved.0.lock().unwrap();
    assert_eq!(resolved.iter().map(|(_, addresses)| addresses.len()).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn lookup_records_no_piece_of_a_known_secret() {
    let secret = "Hunter2-Hunter2-Hunter2";
    let value = Arc::new(deputy_core::SecretBytes::new(secret.into()));
    let redactor = Arc::new(crate::redact::Redactor::new(vec![("key".parse().unwrap(), value)]));
    for before in [0, 240, 252, 1000, 1015, 1024] {
        let mut guest = guest(vec![], Limits::default(), Arc::new(HangingResolver));
        guest.audited.budget.audit.redact_with(Arc::clone(&redactor));
        guest
            .lookup(&format!("{}{secret}.{}", "x".repeat(before), "y".repeat(3000)))
            .await
            .map_err(|_| ())
            .unwrap_err();
        let record = format!("{:?} {:?}", guest.audited.events(), guest.denials());
        assert!(!record.to_lowercase().contains("hun"), "{before}: {record}");
    }
}

#[tokio::test]
async fn lookup_records_a_bounded_name() {
    let mut guest = guest(vec![], Limits::default(), Arc::new(HangingResolver));
    assert_eq!(code(guest.lookup(&"x".repeat(100_000)).await), ErrorCode::InvalidArgument);
    let events = guest.audited.events();
    let AuditAction::Name { host } = &events[0].action else { panic!("{events:?}") };
    assert!((250..=256).contains(&host.len()) && host.starts_with("xxx"), "{host}");
}

#[tokio::test]
async fn lookup_would_block_and_ends_when_dropped() {
    let mut guest = guest(vec![tcp("a.example:1")], Limits::default(), Arc::new(HangingResolver));
    let network = guest.network();
    let stream = guest.view().resolve_addresses(network, "a.example".into()).map_err(|_| ()).unwrap();
    let next = guest.view().resolve_next_address(Resource::new_borrow(stream.rep()));
    assert_eq!(code(next), ErrorCode::WouldBlock);
    ip_name_lookup::HostResolveAddressStream::drop(&mut guest.view(), stream).unwrap();
    crate::testing::pause(20).await;
    assert_eq!(guest.outcomes(), [(AuditOutcome::Cancelled, None)]);
}

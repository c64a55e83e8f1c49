use super::*;
use crate::testing::{Silent, tcp};
use deputy_core::{Limit, Span};
use deputy_observe::AuditAction;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[tokio::test]
async fn a_name_that_a_rule_names_is_resolved_and_recorded() {
    let mut lab = lab(vec![tcp("a.example:9093")], Limits::default(), leading_to(&["127.0.0.1", "8.8.8.8"]));
    let found = lab.look_up("A.example").await.map_err(|_| ()).unwrap();
    assert_eq!(found, ["127.0.0.1".parse::<IpAddr>().unwrap(), "8.8.8.8".parse().unwrap()]);
    let events = lab.book.events();
    assert_eq!((events.len(), events[0].outcome), (1, AuditOutcome::Done));
    assert_eq!(events[0].what, AuditAction::Name { host: "A.example".into() });
    assert_eq!(lab.book.budget.usage.snapshot(), crate::CallUsage { requests: 1, ..crate::CallUsage::default() });
}

#[tokio::test]
async fn a_name_that_no_rule_names_is_refused_and_nobody_is_asked() {
    for name in ["b.example", "x.a.example", "127.0.0.1", "::1"] {
        let mut lab = lab(vec![tcp("a.example:1")], Limits::default(), Arc::new(Silent));
        assert_eq!(code(lab.look_up(name).await), ErrorCode::AccessDenied, "{name}");
        assert_eq!(lab.endings(), [refused("name-not-granted")], "{name}");
    }
}

#[tokio::test]
async fn an_odd_name_is_refused_before_anything_else() {
    for name in ["", "2130706433", "127.1", "a.example.", "a b", "a\0b", "b\u{fc}cher.example", "[fe80::1%eth0]"] {
        let mut lab = lab(vec![tcp("a.example:1")], Limits::default(), Arc::new(Silent));
        assert_eq!(code(lab.look_up(name).await), ErrorCode::InvalidArgument, "{name:?}");
        assert_eq!(lab.endings(), [refused("odd-host")], "{name:?}");
    }
}

#[tokio::test]
async fn one_forbidden_address_in_an_answer_leaves_none() {
    for addresses in [&["127.0.0.1"][..], &["8.8.8.8", "169.254.169.254"], &["8.8.8.8", "::ffff:10.0.0.1"]] {
        let mut rule = tcp("a.example:1");
        rule.networks.clear();
        let mut lab = lab(vec![rule], Limits::default(), leading_to(addresses));
        assert_eq!(code(lab.look_up("a.example").await), ErrorCode::AccessDenied, "{addresses:?}");
        assert_eq!(lab.endings(), [refused("address-not-granted")]);
        // And none of them is known for connecting.
        let to = SocketAddr::new(addresses[0].parse().unwrap(), 1);
        assert_eq!(code(lab.connect(to).await.map(drop)), ErrorCode::AccessDenied);
        assert_eq!(lab.endings(), [refused("socket-not-granted")]);
    }
}

#[tokio::test]
async fn an_address_that_one_of_a_names_rules_forbids_is_forbidden() {
    let mut narrow = tcp("a.example:2");
    narrow.networks.clear();
    let mut lab = lab(vec![tcp("a.example:1"), narrow], Limits::default(), leading_to(&["127.0.0.1"]));
    assert_eq!(code(lab.look_up("a.example").await), ErrorCode::AccessDenied);
    assert_eq!(lab.endings(), [refused("address-not-granted")]);
}

#[tokio::test]
async fn an_address_is_its_own_name_if_a_rule_names_it() {
    let mut lab = lab(vec![tcp("127.0.0.1:1"), tcp("[::1]:1")], Limits::default(), Arc::new(Silent));
    for name in ["127.0.0.1", "::1", "[::1]"] {
        let found = lab.look_up(name).await.map_err(|_| ()).unwrap();
        assert_eq!(found, [name.trim_matches(['[', ']']).parse::<IpAddr>().unwrap()]);
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_failure_and_no_refusal() {
    for resolver in [leading_to(&[]), Arc::new(Names::default())] {
        let mut lab = lab(vec![tcp("a.example:1")], Limits::default(), resolver);
        assert_eq!(code(lab.look_up("a.example").await), ErrorCode::NameUnresolvable);
        assert_eq!(lab.endings(), [(AuditOutcome::Failed, Some("dns".into()))]);
    }
}

#[tokio::test]
async fn a_resolver_that_never_answers_is_the_connect_limits() {
    let limits = Limits { connect: Span::millis(50), ..Limits::default() };
    let mut lab = lab(vec![tcp("a.example:1")], limits, Arc::new(Silent));
    assert_eq!(code(lab.look_up("a.example").await), ErrorCode::TemporaryResolverFailure);
    assert_eq!((lab.denials(), lab.timeouts()), (vec![], vec![Limit::Connect]));
    assert_eq!(lab.endings(), [(AuditOutcome::Failed, Some("dns-timeout".into()))]);
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
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        crate::testing::pause(20).await;
        self.now.fetch_sub(1, SeqCst);
        let last = u8::try_from(self.all.fetch_add(1, SeqCst) + 1).unwrap();
        Ok(vec![[127, 0, 1, last].into()])
    }
}

#[tokio::test]
async fn no_more_than_a_few_lookups_run_at_once() {
    let resolver = Arc::new(Counting::default());
    let limits = Limits { requests: 20, ..Limits::default() };
    let mut lab = lab(vec![tcp("*.a.example:1")], limits, Arc::clone(&resolver) as Arc<dyn Resolver>);
    for index in 0..20 {
        let network = lab.network();
        lab.view().resolve_addresses(network, format!("n{index}.a.example")).map_err(|_| ()).unwrap();
    }
    crate::testing::eventually(|| resolver.all.load(SeqCst) == 20).await;
    assert_eq!(resolver.most.load(SeqCst), MAX_LOOKUPS);
}

#[tokio::test]
async fn where_a_name_led_before_is_still_known_up_to_a_number() {
    let resolver = Arc::new(Counting::default());
    let limits = Limits { requests: 70, ..Limits::default() };
    let mut lab = lab(vec![tcp("a.example:1")], limits, resolver);
    for _ in 0..70 {
        lab.look_up("a.example").await.map_err(|_| ()).unwrap();
    }
    let resolved = |last: u8| lab.sockets.pin(SocketAddr::from(([127, 0, 1, last], 1))).is_ok();
    assert_eq!([6, 7, 70, 71].map(resolved), [false, true, true, false]);
}

#[tokio::test]
async fn the_same_answer_again_is_remembered_once() {
    let mut lab = lab(vec![tcp("a.example:1")], Limits::default(), leading_to(&["127.0.0.1", "127.0.0.2"]));
    for _ in 0..3 {
        lab.look_up("a.example").await.map_err(|_| ()).unwrap();
    }
    let resolved = lab.sockets.resolved.0.lock().unwrap();
    assert_eq!(resolved.iter().map(|(_, addresses)| addresses.len()).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn no_more_of_a_name_is_recorded_than_a_name_can_have() {
    let mut lab = lab(vec![], Limits::default(), Arc::new(Silent));
    assert_eq!(code(lab.look_up(&"x".repeat(100_000)).await), ErrorCode::InvalidArgument);
    let events = lab.book.events();
    assert_eq!(events[0].what, AuditAction::Name { host: "x".repeat(253) });
}

#[tokio::test]
async fn asking_again_too_early_is_would_block_and_dropping_ends_the_lookup() {
    let mut lab = lab(vec![tcp("a.example:1")], Limits::default(), Arc::new(Silent));
    let network = lab.network();
    let stream = lab.view().resolve_addresses(network, "a.example".into()).map_err(|_| ()).unwrap();
    let next = lab.view().resolve_next_address(Resource::new_borrow(stream.rep()));
    assert_eq!(code(next), ErrorCode::WouldBlock);
    ip_name_lookup::HostResolveAddressStream::drop(&mut lab.view(), stream).unwrap();
    crate::testing::pause(20).await;
    assert_eq!(lab.endings(), [(AuditOutcome::Cancelled, None)]);
}

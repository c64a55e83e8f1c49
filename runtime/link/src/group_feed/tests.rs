use deputy_core::{Limit, LimitOverrides, Revision, S3Place, SecretBytes, Timestamp};
use prost::Message;

use super::*;

fn stamp(revision: u64) -> LeaseVersion {
    LeaseVersion { revision: Revision(revision), obtained_at: Timestamp::from_millis(revision * 1000) }
}

fn lease(instance: &str, revision: u64) -> EncodedLease {
    EncodedLease::new(&Delivery {
        instance: instance.parse().unwrap(),
        service: "s3".parse().unwrap(),
        kind: "aws-credential-process/1".parse().unwrap(),
        stamp: stamp(revision),
        valid_until: Timestamp::from_millis(9_000_000),
        next_at: Some(Timestamp::from_millis(5_000_000)),
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(format!("{instance} {revision}").into_bytes())),
        trace: None,
    })
}

/// A group that may have these instances.
fn group(instances: &[&str]) -> GroupFeed {
    let group = GroupFeed::default();
    group.allow(instances.iter().map(|name| name.parse().unwrap()).collect(), &S3Places::new());
    group
}

fn binding() -> ReceiverBinding {
    let instances = BTreeSet::from(["a".parse().unwrap()]);
    let limits = LimitOverrides::default();
    ReceiverBinding { component: deputy_core::Digest::new([7; 32]), settings: BTreeMap::new(), instances, limits }
}

fn reply(frame: &Bytes) -> ServerMessageKind {
    ServerMessage::decode(&frame[4..]).unwrap().kind.unwrap()
}

/// The instances in each `GroupInstances` of the frames.
fn group_instances(frames: &[Bytes]) -> Vec<String> {
    let names = frames.iter().filter_map(|frame| match reply(frame) {
        ServerMessageKind::GroupInstances(list) => Some(list.instances.join(",")),
        _ => None,
    });
    names.collect()
}

/// A short text for each frame about leases, receivers, authorities and addresses.
fn texts(frames: &[Bytes]) -> Vec<String> {
    let replies = frames.iter().map(reply).filter(|reply| !matches!(reply, ServerMessageKind::GroupInstances(_)));
    let texts = replies.map(|reply| match reply {
        ServerMessageKind::LeaseUpdate(update) => {
            format!("{} {}", update.instance, String::from_utf8(update.payload).unwrap())
        }
        ServerMessageKind::LeaseWithdrawn(withdrawn) => format!("-{}", withdrawn.instance),
        ServerMessageKind::ReceiverBound(bound) => {
            format!("{}{}", if bound.component.is_empty() { "-" } else { "+" }, bound.receiver)
        }
        ServerMessageKind::SnapshotEnd(complete) => {
            format!("={} {}", complete.instances.join(","), complete.receivers.join(","))
        }
        ServerMessageKind::Authorities(authorities) => format!("authorities {}", authorities.certificates.len()),
        ServerMessageKind::Addresses(list) => format!("addresses {}", list.addresses.join(",")),
        other => panic!("{other:?}"),
    });
    texts.collect()
}

fn all(group: &GroupFeed) -> (Vec<String>, FeedCursor) {
    let (frames, cursor) = group.snapshot(None, &BTreeMap::new());
    (texts(&frames), cursor)
}

#[test]
fn feed_sends_a_snapshot_and_then_changes() {
    let group = group(&["a", "b"]);
    group.publish(&lease("a", 1));
    group.bind(&"aws".parse().unwrap(), &binding());
    let (first, mut cursor) = all(&group);
    assert_eq!(first, ["+aws", "a a 1", "=a,b aws"]);
    assert!(group.after(&mut cursor).is_empty());
    group.publish(&lease("b", 1));
    assert_eq!(texts(&group.after(&mut cursor)), ["b b 1"]);
    group.withdraw(&"a".parse().unwrap());
    group.unbind(&"aws".parse().unwrap());
    assert_eq!(texts(&group.after(&mut cursor)), ["-a", "-aws"]);
    assert_eq!(all(&group).0, ["b b 1", "=b "], "a later snapshot does not mention what was withdrawn");
}

#[test]
fn feed_sends_a_slow_session_the_newest_versions_only() {
    let group = GroupFeed::default();
    let (_, mut cursor) = all(&group);
    for revision in 1..=1000 {
        group.publish(&lease("a", revision));
        group.publish(&lease("b", revision));
    }
    group.publish(&lease("a", 1001));
    assert_eq!(texts(&group.after(&mut cursor)), ["b b 1000", "a a 1001"]);
    assert!(group.after(&mut cursor).is_empty());
    assert_eq!((group.read().changes.since(0).count(), group.read().items.len()), (2, 2), "one item for each instance");
}

#[test]
fn feed_lists_known_leases_and_does_not_send_them() {
    let group = group(&["a", "b"]);
    group.publish(&lease("a", 3));
    group.publish(&lease("b", 3));
    let same_revision_of_another_time = LeaseVersion { obtained_at: Timestamp::from_millis(1), ..stamp(3) };
    let known =
        BTreeMap::from([("a".parse().unwrap(), stamp(3)), ("b".parse().unwrap(), same_revision_of_another_time)]);
    let (frames, _) = group.snapshot(None, &known);
    assert_eq!(texts(&frames), ["b b 3", "=a,b "]);
}

#[test]
fn feed_sends_requested_instances_only() {
    let group = group(&["a", "b"]);
    group.publish(&lease("a", 1));
    group.publish(&lease("b", 1));
    let (frames, mut cursor) = group.snapshot(Some(BTreeSet::from(["b".parse().unwrap()])), &BTreeMap::new());
    assert_eq!(texts(&frames), ["b b 1", "=b "]);
    group.publish(&lease("a", 2));
    assert!(group.after(&mut cursor).is_empty());
    group.publish(&lease("b", 2));
    assert_eq!(texts(&group.after(&mut cursor)), ["b b 2"]);
}

#[test]
fn feed_wakes_no_session_without_a_change() {
    let group = GroupFeed::default();
    group.bind(&"aws".parse().unwrap(), &binding());
    let mut wake = group.subscribe();
    group.bind(&"aws".parse().unwrap(), &binding());
    group.withdraw(&"never-there".parse().unwrap());
    group.unbind(&"never-there".parse().unwrap());
    assert!(wake.try_recv().is_err());
    group.publish(&lease("a", 1));
    assert!(wake.try_recv().is_ok());
}

#[test]
fn feed_sends_receiver_limits_when_they_change() {
    let group = GroupFeed::default();
    let name = "aws".parse().unwrap();
    let limits = |memory| LimitOverrides::new([(Limit::Memory, memory)]).unwrap();
    let sent = |frames: &[Bytes]| match ServerMessage::decode(&frames[0][4..]).unwrap().kind {
        Some(ServerMessageKind::ReceiverBound(bound)) => bound.limits.and_then(|limits| limits.memory_bytes),
        other => panic!("{other:?}"),
    };
    group.bind(&name, &binding());
    let (first, mut cursor) = group.snapshot(None, &BTreeMap::new());
    assert_eq!(sent(&first), None);
    for memory in [1 << 20, 2 << 20] {
        group.bind(&name, &ReceiverBinding { limits: limits(memory), ..binding() });
        assert_eq!(sent(&group.after(&mut cursor)), Some(memory));
        group.bind(&name, &ReceiverBinding { limits: limits(memory), ..binding() });
        assert!(group.after(&mut cursor).is_empty(), "the same limits");
    }
    group.bind(&name, &binding());
    assert_eq!(sent(&group.after(&mut cursor)), None);
}

#[test]
fn feeds_of_groups_are_separate() {
    let feeds = GroupFeeds::default();
    let one = feeds.group(&"one".parse().unwrap());
    let other = feeds.group(&"other".parse().unwrap());
    one.publish(&lease("a", 1));
    assert_eq!(all(&other).0, ["= "]);
    assert!(Arc::ptr_eq(&one, &feeds.group(&"one".parse().unwrap())));
    feeds.set_authorities(vec![vec![1], vec![2]]);
    let (_, mut cursor) = all(&other);
    feeds.set_authorities(vec![vec![3]]);
    assert_eq!(texts(&other.after(&mut cursor)), ["authorities 1"]);
    // The same for addresses, and for a group that comes later.
    feeds.set_addresses(&"b:1,a:1".parse().unwrap());
    assert_eq!(texts(&other.after(&mut cursor)), ["addresses a:1,b:1"]);
    feeds.set_addresses(&"a:2".parse().unwrap());
    let late = feeds.group(&"late".parse().unwrap());
    for group in [&other, &late] {
        assert_eq!(all(group).0, ["authorities 1", "addresses a:2", "= "]);
    }
}

#[test]
fn feed_frame_is_one_allocation_for_all_groups() {
    let lease = lease("a", 1);
    let one = GroupFeed::default();
    let other = GroupFeed::default();
    one.publish(&lease);
    other.publish(&lease);
    let frame = |group: &GroupFeed| group.snapshot(None, &BTreeMap::new()).0[0].as_ptr();
    assert_eq!(frame(&one), frame(&other));
}

#[test]
fn feed_lists_allowed_instances_without_lease_unless_withdrawn() {
    let group = group(&["a", "b", "c"]);
    group.publish(&lease("a", 1));
    group.publish(&lease("b", 1));
    let (_, mut cursor) = all(&group);
    group.expire(&"a".parse().unwrap());
    assert!(group.after(&mut cursor).is_empty(), "workers know the expiry themselves");
    group.withdraw(&"b".parse().unwrap());
    assert_eq!(texts(&group.after(&mut cursor)), ["-b"]);
    assert_eq!(all(&group).0, ["=a,c "]);
    group.publish(&lease("a", 2));
    group.publish(&lease("b", 2));
    assert_eq!(all(&group).0, ["a a 2", "b b 2", "=a,b,c "]);
    group.allow(BTreeSet::from(["b".parse().unwrap()]), &S3Places::new());
    assert_eq!(all(&group).0, ["b b 2", "=b "]);
    assert_eq!(texts(&group.after(&mut cursor)), ["b b 2", "-a"]);
}

#[test]
fn feed_lists_unavailable_receivers_until_they_are_unbound() {
    let group = GroupFeed::default();
    let aws = "aws".parse().unwrap();
    group.set_unavailable(&aws);
    let (first, mut cursor) = all(&group);
    assert_eq!(first, ["= aws"], "listed, and not sent");
    group.bind(&aws, &binding());
    assert_eq!(texts(&group.after(&mut cursor)), ["+aws"]);
    assert_eq!(all(&group).0, ["+aws", "= aws"]);
    group.set_unavailable(&aws);
    assert!(group.after(&mut cursor).is_empty());
    assert_eq!(all(&group).0, ["= aws"]);
    assert_eq!(group.receivers(), BTreeSet::from([aws.clone()]));
    // It is no longer configured, so every worker drops it.
    group.unbind(&aws);
    assert_eq!(texts(&group.after(&mut cursor)), ["-aws"]);
    assert_eq!(all(&group).0, ["= "]);
}

#[test]
fn feed_sends_group_instances_when_the_list_changes() {
    let group = group(&["a", "b"]);
    let wanted = Some(BTreeSet::from(["b".parse().unwrap(), "c".parse().unwrap()]));
    let (frames, mut cursor) = group.snapshot(wanted, &BTreeMap::new());
    assert_eq!(group_instances(&frames), ["a,b"], "whether or not it was requested or has a lease");
    assert!(
        matches!(reply(frames.last().unwrap()), ServerMessageKind::SnapshotEnd(_)),
        "before the end of the snapshot"
    );
    group.allow(BTreeSet::from(["a".parse().unwrap(), "b".parse().unwrap()]), &S3Places::new());
    assert!(group.after(&mut cursor).is_empty());
    group.allow(BTreeSet::new(), &S3Places::new());
    assert_eq!(group_instances(&group.after(&mut cursor)), [""]);
    assert_eq!(group_instances(&group.snapshot(None, &BTreeMap::new()).0), [""]);
}

#[test]
fn feed_sends_where_s3_is_for_its_own_instances_alone() {
    let group = group(&["a", "b"]);
    let (_, mut cursor) = group.snapshot(None, &BTreeMap::new());
    let place = |endpoint: &str| S3Place { region: None, endpoint: Some(endpoint.to_owned()) };
    let sent = |frames: &[Bytes]| match frames {
        [frame] => match reply(frame) {
            ServerMessageKind::GroupInstances(list) => list.places,
            other => panic!("{other:?}"),
        },
        frames => panic!("{} frames", frames.len()),
    };
    let names = || BTreeSet::from(["a".parse().unwrap(), "b".parse().unwrap()]);
    for endpoint in ["http://a", "http://b"] {
        let places = ["a", "other"].map(|name| (name.parse().unwrap(), place(endpoint)));
        let nothing = ("b".parse().unwrap(), S3Place::default());
        let places = places.into_iter().chain([nothing]).collect();
        group.allow(names(), &places);
        let places = sent(&group.after(&mut cursor));
        let shown: Vec<_> = places.iter().map(|it| (it.instance.as_str(), it.endpoint.as_str())).collect();
        assert_eq!(shown, [("a", endpoint)]);
    }
}

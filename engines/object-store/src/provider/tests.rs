use std::collections::BTreeMap;

use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{Revision, SecretBytes, Span, Timestamp};
use deputy_link::ProtocolError;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const CANARY: &str = "canary-9c41";

/// A provider of the lease `s3-prod`, and the other ends of its channels.
struct TestProvider {
    provider: LeaseCredentialProvider,
    held: watch::Sender<Arc<DeliveredState>>,
    state: watch::Sender<LinkState>,
    reports: mpsc::Receiver<DeliveryReport>,
}

fn test_provider() -> TestProvider {
    let held = watch::Sender::default();
    let state = watch::Sender::new(state(LinkPhase::Connected));
    let (sender, reports) = mpsc::channel(1);
    let provider = LeaseCredentialProvider {
        held: held.subscribe(),
        state: state.subscribe(),
        reports: sender,
        clock: Arc::new(|| Now { mono: MonotonicTime::default(), wall: NOW }),
        instance: "s3-prod".parse().unwrap(),
        wait_limit: Duration::from_millis(300),
        cached: Mutex::default(),
    };
    TestProvider { provider, held, state, reports }
}

fn state(phase: LinkPhase) -> LinkState {
    LinkState {
        phase,
        address: None,
        addresses: "coordinator:8271".parse().unwrap(),
        since: NOW,
        last_message: None,
        error: None,
        failures: 0,
        certificate_ends: NOW,
        refusals: Vec::new(),
    }
}

fn holding(revision: u64, payload: &str, life: Span) -> Arc<DeliveredState> {
    let delivery = Delivery {
        instance: "s3-prod".parse().unwrap(),
        service: "s3".parse().unwrap(),
        kind: "aws-credential-process/1".parse().unwrap(),
        stamp: LeaseVersion { revision: Revision(revision), obtained_at: NOW },
        valid_until: NOW.plus(life),
        next_at: None,
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(payload.as_bytes().to_vec())),
        trace: None,
    };
    let deliveries = BTreeMap::from([(delivery.instance.clone(), delivery)]);
    Arc::new(DeliveredState { deliveries, complete: true, ..DeliveredState::default() })
}

fn credentials(key: &str) -> String {
    format!(r#"{{"AccessKeyId": "{key}", "SecretAccessKey": "{CANARY}", "SessionToken": "{CANARY}"}}"#)
}

impl TestProvider {
    async fn key(&self) -> Result<String, String> {
        let credential = self.provider.get_credential().await;
        credential.map(|credential| credential.key_id.clone()).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn credentials_are_the_newest_and_parsed_and_reported_once() {
    let mut fixture = test_provider();
    fixture.held.send_replace(holding(1, &credentials("FIRST"), Span::secs(60)));
    let one = fixture.provider.get_credential().await.unwrap();
    let two = fixture.provider.get_credential().await.unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(fixture.reports.try_recv().unwrap().stamp.revision, Revision(1));
    assert!(fixture.reports.try_recv().is_err());
    fixture.held.send_replace(holding(2, &credentials("SECOND"), Span::secs(60)));
    assert_eq!(fixture.key().await.unwrap(), "SECOND");
    let report = fixture.reports.try_recv().unwrap();
    assert_eq!((report.stamp.revision, report.result), (Revision(2), Ok(())));
}

#[tokio::test]
async fn credentials_follow_a_coordinator_that_was_restored() {
    let fixture = test_provider();
    for (revision, key) in [(7, "OLD"), (1, "NEW")] {
        fixture.held.send_replace(holding(revision, &credentials(key), Span::secs(60)));
        assert_eq!(fixture.key().await.unwrap(), key);
    }
}

#[tokio::test]
async fn credentials_are_reported_again_when_the_queue_was_full() {
    let mut fixture = test_provider();
    fixture.held.send_replace(holding(1, &credentials("A"), Span::secs(60)));
    assert_eq!(fixture.key().await.unwrap(), "A");
    fixture.held.send_replace(holding(2, &credentials("B"), Span::secs(60)));
    assert_eq!(fixture.key().await.unwrap(), "B");
    assert_eq!(fixture.reports.try_recv().unwrap().stamp.revision, Revision(1));
    assert_eq!(fixture.key().await.unwrap(), "B");
    assert_eq!(fixture.reports.try_recv().unwrap().stamp.revision, Revision(2));
}

#[tokio::test]
async fn credentials_wait_for_the_first_lease_with_a_limit() {
    let fixture = test_provider();
    fixture.state.send_modify(|state| state.error = Some("it can't be reached".to_owned()));
    let error = fixture.key().await.unwrap_err();
    assert!(error.contains("s3-prod") && error.contains("it can't be reached"), "{error}");
    let sending = async {
        tokio::task::yield_now().await;
        fixture.held.send_replace(holding(1, &credentials("LATE"), Span::secs(60)));
    };
    let (key, ()) = tokio::join!(fixture.key(), sending);
    assert_eq!(key.unwrap(), "LATE");
}

#[tokio::test]
async fn credentials_fail_at_once_when_no_lease_can_arrive() {
    let refused = test_provider();
    let refusal = ProtocolError::about(ErrorCode::NotDelivered, "s3-prod", "s3-prod is not delivered to the group etl");
    refused.state.send_modify(|state| state.refusals.push(refusal));
    assert!(refused.key().await.unwrap_err().contains("not delivered to the group etl"));

    let other = test_provider();
    let refusal = ProtocolError::about(ErrorCode::NotDelivered, "s3-lab", "s3-lab is not delivered to the group etl");
    other.state.send_modify(|state| state.refusals.push(refusal));
    assert!(other.key().await.unwrap_err().contains("within"), "another instance's refusal says nothing of this one");

    let out = test_provider();
    let waiting = async {
        tokio::task::yield_now().await;
        out.state.send_replace(LinkState { error: Some("it was removed".to_owned()), ..state(LinkPhase::Rejected) });
    };
    let (key, ()) = tokio::join!(out.key(), waiting);
    assert!(key.unwrap_err().contains("it was removed"));

    let TestProvider { provider, held, state, reports: _reports } = test_provider();
    drop((held, state));
    assert!(provider.get_credential().await.unwrap_err().to_string().contains("has ended"));
}

#[tokio::test]
async fn credentials_outlive_the_enrolment_until_they_expire() {
    let fixture = test_provider();
    fixture.held.send_replace(holding(1, &credentials("A"), Span::secs(60)));
    fixture.state.send_replace(LinkState { error: Some("it was removed".to_owned()), ..state(LinkPhase::Rejected) });
    assert_eq!(fixture.key().await.unwrap(), "A");
    fixture.held.send_replace(holding(1, &credentials("A"), Span::secs(0)));
    let error = fixture.key().await.unwrap_err();
    assert!(error.contains("expired at 1970-01-01") && error.contains("it was removed"), "{error}");
}

#[tokio::test]
async fn credentials_of_another_kind_are_refused_and_not_shown() {
    let mut fixture = test_provider();
    fixture.held.send_replace(holding(1, &format!(r#"{{"token": "{CANARY}"}}"#), Span::secs(60)));
    let error = fixture.key().await.unwrap_err();
    let report = fixture.reports.try_recv().unwrap();
    assert!(report.result.is_err());
    for text in [error, format!("{report:?}"), format!("{:?}", fixture.provider)] {
        assert!(!text.contains(CANARY), "{text}");
    }
}

use std::collections::BTreeMap;

use deputy_core::{SecretBytes, Span, Revision};
use deputy_link::Refusal;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const CANARY: &str = "canary-9c41";

/// A provider of `s3-prod`, and the ends that a client has of it.
struct Bench {
    provider: Provider,
    held: watch::Sender<Arc<Held>>,
    state: watch::Sender<State>,
    reports: mpsc::Receiver<Report>,
}

fn bench() -> Bench {
    let (held, state) = (watch::Sender::default(), watch::Sender::new(state(Phase::Connected)));
    let (sender, reports) = mpsc::channel(1);
    let provider = Provider {
        held: held.subscribe(),
        state: state.subscribe(),
        reports: sender,
        clock: || NOW,
        instance: "s3-prod".parse().unwrap(),
        patience: Duration::from_millis(300),
        cached: Mutex::default(),
    };
    Bench { provider, held, state, reports }
}

fn state(phase: Phase) -> State {
    State { phase, since: NOW, heard: None, error: None, failures: 0, certificate_ends: NOW, refused: Vec::new() }
}

fn holding(revision: u64, payload: &str, life: Span) -> Arc<Held> {
    let delivery = Delivery {
        instance: "s3-prod".parse().unwrap(),
        service: "s3".parse().unwrap(),
        stamp: Stamp { revision: Revision(revision), obtained_at: NOW },
        valid_until: NOW.plus(life),
        payload: Arc::new(SecretBytes::new(payload.as_bytes().to_vec())),
    };
    let deliveries = BTreeMap::from([(delivery.instance.clone(), delivery)]);
    Arc::new(Held { deliveries, complete: true, ..Held::default() })
}

fn credentials(key: &str) -> String {
    format!(r#"{{"AccessKeyId": "{key}", "SecretAccessKey": "{CANARY}", "SessionToken": "{CANARY}"}}"#)
}

impl Bench {
    async fn key(&self) -> Result<String, String> {
        let credential = self.provider.get_credential().await;
        credential.map(|credential| credential.key_id.clone()).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn each_request_gets_the_newest_credentials_and_each_lease_is_parsed_and_reported_once() {
    let mut bench = bench();
    bench.held.send_replace(holding(1, &credentials("FIRST"), Span::secs(60)));
    let (one, two) = (bench.provider.get_credential().await.unwrap(), bench.provider.get_credential().await.unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(bench.reports.try_recv().unwrap().stamp.revision, Revision(1));
    assert!(bench.reports.try_recv().is_err());
    bench.held.send_replace(holding(2, &credentials("SECOND"), Span::secs(60)));
    assert_eq!(bench.key().await.unwrap(), "SECOND");
    let report = bench.reports.try_recv().unwrap();
    assert_eq!((report.stamp.revision, report.result), (Revision(2), Ok(())));
}

#[tokio::test]
async fn a_coordinator_that_was_set_back_is_followed() {
    let bench = bench();
    for (revision, key) in [(7, "OLD"), (1, "NEW")] {
        bench.held.send_replace(holding(revision, &credentials(key), Span::secs(60)));
        assert_eq!(bench.key().await.unwrap(), key);
    }
}

#[tokio::test]
async fn a_report_that_found_no_room_is_made_again() {
    let mut bench = bench();
    bench.held.send_replace(holding(1, &credentials("A"), Span::secs(60)));
    assert_eq!(bench.key().await.unwrap(), "A");
    bench.held.send_replace(holding(2, &credentials("B"), Span::secs(60)));
    assert_eq!(bench.key().await.unwrap(), "B");
    assert_eq!(bench.reports.try_recv().unwrap().stamp.revision, Revision(1));
    assert_eq!(bench.key().await.unwrap(), "B");
    assert_eq!(bench.reports.try_recv().unwrap().stamp.revision, Revision(2));
}

#[tokio::test]
async fn the_first_lease_is_waited_for_and_not_for_ever() {
    let bench = bench();
    bench.state.send_modify(|state| state.error = Some("it can't be reached".to_owned()));
    let error = bench.key().await.unwrap_err();
    assert!(error.contains("s3-prod") && error.contains("it can't be reached"), "{error}");
    let sending = async {
        tokio::task::yield_now().await;
        bench.held.send_replace(holding(1, &credentials("LATE"), Span::secs(60)));
    };
    let (key, ()) = tokio::join!(bench.key(), sending);
    assert_eq!(key.unwrap(), "LATE");
}

#[tokio::test]
async fn nobody_waits_for_what_will_not_come() {
    let refused = bench();
    let refusal = Refusal::about(Code::NotDelivered, "s3-prod", "s3-prod is not delivered to the group etl");
    refused.state.send_modify(|state| state.refused.push(refusal));
    assert!(refused.key().await.unwrap_err().contains("not delivered to the group etl"));

    let other = bench();
    let refusal = Refusal::about(Code::NotDelivered, "s3-lab", "s3-lab is not delivered to the group etl");
    other.state.send_modify(|state| state.refused.push(refusal));
    assert!(other.key().await.unwrap_err().contains("within"), "another instance's refusal says nothing of this one");

    let out = bench();
    let waiting = async {
        tokio::task::yield_now().await;
        out.state.send_replace(State { error: Some("it was removed".to_owned()), ..state(Phase::Out) });
    };
    let (key, ()) = tokio::join!(out.key(), waiting);
    assert!(key.unwrap_err().contains("it was removed"));

    let Bench { provider, held, state, reports: _reports } = bench();
    drop((held, state));
    assert!(provider.get_credential().await.unwrap_err().to_string().contains("has ended"));
}

#[tokio::test]
async fn what_is_held_stays_good_when_the_worker_is_out_and_is_refused_once_it_has_ended() {
    let bench = bench();
    bench.held.send_replace(holding(1, &credentials("A"), Span::secs(60)));
    bench.state.send_replace(State { error: Some("it was removed".to_owned()), ..state(Phase::Out) });
    assert_eq!(bench.key().await.unwrap(), "A");
    bench.held.send_replace(holding(1, &credentials("A"), Span::secs(0)));
    let error = bench.key().await.unwrap_err();
    assert!(error.contains("ended at 1970-01-01") && error.contains("it was removed"), "{error}");
}

#[tokio::test]
async fn what_is_no_credentials_is_refused_and_reported_and_never_repeated() {
    let mut bench = bench();
    bench.held.send_replace(holding(1, &format!(r#"{{"token": "{CANARY}"}}"#), Span::secs(60)));
    let error = bench.key().await.unwrap_err();
    let report = bench.reports.try_recv().unwrap();
    assert!(report.result.is_err());
    for text in [error, format!("{report:?}"), format!("{:?}", bench.provider)] {
        assert!(!text.contains(CANARY), "{text}");
    }
}

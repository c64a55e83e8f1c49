//! The last audit events, for the pages that are open.

use std::collections::VecDeque;
use std::sync::Mutex;

use deputy_audit::AuditEvent;
use deputy_support::LockUnpoisoned;
use serde::Serialize;
use serde_json::{Map, Value};

/// Events that are kept.
const MAX_EVENTS: usize = 1000;

/// Characters of an event's details. What is longer is in the audit log alone.
const MAX_DETAILS: usize = 2000;

/// The last audit events, in order. An event has no secret and no payload.
#[derive(Default)]
pub struct RecentEvents(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    /// The number of the last event.
    last: u64,
    events: VecDeque<RecentEvent>,
}

/// An event as the page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RecentEvent {
    pub(crate) number: u64,
    time: String,
    /// `instance`, `receiver` or `worker`.
    kind: &'static str,
    /// The name of the subject.
    about: String,
    event: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What else the audit log has of it, as JSON; empty if that is too long.
    details: String,
}

/// Selects events. All conditions have to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    /// A part of the subject's name or of the details.
    pub(crate) text: String,
    pub(crate) event: Option<String>,
    pub(crate) outcome: Option<String>,
}

impl RecentEvents {
    /// Keeps an event, and forgets the oldest if there are too many.
    pub fn push(&self, event: &AuditEvent) {
        let Some(mut recent) = RecentEvent::of(event) else { return };
        let mut ring = self.0.lock_unpoisoned();
        ring.last += 1;
        recent.number = ring.last;
        if ring.events.len() >= MAX_EVENTS {
            ring.events.pop_front();
        }
        ring.events.push_back(recent);
    }

    /// The newest of the selected events after a number, at most `limit`, in order; and the number of the last event.
    pub(crate) fn since(&self, after: u64, filter: &EventFilter, limit: usize) -> (Vec<RecentEvent>, u64) {
        let ring = self.0.lock_unpoisoned();
        let newer = ring.events.iter().rev().take_while(|event| event.number > after);
        let mut events: Vec<_> = newer.filter(|event| filter.selects(event)).take(limit).cloned().collect();
        events.reverse();
        (events, ring.last)
    }
}

impl RecentEvent {
    fn of(event: &AuditEvent) -> Option<Self> {
        let Value::Object(mut fields) = serde_json::to_value(event).ok()? else { return None };
        let (kind, about) = event.subject.kind_and_name();
        let word = fields.remove("event")?.as_str()?.to_owned();
        for known in ["time", kind, "outcome", "code"] {
            fields.remove(known);
        }
        Some(Self {
            number: 0,
            time: event.time.clone(),
            kind,
            about: about.to_owned(),
            event: word,
            outcome: event.outcome.as_str(),
            code: event.code.clone(),
            details: details(&fields),
        })
    }
}

fn details(fields: &Map<String, Value>) -> String {
    let text = serde_json::to_string(fields).unwrap_or_default();
    if text.len() > MAX_DETAILS { String::new() } else { text }
}

impl EventFilter {
    fn selects(&self, event: &RecentEvent) -> bool {
        self.event.as_ref().is_none_or(|wanted| *wanted == event.event)
            && self.outcome.as_ref().is_none_or(|wanted| *wanted == event.outcome)
            && (event.about.contains(&self.text) || event.details.contains(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use deputy_audit::{AuditAction, AuditOutcome, AuditSubject, CallId};

    use super::*;

    fn event(name: &str, path: &str, outcome: AuditOutcome) -> AuditEvent {
        AuditEvent {
            time: "2026-01-01T00:00:00.000Z".to_owned(),
            subject: AuditSubject::Instance(name.parse().unwrap()),
            call: CallId(7),
            action: AuditAction::Output { path: path.to_owned(), bytes: 3 },
            outcome,
            code: None,
        }
    }

    #[test]
    fn recent_events_keep_the_last_ones() {
        let recent = RecentEvents::default();
        let count = MAX_EVENTS + 5;
        (0..count).for_each(|number| recent.push(&event("s3", &number.to_string(), AuditOutcome::Done)));
        let (kept, last) = recent.since(0, &EventFilter::default(), usize::MAX);
        assert_eq!((kept.len(), last), (MAX_EVENTS, count as u64));
        assert_eq!((kept[0].number, kept[0].details.as_str()), (6, r#"{"bytes":3,"call":7,"path":"5"}"#));
        let (newer, _) = recent.since(last - 2, &EventFilter::default(), usize::MAX);
        assert_eq!(newer.iter().map(|event| event.number).collect::<Vec<_>>(), [last - 1, last]);
        let (newest, _) = recent.since(0, &EventFilter::default(), 3);
        assert_eq!(newest.iter().map(|event| event.number).collect::<Vec<_>>(), [last - 2, last - 1, last]);
    }

    #[test]
    fn recent_events_are_filtered() {
        let recent = RecentEvents::default();
        recent.push(&event("s3-prod", "a", AuditOutcome::Done));
        recent.push(&event("s3-lab", "needle", AuditOutcome::Refused));
        let found = |text: &str, event: Option<&str>, outcome: Option<&str>| {
            let filter = EventFilter {
                text: text.to_owned(),
                event: event.map(str::to_owned),
                outcome: outcome.map(str::to_owned),
            };
            let (events, _) = recent.since(0, &filter, 10);
            events.into_iter().map(|event| event.about).collect::<Vec<_>>()
        };
        assert_eq!(found("", None, None), ["s3-prod", "s3-lab"]);
        assert_eq!(found("prod", None, None), ["s3-prod"]);
        assert_eq!(found("needle", Some("output"), Some("refused")), ["s3-lab"]);
        assert!(found("", Some("http"), None).is_empty() && found("", None, Some("failed")).is_empty());
    }

    #[test]
    fn recent_event_that_is_long_has_no_details() {
        let recent = RecentEvents::default();
        recent.push(&event("s3", &"x".repeat(MAX_DETAILS), AuditOutcome::Done));
        let (events, _) = recent.since(0, &EventFilter::default(), 1);
        assert_eq!(events[0].details, "");
    }
}

//! What a page asks for: which rows, and which events.

use deputy_coordinator::WorkerQuery;
use deputy_core::GroupName;
use deputy_local::{ControlError, Parameters};

use crate::recent_events::EventFilter;

/// Rows of a table in a message.
pub(crate) const MAX_ROWS: usize = 50;

/// Characters of a text that is searched for.
const MAX_TEXT: usize = 200;

const KNOWN: [&str; 10] =
    ["skip", "name", "attention", "group", "after", "instance", "troubled", "text", "event", "outcome"];

/// The view of one page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PageQuery {
    /// Instances before the first row.
    pub(crate) skip: usize,
    /// A part of an instance's name or service.
    pub(crate) name: String,
    /// Only instances that need attention.
    pub(crate) attention: bool,
    pub(crate) workers: WorkerQuery,
    pub(crate) events: EventFilter,
}

impl PageQuery {
    pub(crate) fn decode(query: Option<&str>) -> Result<Self, ControlError> {
        let parameters = Parameters::decode(query);
        parameters.reject_others(&KNOWN)?;
        let text = |name| -> Result<String, ControlError> {
            let text = parameters.get::<String>(name)?.unwrap_or_default();
            Ok(text.chars().take(MAX_TEXT).collect())
        };
        let word = |name| text(name).map(|text| Some(text).filter(|text| !text.is_empty()));
        Ok(Self {
            skip: parameters.get("skip")?.unwrap_or(0),
            name: text("name")?,
            attention: parameters.get("attention")?.unwrap_or(false),
            workers: WorkerQuery {
                after: parameters.get("after")?,
                limit: Some(MAX_ROWS),
                group: parameters.get::<GroupName>("group")?,
                instance: parameters.get("instance")?,
                troubled: parameters.get("troubled")?.unwrap_or(false),
                ..WorkerQuery::default()
            },
            events: EventFilter { text: text("text")?, event: word("event")?, outcome: word("outcome")? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_query_has_every_parameter() {
        let text = "skip=50&name=s3&attention=true&group=etl&after=0123456789abcdef&instance=api&troubled=true\
                    &text=a+b&event=http&outcome=refused";
        let query = PageQuery::decode(Some(text)).unwrap();
        assert_eq!((query.skip, query.name.as_str(), query.attention), (50, "s3", true));
        assert_eq!(query.workers.group, Some("etl".parse().unwrap()));
        assert_eq!(query.workers.after, Some("0123456789abcdef".parse().unwrap()));
        assert_eq!(query.workers.instance, Some("api".parse().unwrap()));
        assert!(query.workers.troubled && query.workers.limit == Some(MAX_ROWS));
        let outcome = Some("refused".to_owned());
        assert_eq!(query.events, EventFilter { text: "a b".to_owned(), event: Some("http".to_owned()), outcome });
        for name in KNOWN {
            assert!(text.contains(&format!("{name}=")), "{name}");
        }
    }

    #[test]
    fn page_query_that_is_wrong_is_refused() {
        for text in ["skip=-1", "attention=maybe", "group=..%2F", "after=1", "limit=100000"] {
            assert_eq!(PageQuery::decode(Some(text)).unwrap_err().kind, "request", "{text}");
        }
        let long = format!("name={}", "x".repeat(10 * MAX_TEXT));
        assert_eq!(PageQuery::decode(Some(&long)).unwrap().name.len(), MAX_TEXT);
    }
}

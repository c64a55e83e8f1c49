//! Parameters of requests on the control socket: each encoded for the client and decoded for the server in one place.

use deputy_core::{GroupName, Span};
use deputy_local::{ControlError, Parameters};

use crate::reload::Removals;
use crate::status::StatusQuery;
use crate::workers::WorkerQuery;

/// A join token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinTokenRequest {
    pub(crate) group: GroupName,
    pub(crate) uses: u32,
    pub(crate) ttl: Span,
}

const MAX_TOKEN_TTL: Span = Span::secs(30 * 86_400);

impl Removals {
    pub(crate) fn encode(self) -> Parameters {
        Parameters::default().with("remove", (self == Self::Any).then_some("any"))
    }

    pub(crate) fn decode(parameters: &Parameters) -> Result<Self, ControlError> {
        parameters.reject_others(&["remove"])?;
        match parameters.get::<String>("remove")?.as_deref() {
            None => Ok(Self::Few),
            Some("any") => Ok(Self::Any),
            Some(_) => Err(ControlError::new("request", "parameter `remove` must be `any`")),
        }
    }
}

impl JoinTokenRequest {
    pub(crate) fn encode(&self) -> Parameters {
        let Self { group, uses, ttl } = self;
        Parameters::default().with("group", Some(group)).with("uses", Some(uses)).with("ttl", Some(ttl))
    }

    pub(crate) fn decode(parameters: &Parameters) -> Result<Self, ControlError> {
        parameters.reject_others(&["group", "uses", "ttl"])?;
        let group = parameters.get("group")?;
        let group = group.ok_or_else(|| ControlError::new("request", "a join token needs the parameter `group`"))?;
        let uses = parameters.get("uses")?.unwrap_or(1);
        let ttl = parameters.get("ttl")?.unwrap_or(Span::secs(600));
        if uses == 0 || ttl.as_millis() == 0 || ttl > MAX_TOKEN_TTL {
            return Err(ControlError::new(
                "request",
                "a join token needs at least one use and a ttl of at most 30 days",
            ));
        }
        Ok(Self { group, uses, ttl })
    }
}

impl StatusQuery {
    pub(crate) fn encode(&self) -> Parameters {
        Parameters::default()
            .with("after", self.after.as_ref())
            .with("limit", self.limit)
            .with("prefix", self.prefix.as_ref())
            .with("ready", self.ready)
    }

    pub(crate) fn decode(parameters: &Parameters) -> Result<Self, ControlError> {
        parameters.reject_others(&["after", "limit", "prefix", "ready"])?;
        Ok(Self {
            after: parameters.get("after")?,
            limit: parameters.get("limit")?,
            prefix: parameters.get("prefix")?,
            ready: parameters.get("ready")?,
        })
    }
}

impl WorkerQuery {
    pub(crate) fn encode(&self) -> Parameters {
        Parameters::default()
            .with("after", self.after)
            .with("limit", self.limit)
            .with("group", self.group.as_ref())
            .with("state", self.state.map(|state| state.word()))
            .with("instance", self.instance.as_ref())
            .with("troubled", self.troubled.then_some(true))
    }

    pub(crate) fn decode(parameters: &Parameters) -> Result<Self, ControlError> {
        parameters.reject_others(&["after", "limit", "group", "state", "instance", "troubled"])?;
        Ok(Self {
            after: parameters.get("after")?,
            limit: parameters.get("limit")?,
            group: parameters.get("group")?,
            state: parameters.get("state")?,
            instance: parameters.get("instance")?,
            troubled: parameters.get("troubled")?.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::WorkerCondition;

    #[test]
    fn parameters_decode_to_what_was_encoded() {
        for removals in [Removals::Few, Removals::Any] {
            assert_eq!(Removals::decode(&removals.encode()).unwrap(), removals);
        }
        let token = JoinTokenRequest { group: "etl".parse().unwrap(), uses: 3, ttl: Span::secs(90) };
        assert_eq!(JoinTokenRequest::decode(&token.encode()).unwrap(), token);
        let query = WorkerQuery {
            after: Some("0123456789abcdef".parse().unwrap()),
            limit: Some(7),
            group: Some("etl".parse().unwrap()),
            state: Some(WorkerCondition::Connected),
            instance: Some("s3-prod".parse().unwrap()),
            troubled: true,
        };
        for query in [query, WorkerQuery::default()] {
            assert_eq!(WorkerQuery::decode(&query.encode()).unwrap(), query);
        }
        let query = StatusQuery {
            after: Some("s3-prod".parse().unwrap()),
            limit: Some(7),
            prefix: Some("s3-&=".into()),
            ready: Some(false),
        };
        for query in [query, StatusQuery::default()] {
            assert_eq!(StatusQuery::decode(&query.encode()).unwrap(), query);
        }
    }

    #[test]
    fn parameters_out_of_bounds_are_refused() {
        for text in ["", "group=etl&uses=0", "group=etl&ttl=0s", "group=etl&ttl=31d", "group=E T L", "group=etl&x=1"] {
            let error = JoinTokenRequest::decode(&Parameters::decode(Some(text))).unwrap_err();
            assert_eq!(error.kind, "request", "{text}");
        }
        for text in ["remove=few", "remove", "force=any"] {
            assert_eq!(Removals::decode(&Parameters::decode(Some(text))).unwrap_err().kind, "request", "{text}");
        }
        for text in ["state=asleep", "limit=-1", "after=x", "page=2"] {
            assert_eq!(WorkerQuery::decode(&Parameters::decode(Some(text))).unwrap_err().kind, "request", "{text}");
        }
        for text in ["after=S 3", "limit=all", "ready=no", "service=s3"] {
            assert_eq!(StatusQuery::decode(&Parameters::decode(Some(text))).unwrap_err().kind, "request", "{text}");
        }
    }
}

//! The query of a request: names and values, encoded by the client and decoded by the server.

use std::fmt::Display;
use std::str::FromStr;

use crate::ControlError;

/// The parameters of a request, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Adds a parameter if it has a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<impl Display>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    pub fn decode(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(crate) fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last value of this name. Fails if it does not parse.
    pub fn get<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, ControlError> {
        let value = self.0.iter().rev().find(|(known, _)| known == name);
        value
            .map(|(_, value)| {
                let parsed = value.parse();
                parsed.map_err(|error: T::Err| ControlError::new("request", &format!("parameter `{name}`: {error}")))
            })
            .transpose()
    }

    /// Fails if there is a parameter of any other name.
    pub fn reject_others(&self, known: &[&str]) -> Result<(), ControlError> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("unknown parameter {name:?}; this request takes: {}", known.join(", "));
                Err(ControlError::new("request", &message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_survive_the_round_trip() {
        let parameters = Parameters::default().with("a", Some("x y&z=é%2B+")).with("b", None::<u8>).with("c", Some(7));
        let encoded = parameters.encode();
        assert!(encoded.is_ascii() && !encoded.contains(' '), "{encoded}");
        assert_eq!(Parameters::decode(Some(&encoded)), parameters);
        assert_eq!(parameters.get::<String>("a").unwrap().as_deref(), Some("x y&z=é%2B+"));
        assert_eq!((parameters.get::<u8>("b").unwrap(), parameters.get::<u8>("c").unwrap()), (None, Some(7)));
        assert_eq!(parameters.get::<u8>("a").unwrap_err().kind, "request");
    }

    #[test]
    fn parameters_reject_unknown_names() {
        let parameters = Parameters::decode(Some("group=a&uses=1"));
        assert!(parameters.reject_others(&["group", "uses"]).is_ok());
        let error = parameters.reject_others(&["uses", "ttl"]).unwrap_err();
        assert_eq!(error.message, "unknown parameter \"group\"; this request takes: uses, ttl");
        assert!(Parameters::decode(None).reject_others(&[]).is_ok());
    }
}

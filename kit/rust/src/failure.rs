//! Making the contract's failures.
//!
//! ```
//! use deputy_kit::failure;
//!
//! let failure = failure::denied("AssumeRole: 403 ExpiredToken").code("ExpiredToken").after(60_000);
//! ```

use crate::types::{Fact, Failure, Next};

/// A setting or grant is missing or wrong. [`wrong_setting`](crate::settings::wrong_setting) names the setting as well.
pub fn misconfigured(message: impl Into<String>) -> Failure {
    new(Next::Misconfigured, message)
}

/// The service understood and refused.
pub fn denied(message: impl Into<String>) -> Failure {
    new(Next::Denied, message)
}

/// No answer, or one that says "later".
pub fn unavailable(message: impl Into<String>) -> Failure {
    new(Next::Unavailable, message)
}

/// The service asked to slow down: `delay` is in milliseconds, and none if it did not say for how long.
pub fn throttled(message: impl Into<String>, delay: Option<u64>) -> Failure {
    Failure { retry_after_ms: delay, ..new(Next::Throttled, message) }
}

/// From `renew`: these tokens cannot be prolonged. From `obtain`: what `state` held is no longer good.
pub fn ended(message: impl Into<String>) -> Failure {
    new(Next::Ended, message)
}

/// A person has to act.
pub fn attention(message: impl Into<String>) -> Failure {
    new(Next::Attention, message)
}

fn new(next: Next, message: impl Into<String>) -> Failure {
    Failure { next, message: message.into(), code: None, setting: None, retry_after_ms: None, facts: Vec::new() }
}

impl Failure {
    /// The same with the service's own code.
    #[must_use]
    pub fn code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// The same with the name of the setting that is wrong.
    #[must_use]
    pub fn setting(self, name: impl Into<String>) -> Self {
        Self { setting: Some(name.into()), ..self }
    }

    /// The same with the least time to wait before the next try, in milliseconds.
    #[must_use]
    pub fn after(self, delay: u64) -> Self {
        Self { retry_after_ms: Some(delay), ..self }
    }

    /// The same with one more fact: what to show beside it, never a secret.
    #[must_use]
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push(Fact { name: name.into(), value: value.into() });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_has_nothing_that_was_not_given() {
        for (failure, next) in [
            (misconfigured("m"), Next::Misconfigured),
            (denied("m"), Next::Denied),
            (unavailable("m"), Next::Unavailable),
            (throttled("m", None), Next::Throttled),
            (ended("m"), Next::Ended),
            (attention("m"), Next::Attention),
        ] {
            assert_eq!((failure.next, failure.message.as_str()), (next, "m"));
            assert_eq!((failure.code, failure.setting, failure.retry_after_ms), (None, None, None));
            assert!(failure.facts.is_empty());
        }
    }

    #[test]
    fn failure_keeps_all_that_was_given() {
        let failure = throttled("slow down", Some(7000)).code("SlowDown").setting("rate").fact("request", "a1");
        let failure = failure.fact("zone", "b");
        assert_eq!(failure.retry_after_ms, Some(7000));
        assert_eq!((failure.code.as_deref(), failure.setting.as_deref()), (Some("SlowDown"), Some("rate")));
        let facts: Vec<_> = failure.facts.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect();
        assert_eq!(facts, [("request", "a1"), ("zone", "b")]);
        assert_eq!(unavailable("m").after(0).retry_after_ms, Some(0));
    }
}

//! Limits that an operator set in a file, or a coordinator over the link. Each value is within the bounds of its limit.

use std::collections::BTreeMap;

use super::{Limit, Limits};

/// Some limits. The others keep their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitOverrides(BTreeMap<Limit, u64>);

/// The value of a limit is not within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{number} is not a valid value of the limit `{limit}`: from {} to {}", .limit.bounds().start(), .limit.bounds().end())]
pub struct LimitError {
    pub limit: Limit,
    /// The rejected value, as in [`LimitValue::number`](super::LimitValue::number).
    pub number: u64,
}

impl LimitOverrides {
    /// These limits, with numbers as in [`LimitValue::number`](super::LimitValue::number).
    ///
    /// # Errors
    /// If one of them is not within its bounds.
    pub fn new(limits: impl IntoIterator<Item = (Limit, u64)>) -> Result<Self, LimitError> {
        let mut some = Self::default();
        limits.into_iter().try_for_each(|(limit, number)| some.set(limit, number))?;
        Ok(some)
    }

    /// Sets one limit.
    ///
    /// # Errors
    /// If the number, which is as in [`LimitValue::number`](super::LimitValue::number), is not within the limit's bounds.
    pub fn set(&mut self, limit: Limit, number: u64) -> Result<(), LimitError> {
        if !limit.bounds().contains(&number) {
            return Err(LimitError { limit, number });
        }
        self.0.insert(limit, number);
        Ok(())
    }

    /// The limits that are set, with numbers as in [`LimitValue::number`](super::LimitValue::number).
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> {
        self.0.iter().map(|(limit, number)| (*limit, *number))
    }

    /// Whether this limit is set.
    pub fn sets(&self, limit: Limit) -> bool {
        self.0.contains_key(&limit)
    }

    /// These limits and others, which take precedence.
    #[must_use]
    pub fn with(mut self, last: &Self) -> Self {
        self.0.extend(last.iter());
        self
    }
}

impl Limits {
    /// These limits, with some of them set.
    #[must_use]
    pub fn with(mut self, some: &LimitOverrides) -> Self {
        for (limit, number) in some.iter() {
            self.set(limit, number);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LimitValue;

    fn some<const N: usize>(limits: [(Limit, u64); N]) -> LimitOverrides {
        LimitOverrides::new(limits).unwrap()
    }

    #[test]
    fn limit_overrides_set_one_limit_and_no_other() {
        for limit in Limit::ALL {
            for number in [*limit.bounds().start(), *limit.bounds().end()] {
                let changed = Limits::default().with(&some([(limit, number)]));
                assert_eq!(changed.value(limit).number(), number, "{limit}");
                let back = changed.with(&some([(limit, Limits::default().value(limit).number())]));
                assert_eq!(back, Limits::default(), "{limit}");
            }
        }
    }

    #[test]
    fn limit_override_outside_its_bounds_is_rejected() {
        for limit in Limit::ALL {
            let (least, most) = limit.bounds().into_inner();
            assert!(u32::try_from(most).is_ok() || !matches!(Limits::default().value(limit), LimitValue::Count(_)));
            for number in [0, least - 1, most + 1, u64::from(u32::MAX) + 2, u64::MAX] {
                let mut some = LimitOverrides::default();
                assert_eq!(some.set(limit, number), Err(LimitError { limit, number }));
                assert_eq!(some, LimitOverrides::default());
            }
        }
        let error = LimitError { limit: Limit::Instances, number: 65 };
        assert_eq!(error.to_string(), "65 is not a valid value of the limit `instances`: from 1 to 64");
    }

    #[test]
    fn limit_overrides_combine_with_the_last_taking_precedence() {
        let first = some([(Limit::Cpu, 1), (Limit::Wall, 2)]);
        let last = some([(Limit::Wall, 3), (Limit::Handles, 4)]);
        assert_eq!(first.with(&last), some([(Limit::Cpu, 1), (Limit::Wall, 3), (Limit::Handles, 4)]));
        assert!(last.sets(Limit::Wall) && !last.sets(Limit::Cpu));
    }

    #[test]
    fn limit_is_found_by_its_key() {
        for limit in Limit::ALL {
            assert_eq!(Limit::of_key(limit.key()), Some(limit));
        }
        assert_eq!((Limit::of_key("Wall"), Limit::of_key("")), (None, None));
    }
}

//! Limits that somebody set, whoever it was: an operator in a file, or a coordinator over the link.
//!
//! Each value is within the bounds of its limit, so that who has some of them need not look at them again. The bounds are
//! here and nowhere else: nothing is zero, and nothing is so large that one component could exhaust a usual machine, or so
//! large that the engine has no room for it. A limit that is never reached would promise what nobody gets.

#![deny(missing_docs)]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::limits::LimitField;
use crate::{ByteSize, Limit, Limits, Span};

/// Some limits. Those that are not among them are as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitOverrides(BTreeMap<Limit, u64>);

/// A limit can't be what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{number} is not a valid value of the limit `{limit}`: from {} to {}", .limit.bounds().start(), .limit.bounds().end())]
pub struct LimitError {
    /// Which.
    pub limit: Limit,
    /// What it was to be, as in [`Amount::number`](crate::Amount::number).
    pub number: u64,
}

impl LimitOverrides {
    /// These, each with its number as in [`Amount::number`](crate::Amount::number).
    ///
    /// # Errors
    /// If one of them is not within its bounds.
    pub fn new(limits: impl IntoIterator<Item = (Limit, u64)>) -> Result<Self, LimitError> {
        let mut some = Self::default();
        limits.into_iter().try_for_each(|(limit, number)| some.set(limit, number))?;
        Ok(some)
    }

    /// Sets one, in place of what it was.
    ///
    /// # Errors
    /// If the number, which is as in [`Amount::number`](crate::Amount::number), is not within the limit's bounds.
    pub fn set(&mut self, limit: Limit, number: u64) -> Result<(), LimitError> {
        if !limit.bounds().contains(&number) {
            return Err(LimitError { limit, number });
        }
        self.0.insert(limit, number);
        Ok(())
    }

    /// Those that are set, with numbers as in [`Amount::number`](crate::Amount::number).
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> {
        self.0.iter().map(|(limit, number)| (*limit, *number))
    }

    /// Whether this one is among them.
    pub fn sets(&self, limit: Limit) -> bool {
        self.0.contains_key(&limit)
    }

    /// These and the others, which have the last word.
    #[must_use]
    pub fn with(mut self, last: &Self) -> Self {
        self.0.extend(last.iter());
        self
    }
}

impl Limits {
    /// These, with some of them set.
    #[must_use]
    pub fn with(mut self, some: &LimitOverrides) -> Self {
        for (limit, number) in some.iter() {
            match self.slot(limit) {
                // No bound is as great as that.
                LimitField::Count(count) => *count = u32::try_from(number).unwrap_or(u32::MAX),
                LimitField::Size(size) => *size = ByteSize::bytes(number),
                LimitField::Time(time) => *time = Span::millis(number),
            }
        }
        self
    }
}

impl Limit {
    /// The limit of this key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.key() == key)
    }

    /// The least and the greatest value that make sense, as in [`Amount::number`](crate::Amount::number).
    pub fn bounds(self) -> RangeInclusive<u64> {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const HOUR: u64 = 3_600_000;
        match self {
            Self::BetweenBytes
            | Self::Connect
            | Self::Cpu
            | Self::Exchange
            | Self::FirstByte
            | Self::Tls
            | Self::Wall => 1..=HOUR,
            Self::Argument | Self::OutputBytes => 1..=64 * MIB,
            Self::Payload => 1..=Limits::MOST_PAYLOAD.as_u64(),
            Self::Handles => 1..=65_536,
            Self::Headers => 1..=MIB,
            Self::Instances => 1..=Limits::MOST_INSTANCES.into(),
            Self::LogBytes => 1..=16 * MIB,
            Self::LogLines | Self::SecretOperations => 1..=100_000,
            Self::Memory => 64 * KIB..=Limits::MOST_MEMORY.as_u64(),
            Self::OutputFiles | Self::Requests => 1..=10_000,
            Self::Received | Self::Sent => 1..=1024 * MIB,
            Self::Response => 1..=256 * MIB,
            Self::TableElements => 1..=Limits::MOST_TABLE_ELEMENTS.into(),
            Self::Url => 1..=64 * KIB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LimitValue;

    fn some<const N: usize>(limits: [(Limit, u64); N]) -> LimitOverrides {
        LimitOverrides::new(limits).unwrap()
    }

    #[test]
    fn every_limit_can_be_set_and_none_changes_another() {
        for limit in Limit::ALL {
            for number in [*limit.bounds().start(), *limit.bounds().end()] {
                let changed = Limits::default().with(&some([(limit, number)]));
                assert_eq!(changed.amount(limit).number(), number, "{limit}");
                let back = changed.with(&some([(limit, Limits::default().amount(limit).number())]));
                assert_eq!(back, Limits::default(), "{limit}");
            }
        }
    }

    #[test]
    fn every_default_is_within_its_bounds() {
        for limit in Limit::ALL {
            assert!(limit.bounds().contains(&Limits::default().amount(limit).number()), "{limit}");
        }
    }

    #[test]
    fn what_is_not_within_its_bounds_is_not_set() {
        for limit in Limit::ALL {
            let (least, most) = limit.bounds().into_inner();
            assert!(u32::try_from(most).is_ok() || !matches!(Limits::default().amount(limit), LimitValue::Count(_)));
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
    fn who_speaks_last_has_the_last_word_and_says_nothing_of_the_others() {
        let first = some([(Limit::Cpu, 1), (Limit::Wall, 2)]);
        let last = some([(Limit::Wall, 3), (Limit::Handles, 4)]);
        assert_eq!(first.with(&last), some([(Limit::Cpu, 1), (Limit::Wall, 3), (Limit::Handles, 4)]));
        assert!(last.sets(Limit::Wall) && !last.sets(Limit::Cpu));
    }

    #[test]
    fn a_limit_is_found_by_its_key() {
        for limit in Limit::ALL {
            assert_eq!(Limit::of_key(limit.key()), Some(limit));
        }
        assert_eq!((Limit::of_key("Wall"), Limit::of_key("")), (None, None));
    }
}

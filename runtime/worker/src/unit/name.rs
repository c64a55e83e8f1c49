//! Names of units: a number that grows, and random digits, so that no name is ever used twice.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand::SecureRandom;

use super::PublishError;

/// The name of a unit's directory: `7-00c0ffee00c0ffee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    number: u64,
    random: u64,
}

impl UnitName {
    pub(super) fn new(number: u64, random: &dyn SecureRandom) -> Result<Self, PublishError> {
        let mut bytes = [0; 8];
        random.fill(&mut bytes).map_err(|_| PublishError::Random)?;
        Ok(Self { number, random: u64::from_be_bytes(bytes) })
    }

    /// Counts the units of a receiver, from one.
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.number, self.random)
    }
}

impl FromStr for UnitName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, random) = text.split_once('-').ok_or(())?;
        let number = number.parse().map_err(drop)?;
        let random = u64::from_str_radix(random, 16).map_err(drop)?;
        let name = Self { number, random };
        // Signs, capitals and leading zeros are not written here.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_name_survives_the_round_trip() {
        for name in [UnitName { number: 0, random: 0 }, UnitName { number: u64::MAX, random: u64::MAX }] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn unit_name_rejects_other_spellings() {
        for text in ["", "-", "1-", "1-0", "01-0000000000000000", "1-+000000000000000", "1-000000000000000G", "a", ".."]
        {
            assert!(text.parse::<UnitName>().is_err(), "{text}");
        }
    }
}

//! Names of units: a number that grows, and chance, so that no name ever comes again.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand::SecureRandom;

use super::PublishError;

/// The name of a unit's directory: `7-00c0ffee00c0ffee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    number: u64,
    chance: u64,
}

impl UnitName {
    pub(super) fn new(number: u64, random: &dyn SecureRandom) -> Result<Self, PublishError> {
        let mut bytes = [0; 8];
        random.fill(&mut bytes).map_err(|_| PublishError::Random)?;
        Ok(Self { number, chance: u64::from_be_bytes(bytes) })
    }

    /// How many there were before it, and one.
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.number, self.chance)
    }
}

impl FromStr for UnitName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, chance) = text.split_once('-').ok_or(())?;
        let number = number.parse().map_err(drop)?;
        let chance = u64::from_str_radix(chance, 16).map_err(drop)?;
        let name = Self { number, chance };
        // Signs, capitals and zeros in front are nobody's but somebody else's.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_the_round_trip() {
        for name in [UnitName { number: 0, chance: 0 }, UnitName { number: u64::MAX, chance: u64::MAX }] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn what_nobody_here_made_is_no_name() {
        for text in ["", "-", "1-", "1-0", "01-0000000000000000", "1-+000000000000000", "1-000000000000000G", "a", ".."]
        {
            assert!(text.parse::<UnitName>().is_err(), "{text}");
        }
    }
}

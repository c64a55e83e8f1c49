//! Which SCRAM logins a password may be used for: those of one user.

use super::SecretGrantError;

/// The longest name of a user, in bytes.
const MAX_USERNAME: usize = 255;

/// For whose logins a password may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramGrant {
    username: String,
}

impl ScramGrant {
    /// A grant for logins of this user.
    ///
    /// # Errors
    /// If it is no name that SCRAM can carry.
    pub fn new(username: String) -> Result<Self, SecretGrantError> {
        let is_name = (1..=MAX_USERNAME).contains(&username.len()) && !username.contains(char::is_control);
        if is_name { Ok(Self { username }) } else { Err(SecretGrantError::Username) }
    }

    pub fn username(&self) -> &str {
        &self.username
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scram_grant_has_a_name() {
        assert_eq!(ScramGrant::new("carol, =x".to_owned()).unwrap().username(), "carol, =x");
        for name in [String::new(), "a\nb".to_owned(), "a\0".to_owned(), "u".repeat(256)] {
            assert_eq!(ScramGrant::new(name), Err(SecretGrantError::Username));
        }
    }
}

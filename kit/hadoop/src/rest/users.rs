//! For which user a token is, and who renews it.

use crate::held::is_own;
use crate::kerberos;
use deputy_kit::types::Failure;

/// The settings `renewer` and `doas` of a provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenUsers<'a> {
    /// Who renews the token, if not the instance's own principal.
    pub renewer: Option<&'a str>,
    /// The proxied user that the token is for.
    pub doas: Option<&'a str>,
}

impl<'a> TokenUsers<'a> {
    /// The renewer to request. Without one the server takes the user that the token is for.
    ///
    /// # Errors
    /// If the principal is needed and the operator has granted no login.
    pub fn requested_renewer(&self) -> Result<Option<String>, Failure> {
        match (self.renewer, self.doas) {
            (Some(renewer), _) => Ok(Some(renewer.to_owned())),
            (None, Some(_)) => Ok(Some(kerberos::principal()?)),
            (None, None) => Ok(None),
        }
    }

    /// The renewer, if it is another than the instance's own principal.
    ///
    /// # Errors
    /// If the principal is needed and the operator has granted no login.
    pub fn other_renewer(&self) -> Result<Option<&'a str>, Failure> {
        match self.renewer {
            Some(renewer) if !is_own(renewer, &kerberos::principal()?) => Ok(Some(renewer)),
            _ => Ok(None),
        }
    }

    /// The proxied user on whose behalf a token is cancelled. Owner and renewer may cancel, and the principal is neither
    /// if another program renews for a proxied user.
    ///
    /// # Errors
    /// If the principal is needed and the operator has granted no login.
    pub fn cancels_for(&self) -> Result<Option<&'a str>, Failure> {
        Ok(if self.other_renewer()?.is_some() { self.doas } else { None })
    }
}

//! What a component asks for, with the operator's login and user name.

use deputy_config::CoordinatorFile;
use deputy_core::{DescribedWant, GrantRequest, LoginPlan, OpenQuestion, OperatorFacts};

use super::{AddArgs, DescribedProvider};
use crate::error::CommandError;
use crate::exit::Exit;

/// The login of `--login`, or the only one.
pub(super) fn login<'c>(
    config: &'c CoordinatorFile,
    arguments: &AddArgs,
) -> Result<Option<&'c LoginPlan>, CommandError> {
    match (&arguments.login, config.logins.as_slice()) {
        (Some(name), logins) => match logins.iter().find(|login| login.name == *name) {
            Some(login) => Ok(Some(login)),
            None => {
                let error = format!("{} has no login `{name}`", config.path.display());
                Err(CommandError::new(Exit::Misconfigured, error).hint(format!("define it under [logins.{name}]")))
            }
        },
        (None, [only]) => Ok(Some(only)),
        (None, _) => Ok(None),
    }
}

/// What the component wants, with what only the operator knows.
pub(super) fn read(
    described: &DescribedProvider,
    login: Option<&LoginPlan>,
    arguments: &AddArgs,
) -> Result<GrantRequest, CommandError> {
    let wants: &[DescribedWant] = described.description.wants.as_deref().unwrap_or_default();
    let facts =
        OperatorFacts { realm: login.map(|login| login.principal.realm()), username: arguments.username.as_deref() };
    let request = GrantRequest::read(wants, facts).map_err(|error| CommandError::new(Exit::Misconfigured, error))?;
    match request.open.first() {
        None => {}
        Some(OpenQuestion::Login) => {
            let error = "the component wants a login to Kerberos, and it is not clear which one";
            let hint = "define one under [logins.NAME], and name it with --login NAME";
            return Err(CommandError::new(Exit::Misconfigured, error).hint(hint));
        }
        Some(OpenQuestion::Username) => {
            let error = "the component logs in by SCRAM, and does not know the user";
            return Err(CommandError::new(Exit::Misconfigured, error).hint("name the user with --username NAME"));
        }
    }
    Ok(request)
}

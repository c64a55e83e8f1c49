//! Which payloads go into which variables.

use std::str::FromStr;

use super::{ExecArgs, ExecError};

/// `NAME` or `NAME=INSTANCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VariableTarget {
    variable: String,
    instance: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME or NAME=INSTANCE, where NAME has letters, digits and underscores and begins with no digit")]
pub(super) struct VariableTargetError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassedAs {
    Value,
    /// The variable has the path of a file.
    File,
}

/// Instances in the order of the command line, each with its variables.
#[derive(Debug)]
pub(super) struct Targets<'a> {
    pub(super) by_instance: Vec<(&'a str, Vec<(PassedAs, &'a str)>)>,
}

impl<'a> Targets<'a> {
    pub(super) fn of(arguments: &'a ExecArgs) -> Result<Self, ExecError> {
        let mut targets = Self { by_instance: Vec::new() };
        for instance in &arguments.instances {
            if targets.by_instance.iter().any(|(name, _)| name == instance) {
                return Err(ExecError::RepeatedInstance(instance.clone()));
            }
            targets.by_instance.push((instance, Vec::new()));
        }
        for target in &arguments.env {
            targets.add(PassedAs::Value, target)?;
        }
        for target in &arguments.file_env {
            targets.add(PassedAs::File, target)?;
        }
        Ok(targets)
    }

    fn add(&mut self, passed_as: PassedAs, target: &'a VariableTarget) -> Result<(), ExecError> {
        let (_, variables) = match (&target.instance, self.by_instance.as_mut_slice()) {
            (Some(instance), named) => named
                .iter_mut()
                .find(|(name, _)| name == instance)
                .ok_or_else(|| ExecError::UnnamedInstance(instance.clone()))?,
            (None, [only]) => only,
            (None, _) => return Err(ExecError::AmbiguousVariable(target.variable.clone())),
        };
        variables.push((passed_as, &target.variable));
        Ok(())
    }
}

impl FromStr for VariableTarget {
    type Err = VariableTargetError;

    fn from_str(text: &str) -> Result<Self, VariableTargetError> {
        let (variable, instance) = match text.split_once('=') {
            Some((variable, instance)) => (variable, Some(instance.to_owned())),
            None => (text, None),
        };
        let begins_well = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_plain = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_named = instance.as_ref().is_none_or(|instance| !instance.is_empty());
        if begins_well && is_plain && is_named {
            Ok(Self { variable: variable.to_owned(), instance })
        } else {
            Err(VariableTargetError)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::commands::Command;

    #[test]
    fn exec_target_is_a_variable_and_perhaps_an_instance() {
        let target = |variable: &str, instance: Option<&str>| VariableTarget {
            variable: variable.to_owned(),
            instance: instance.map(str::to_owned),
        };
        assert_eq!("TOKEN".parse(), Ok(target("TOKEN", None)));
        assert_eq!("_t0=s3-prod".parse(), Ok(target("_t0", Some("s3-prod"))));
        for text in ["", "=", "=a", "A=", "0A", "A-B", "A B", "\u{c4}", "A\n"] {
            assert_eq!(text.parse::<VariableTarget>(), Err(VariableTargetError), "{text:?}");
        }
    }

    #[test]
    fn exec_targets_are_clear_before_a_lease_is_requested() {
        let targets = |arguments: &[&str]| {
            let arguments = ["deputy", "exec"].into_iter().chain(arguments.iter().copied()).chain(["--", "true"]);
            let Command::Exec(exec) = Cli::try_parse_from(arguments).unwrap().command else { panic!("exec") };
            Targets::of(&exec).map(|targets| targets.by_instance.iter().map(|(_, v)| v.len()).collect::<Vec<_>>())
        };
        assert_eq!(targets(&["a", "b"]), Ok(vec![0, 0]));
        assert_eq!(targets(&["a", "--env", "X"]), Ok(vec![1]));
        assert_eq!(targets(&["a", "b", "--env", "X=b", "--file-env", "Y=b"]), Ok(vec![0, 2]));
        assert_eq!(targets(&["a", "a"]), Err(ExecError::RepeatedInstance("a".into())));
        assert_eq!(targets(&["a", "--env", "X=b"]), Err(ExecError::UnnamedInstance("b".into())));
        assert_eq!(targets(&["a", "b", "--env", "X"]), Err(ExecError::AmbiguousVariable("X".into())));
    }
}

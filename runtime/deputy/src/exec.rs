//! `deputy exec`: a program with what instances hold in its environment.
//!
//! The program takes this process's place, so signals, exit code and process number are its own. No payload is ever on a
//! command line, where every user could read it. A variable holds what is good now and never changes: for a program that
//! outlives its credentials, a worker's endpoint or a receiver's files are the way.

mod identity;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

use deputy_local::ReceivedPayload;
use deputy_payloads::AwsCredentials;
use rustix::fs::{MemfdFlags, Mode, SealFlags};

use crate::cli;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::lease_commands::either;

/// A variable, and perhaps the instance that it is for: `NAME` or `NAME=INSTANCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariableTarget {
    variable: String,
    instance: Option<String>,
}

/// A text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a variable's name, with letters, digits and underscores; perhaps with an instance after it: NAME=INSTANCE"
)]
pub(crate) struct VariableTargetError;

/// How a payload is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it is.
    Value,
    /// In a file whose path is in the variable.
    File,
}

/// What is to be handed over: of each instance, in the order of the command line.
#[derive(Debug)]
struct Plan<'a> {
    instances: Vec<(&'a str, Vec<(Way, &'a str)>)>,
}

/// Why the program is not called.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ExecError {
    #[error("{0} is named twice")]
    Twice(String),
    #[error("{0} is not among the instances that are named")]
    Unnamed(String),
    #[error("{0} is ambiguous between the instances: write {0}=INSTANCE")]
    Ambiguous(String),
    #[error("{variable} would be set twice, for {first} and for {second}")]
    Conflict { variable: String, first: String, second: String },
    #[error("`deputy exec` has no default variables for the service {service} of {instance}")]
    Service { instance: String, service: String },
    #[error("the payload of {instance} does not fit into variables: {why}")]
    Payload { instance: String, why: String },
}

/// Variables to set and to take away, with the files that some of them name.
#[derive(Default)]
struct ChildEnv {
    set: BTreeMap<String, OsString>,
    /// Of which instance each variable is, those too that are taken away.
    owners: BTreeMap<String, String>,
    files: Vec<OwnedFd>,
}

pub(crate) async fn run(context: &Context, arguments: &cli::ExecArgs) -> Result<Exit, CommandError> {
    // What is wrong is said before anything is given out.
    let plan = Plan::of(arguments)?;
    let Some((program, words)) = arguments.command.split_first() else {
        return Err(CommandError::new(Exit::Misconfigured, "no program to call"));
    };
    let client = either(context, &arguments.socket)?;
    let mut surroundings = ChildEnv::default();
    for (instance, targets) in &plan.instances {
        let given = client.lease(instance, arguments.wait).await?;
        surroundings.add(instance, targets, &given)?;
    }
    let mut command = Command::new(program);
    command.args(words);
    for variable in surroundings.owners.keys() {
        match surroundings.set.get(variable) {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    // Comes back only if it failed.
    let error = command.exec();
    let exit = match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::ArgumentListTooLong
        | io::ErrorKind::InvalidInput => Exit::Misconfigured,
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => Exit::Misconfigured,
        _ => Exit::Failed,
    };
    let program = program.display().to_string();
    Err(CommandError::new(exit, error).context("cannot call the program").hint(format!("the program is {program:?}")))
}

impl<'a> Plan<'a> {
    fn of(arguments: &'a cli::ExecArgs) -> Result<Self, ExecError> {
        let mut instances: Vec<(&str, Vec<(Way, &str)>)> = Vec::new();
        let mut names = BTreeSet::new();
        for name in &arguments.instances {
            if !names.insert(name) {
                return Err(ExecError::Twice(name.clone()));
            }
            instances.push((name, Vec::new()));
        }
        let values = arguments.env.iter().map(|target| (Way::Value, target));
        let files = arguments.file_env.iter().map(|target| (Way::File, target));
        for (way, target) in values.chain(files) {
            let found = match (&target.instance, instances.as_mut_slice()) {
                (Some(name), instances) => {
                    let found = instances.iter_mut().find(|(own, _)| own == name);
                    found.ok_or_else(|| ExecError::Unnamed(name.clone()))?
                }
                (None, [only]) => only,
                (None, _) => return Err(ExecError::Ambiguous(target.variable.clone())),
            };
            found.1.push((way, &target.variable));
        }
        Ok(Self { instances })
    }
}

impl ChildEnv {
    /// Hands over what one instance holds: in the variables that were named, or else in those of its service.
    fn add(&mut self, instance: &str, targets: &[(Way, &str)], given: &ReceivedPayload) -> Result<(), CommandError> {
        if targets.is_empty() {
            return Ok(self.of_service(instance, given)?);
        }
        for (way, variable) in targets {
            let value = match way {
                Way::Value => value(instance, given)?,
                Way::File => self.file(given)?,
            };
            self.own(instance, variable)?;
            self.set.insert((*variable).to_owned(), value);
        }
        Ok(())
    }

    fn of_service(&mut self, instance: &str, given: &ReceivedPayload) -> Result<(), ExecError> {
        let service = given.service.as_deref().unwrap_or("not known yet");
        if service != "s3" {
            return Err(ExecError::Service { instance: instance.to_owned(), service: service.to_owned() });
        }
        let wrong = |why: &dyn fmt::Display| ExecError::Payload { instance: instance.to_owned(), why: why.to_string() };
        let credentials = AwsCredentials::parse(given.payload.expose()).map_err(|error| wrong(&error))?;
        let credentials = [
            ("AWS_ACCESS_KEY_ID", Some(credentials.access_key_id())),
            ("AWS_SECRET_ACCESS_KEY", Some(credentials.secret_access_key())),
            ("AWS_SESSION_TOKEN", credentials.session_token()),
            ("AWS_CREDENTIAL_EXPIRATION", given.valid_until.as_deref()),
        ];
        // What was set before and is none of these credentials must not stay.
        let others = identity::AWS.map(|variable| (variable, None));
        for (variable, value) in credentials.into_iter().chain(others) {
            self.own(instance, variable)?;
            self.set.extend(value.map(|value| (variable.to_owned(), value.into())));
        }
        Ok(())
    }

    /// A file in memory, for this user alone, that nobody can change. It is read by its path below this process's number,
    /// which the program takes over: so the program's own children can read it, too, while it runs.
    fn file(&mut self, given: &ReceivedPayload) -> Result<OsString, CommandError> {
        let failed = |error: io::Error| CommandError::new(Exit::Failed, error).context("cannot make a file in memory");
        let file = memory(given.payload.expose()).map_err(failed)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        self.files.push(file);
        Ok(path.into())
    }

    fn own(&mut self, instance: &str, variable: &str) -> Result<(), ExecError> {
        match self.owners.insert(variable.to_owned(), instance.to_owned()) {
            None => Ok(()),
            Some(first) => {
                let second = instance.to_owned();
                Err(ExecError::Conflict { variable: variable.to_owned(), first, second })
            }
        }
    }
}

/// The whole payload, as a variable can hold it.
fn value(instance: &str, given: &ReceivedPayload) -> Result<OsString, ExecError> {
    let payload = given.payload.expose();
    if payload.contains(&0) {
        let why = "there is a zero byte in it; --file-env hands it over in a file".to_owned();
        return Err(ExecError::Payload { instance: instance.to_owned(), why });
    }
    Ok(OsStr::from_bytes(payload).to_owned())
}

/// Not closed when the program is called: it is the program's.
fn memory(payload: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("deputy", MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o400))?;
    let mut rest = payload;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}

impl FromStr for VariableTarget {
    type Err = VariableTargetError;

    fn from_str(text: &str) -> Result<Self, VariableTargetError> {
        let (variable, instance) = match text.split_once('=') {
            Some((variable, instance)) => (variable, Some(instance.to_owned())),
            None => (text, None),
        };
        let begins = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let plain = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let named = instance.as_ref().is_none_or(|instance| !instance.is_empty());
        if begins && plain && named {
            Ok(Self { variable: variable.to_owned(), instance })
        } else {
            Err(VariableTargetError)
        }
    }
}

impl From<ExecError> for CommandError {
    fn from(error: ExecError) -> Self {
        let hint = match &error {
            ExecError::Service { .. } => {
                Some("--env NAME hands over all of it in a variable, --file-env NAME in a file")
            }
            ExecError::Conflict { .. } => Some("--env NAME=INSTANCE chooses another variable"),
            _ => None,
        };
        let this = Self::new(Exit::Misconfigured, error);
        match hint {
            Some(hint) => this.hint(hint),
            None => this,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use deputy_core::SecretBytes;

    fn given(service: Option<&str>, payload: &[u8]) -> ReceivedPayload {
        ReceivedPayload {
            payload: SecretBytes::new(payload.to_vec()),
            revision: Some(1),
            valid_until: Some("2100-01-01T00:00:00.000Z".into()),
            service: service.map(str::to_owned),
        }
    }

    fn set(surroundings: &ChildEnv) -> Vec<(&str, &str)> {
        surroundings.set.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn credentials_for_s3_go_into_the_variables_of_aws_and_no_other_ones_stay() {
        let mut surroundings = ChildEnv::default();
        let payload = br#"{"AccessKeyId":"AKIA","SecretAccessKey":"hunter2"}"#;
        surroundings.add("a", &[], &given(Some("s3"), payload)).unwrap();
        assert_eq!(
            set(&surroundings),
            [
                ("AWS_ACCESS_KEY_ID", "AKIA"),
                ("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00.000Z"),
                ("AWS_SECRET_ACCESS_KEY", "hunter2")
            ]
        );
        for variable in identity::AWS.into_iter().chain(["AWS_SESSION_TOKEN"]) {
            assert!(surroundings.owners.contains_key(variable), "{variable} of somebody else is taken away");
        }
        let error = surroundings.of_service("b", &given(Some("s3"), payload)).unwrap_err();
        let (first, second) = ("a".to_owned(), "b".to_owned());
        assert_eq!(error, ExecError::Conflict { variable: "AWS_ACCESS_KEY_ID".into(), first, second });
    }

    include!("../../payloads/vectors/aws.in");

    #[test]
    fn exec_judges_payloads_of_aws_as_the_vectors_say() {
        for (accepted, payload) in VECTORS {
            let result = ChildEnv::default().of_service("a", &given(Some("s3"), payload.as_bytes()));
            assert_eq!(result.is_ok(), accepted, "{payload}");
        }
    }

    #[test]
    fn a_payload_is_never_part_of_an_error() {
        let mut surroundings = ChildEnv::default();
        for given in [given(Some("s3"), b"hunter2"), given(Some("hdfs"), b"hunter2"), given(None, b"hunter2")] {
            let error = surroundings.of_service("a", &given).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let error = value("a", &given(None, b"hunter2\0")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn a_variable_is_for_one_instance() {
        let mut surroundings = ChildEnv::default();
        surroundings.add("a", &[(Way::Value, "A"), (Way::Value, "B")], &given(None, b"payload")).unwrap();
        assert_eq!(set(&surroundings), [("A", "payload"), ("B", "payload")]);
        assert!(surroundings.add("b", &[(Way::Value, "A")], &given(None, b"other")).is_err());
    }

    #[test]
    fn a_file_in_memory_can_be_read_again_and_again_and_changed_by_nobody() {
        let mut surroundings = ChildEnv::default();
        surroundings.add("a", &[(Way::File, "FILE")], &given(None, b"\0payload")).unwrap();
        let path = surroundings.set["FILE"].clone();
        for _ in 0..2 {
            assert_eq!(std::fs::read(&path).unwrap(), b"\0payload");
        }
        assert!(std::fs::OpenOptions::new().write(true).truncate(true).open(&path).is_err());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o400);
    }

    #[test]
    fn a_target_is_a_variable_and_perhaps_an_instance() {
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
    fn what_is_meant_is_clear_before_anything_is_given_out() {
        use clap::Parser;
        let plan = |words: &[&str]| {
            let words = ["deputy", "exec"].into_iter().chain(words.iter().copied()).chain(["--", "true"]);
            let cli::Command::Exec(exec) = cli::Cli::try_parse_from(words).unwrap().command else { panic!("exec") };
            Plan::of(&exec).map(|plan| plan.instances.iter().map(|(_, targets)| targets.len()).collect::<Vec<_>>())
        };
        assert_eq!(plan(&["a", "b"]), Ok(vec![0, 0]));
        assert_eq!(plan(&["a", "--env", "X"]), Ok(vec![1]));
        assert_eq!(plan(&["a", "b", "--env", "X=b", "--file-env", "Y=b"]), Ok(vec![0, 2]));
        assert_eq!(plan(&["a", "a"]), Err(ExecError::Twice("a".into())));
        assert_eq!(plan(&["a", "--env", "X=b"]), Err(ExecError::Unnamed("b".into())));
        assert_eq!(plan(&["a", "b", "--env", "X"]), Err(ExecError::Ambiguous("X".into())));
    }
}

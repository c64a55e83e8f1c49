//! The environment of the program that `deputy exec` becomes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use deputy_core::S3Place;
use deputy_local::ReceivedPayload;
use deputy_payloads::{AwsCredentials, aws_expiration};
use rustix::fs::{MemfdFlags, Mode, SealFlags};

use super::ExecError;
use super::aws_variables::IDENTITY_VARIABLES;
use super::targets::PassedAs;
use crate::error::CommandError;
use crate::exit::Exit;

/// From where AWS's libraries take a region: some read the first only, some the second only.
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// From where they take an endpoint of S3. All that know the second know the first.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"];

/// Variables to set and to remove, with the files that some of them name.
pub(super) struct ChildEnv {
    /// Whether the environment has a variable.
    is_set: fn(&str) -> bool,
    set: BTreeMap<String, OsString>,
    /// The instance of each variable, including those that are removed.
    owners: BTreeMap<String, String>,
    files: Vec<OwnedFd>,
}

impl ChildEnv {
    /// Beside the environment of this process.
    pub(super) fn new() -> Self {
        Self::beside(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()))
    }

    fn beside(is_set: fn(&str) -> bool) -> Self {
        Self { is_set, set: BTreeMap::new(), owners: BTreeMap::new(), files: Vec::new() }
    }

    /// Adds the payload of an instance: in the variables that were named, or else in those of its service.
    pub(super) fn add(
        &mut self,
        instance: &str,
        targets: &[(PassedAs, &str)],
        lease: &ReceivedPayload,
    ) -> Result<(), CommandError> {
        if targets.is_empty() {
            return Ok(self.add_default_variables(instance, lease)?);
        }
        for (passed_as, variable) in targets {
            let value = match passed_as {
                PassedAs::Value => text(instance, lease)?,
                PassedAs::File => self.add_file(lease)?,
            };
            self.claim(instance, variable)?;
            self.set.insert((*variable).to_owned(), value);
        }
        Ok(())
    }

    pub(super) fn apply(&self, command: &mut Command) {
        for variable in self.owners.keys() {
            match self.set.get(variable) {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
    }

    fn add_default_variables(&mut self, instance: &str, lease: &ReceivedPayload) -> Result<(), ExecError> {
        let service = lease.service.as_deref().unwrap_or("not known yet");
        if service != "s3" {
            return Err(ExecError::UnknownService { instance: instance.to_owned(), service: service.to_owned() });
        }
        let credentials = AwsCredentials::parse(lease.payload.expose())
            .map_err(|error| ExecError::Payload { instance: instance.to_owned(), reason: error.to_string() })?;
        let expiration = lease.valid_until.as_deref().map(aws_expiration);
        let credentials = [
            ("AWS_ACCESS_KEY_ID", Some(credentials.access_key_id())),
            ("AWS_SECRET_ACCESS_KEY", Some(credentials.secret_access_key())),
            ("AWS_SESSION_TOKEN", credentials.session_token()),
            ("AWS_CREDENTIAL_EXPIRATION", expiration.as_deref()),
        ];
        self.add_place(instance, &lease.place)?;
        // Variables of another identity must not stay.
        let removed = IDENTITY_VARIABLES.map(|variable| (variable, None));
        for (variable, value) in credentials.into_iter().chain(removed) {
            self.claim(instance, variable)?;
            self.set.extend(value.map(|value| (variable.to_owned(), value.into())));
        }
        Ok(())
    }

    /// Adds region and endpoint where they are known and the environment has none.
    fn add_place(&mut self, instance: &str, place: &S3Place) -> Result<(), ExecError> {
        for (variables, set, value) in
            [(&REGIONS[..], &REGIONS[..], &place.region), (&ENDPOINTS[..], &ENDPOINTS[..1], &place.endpoint)]
        {
            let Some(value) = value else { continue };
            if variables.iter().any(|variable| (self.is_set)(variable)) {
                continue;
            }
            for variable in set {
                self.claim(instance, variable)?;
                self.set.insert((*variable).to_owned(), value.into());
            }
        }
        Ok(())
    }

    /// Adds a file in memory, and returns its path. The path has the process ID, which the program takes over, so that the
    /// program's children can read it while the program runs.
    fn add_file(&mut self, lease: &ReceivedPayload) -> Result<OsString, CommandError> {
        let file = memory_file(lease.payload.expose())
            .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot create a file in memory"))?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        self.files.push(file);
        Ok(path.into())
    }

    fn claim(&mut self, instance: &str, variable: &str) -> Result<(), ExecError> {
        match self.owners.insert(variable.to_owned(), instance.to_owned()) {
            None => Ok(()),
            Some(first) => {
                Err(ExecError::Conflict { variable: variable.to_owned(), first, second: instance.to_owned() })
            }
        }
    }
}

/// The payload as a variable's value.
fn text(instance: &str, lease: &ReceivedPayload) -> Result<OsString, ExecError> {
    let payload = lease.payload.expose();
    if payload.contains(&0) {
        let reason = "it has a NUL byte; --file-env puts it into a file".to_owned();
        return Err(ExecError::Payload { instance: instance.to_owned(), reason });
    }
    Ok(OsStr::from_bytes(payload).to_owned())
}

/// A sealed file that only this user can read. It stays open across `exec`.
fn memory_file(payload: &[u8]) -> io::Result<OwnedFd> {
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]
mod tests {
    use super::*;

    use deputy_core::SecretBytes;

    fn lease(service: Option<&str>, payload: &[u8]) -> ReceivedPayload {
        ReceivedPayload {
            payload: SecretBytes::new(payload.to_vec()),
            revision: Some(1),
            kind: None,
            valid_until: Some("2100-01-01T00:00:00.000Z".into()),
            service: service.map(str::to_owned),
            place: S3Place { region: Some("eu-west-1".into()), endpoint: Some("http://s3".into()) },
        }
    }

    fn variables(environment: &ChildEnv) -> Vec<(&str, &str)> {
        environment.set.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn exec_sets_aws_variables_and_removes_all_others() {
        let mut environment = ChildEnv::beside(|_| true);
        let payload = br#"{"AccessKeyId":"AKIA","SecretAccessKey":"hunter2"}"#;
        environment.add("a", &[], &lease(Some("s3"), payload)).unwrap();
        assert_eq!(
            variables(&environment),
            [
                ("AWS_ACCESS_KEY_ID", "AKIA"),
                ("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z"),
                ("AWS_SECRET_ACCESS_KEY", "hunter2")
            ]
        );
        for variable in IDENTITY_VARIABLES.into_iter().chain(["AWS_SESSION_TOKEN"]) {
            assert!(environment.owners.contains_key(variable), "{variable} is removed");
        }
        let error = environment.add_default_variables("b", &lease(Some("s3"), payload)).unwrap_err();
        let first = "a".to_owned();
        let second = "b".to_owned();
        assert_eq!(error, ExecError::Conflict { variable: "AWS_ACCESS_KEY_ID".into(), first, second });
    }

    #[test]
    fn exec_sets_region_and_endpoint_unless_they_are_set() {
        fn place(is_set: fn(&str) -> bool) -> Vec<String> {
            let mut environment = ChildEnv::beside(is_set);
            let payload = br#"{"AccessKeyId":"AKIA","SecretAccessKey":"hunter2"}"#;
            environment.add("a", &[], &lease(Some("s3"), payload)).unwrap();
            let is_place = |name: &String| REGIONS.contains(&name.as_str()) || ENDPOINTS.contains(&name.as_str());
            environment.set.into_keys().filter(is_place).collect()
        }
        assert_eq!(place(|_| false), ["AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_REGION"]);
        assert_eq!(place(|name| name == "AWS_REGION"), ["AWS_ENDPOINT_URL"]);
        assert_eq!(place(|name| name == "AWS_ENDPOINT_URL_S3"), ["AWS_DEFAULT_REGION", "AWS_REGION"]);
    }

    include!("../../../../payloads/vectors/aws.in");

    #[test]
    fn exec_accepts_the_aws_payloads_that_the_vectors_accept() {
        for (accepted, payload) in VECTORS {
            let result = ChildEnv::beside(|_| true).add_default_variables("a", &lease(Some("s3"), payload.as_bytes()));
            assert_eq!(result.is_ok(), accepted, "{payload}");
        }
    }

    #[test]
    fn exec_errors_never_have_the_payload() {
        let mut environment = ChildEnv::beside(|_| true);
        for lease in [lease(Some("s3"), b"hunter2"), lease(Some("hdfs"), b"hunter2"), lease(None, b"hunter2")] {
            let error = environment.add_default_variables("a", &lease).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let error = text("a", &lease(None, b"hunter2\0")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn exec_variable_is_set_by_one_instance() {
        let mut environment = ChildEnv::beside(|_| true);
        environment.add("a", &[(PassedAs::Value, "A"), (PassedAs::Value, "B")], &lease(None, b"payload")).unwrap();
        assert_eq!(variables(&environment), [("A", "payload"), ("B", "payload")]);
        assert!(environment.add("b", &[(PassedAs::Value, "A")], &lease(None, b"other")).is_err());
    }

    #[test]
    fn exec_memory_file_can_be_read_twice_and_not_changed() {
        let mut environment = ChildEnv::beside(|_| true);
        environment.add("a", &[(PassedAs::File, "FILE")], &lease(None, b"\0payload")).unwrap();
        let path = environment.set["FILE"].clone();
        for _ in 0..2 {
            assert_eq!(std::fs::read(&path).unwrap(), b"\0payload");
        }
        assert!(std::fs::OpenOptions::new().write(true).truncate(true).open(&path).is_err());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o400);
    }
}

//! boto3: AWS's own client, which knows nothing of Deputy.

use std::process::{Command, Stdio};

use crate::{Error, tool};

/// Runs a Python script that may import boto3, and gives what it printed. Its environment holds what is given here and
/// nothing else, so it finds no credentials but these.
///
/// # Errors
/// When it is not installed or the script fails: with what it printed.
pub fn boto(script: &str, environment: &[(&str, &str)]) -> Result<String, Error> {
    client("python", &["-c", script], environment)
}

/// Runs the AWS CLI in the same way.
///
/// # Errors
/// When it is not installed or fails: with what it printed.
pub fn aws(arguments: &[&str], environment: &[(&str, &str)]) -> Result<String, Error> {
    client("aws", arguments, environment)
}

fn client(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<String, Error> {
    let output = Command::new(tool(program)?)
        .args(arguments)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_MAX_ATTEMPTS", "2")
        .env("PATH", "/usr/bin:/bin")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::new(format!("starting {program}: {error}")))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    Err(Error::new(format!(
        "{program} ended with {}:\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )))
}

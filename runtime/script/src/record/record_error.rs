//! Why a call cannot be made a script.

use deputy_core::ByteSize;

use crate::script_error::ScriptError;

/// Why no script can be made of a recorded call. Shows no real value.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the answer to request {request} of `{function}` is not a text, and only texts can be recorded")]
    Binary { function: &'static str, request: usize },
    #[error(
        "a rule with `client-certificate` cannot be recorded: the servers of a test ask for no certificate; write the test by \
         hand"
    )]
    ClientCertificate,
    #[error(
        "the component acts differently on made-up values, so this call cannot become a test: {0}; write the test by hand, \
         with values that the component takes"
    )]
    Differs(String),
    #[error("the recorded test does not pass: {0}")]
    Fails(String),
    #[error("a Kerberos login cannot be recorded: such components are tested against real servers")]
    Kerberos,
    #[error("cannot make up a key")]
    Key(#[from] rcgen::Error),
    #[error("request {request} of `{function}` was not answered: try again")]
    NoAnswer { function: &'static str, request: usize },
    #[error("the test would show {0}: write it by hand")]
    Shown(String),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(
        "the component connects over TCP, and only HTTP can be recorded: write the test by hand, with [[call.tcp]]"
    )]
    Tcp,
    #[error("the test would have more than {0}: its answers are too large")]
    TooLarge(ByteSize),
    #[error(
        "the answers have more than {values} secret values or {texts} texts: record a call whose answers are smaller, or write \
         the test by hand"
    )]
    TooManyValues { values: usize, texts: usize },
}

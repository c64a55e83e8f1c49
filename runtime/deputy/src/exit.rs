//! The program's exit codes. Scripts compare them: a code never changes its meaning.

use std::process::ExitCode;

use deputy_core::failure::FailureKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Misconfigured,
    Denied,
    Unavailable,
    Refused,
    OverLimit,
    Broken,
    Internal,
    /// That of a program which this one ran.
    Program(u8),
}

impl Exit {
    /// All of this program's own, in the order of their codes.
    pub(crate) const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Misconfigured,
        Self::Denied,
        Self::Unavailable,
        Self::Refused,
        Self::OverLimit,
        Self::Broken,
        Self::Internal,
    ];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Misconfigured => 2,
            Self::Denied => 3,
            Self::Unavailable => 4,
            Self::Refused => 5,
            Self::OverLimit => 6,
            Self::Broken => 7,
            Self::Internal => 70,
            Self::Program(code) => code,
        }
    }

    /// For programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Misconfigured => "misconfigured",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::OverLimit => "over-limit",
            Self::Broken => "broken",
            Self::Internal => "internal",
            Self::Program(_) => "program",
        }
    }

    /// For people.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "the command succeeded",
            Self::Failed => "a check found a fault, a person stopped it, or a file could not be written",
            Self::Misconfigured => "the command line, the configuration or a setting is wrong",
            Self::Denied => "the service denied the request",
            Self::Unavailable => "the service, coordinator or worker did not answer, or asked to wait: try again",
            Self::Refused => "the sandbox denied something that the component tried",
            Self::OverLimit => "the component exceeded one of its limits",
            Self::Broken => "the component crashed, or returned an invalid result",
            Self::Internal => "a bug in deputy: please report it",
            Self::Program(_) => "the program's own, of `exec`",
        }
    }
}

impl From<FailureKind> for Exit {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Broken => Self::Broken,
            FailureKind::Attention | FailureKind::Denied | FailureKind::Ended => Self::Denied,
            FailureKind::Internal => Self::Internal,
            FailureKind::Misconfigured => Self::Misconfigured,
            FailureKind::OverLimit => Self::OverLimit,
            FailureKind::Refused => Self::Refused,
            FailureKind::Throttled | FailureKind::Unavailable => Self::Unavailable,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_never_change() {
        let codes: Vec<_> = Exit::ALL.iter().map(|exit| format!("{} {}", exit.code(), exit.word())).collect();
        assert_eq!(
            codes,
            [
                "0 done",
                "1 failed",
                "2 misconfigured",
                "3 denied",
                "4 unavailable",
                "5 refused",
                "6 over-limit",
                "7 broken",
                "70 internal"
            ]
        );
    }

    #[test]
    fn exit_code_has_the_word_of_the_failure() {
        for kind in FailureKind::ALL {
            match kind {
                FailureKind::Throttled => assert_eq!(Exit::from(kind), Exit::Unavailable),
                FailureKind::Attention | FailureKind::Ended => assert_eq!(Exit::from(kind), Exit::Denied),
                kind => assert_eq!(Exit::from(kind).word(), kind.word()),
            }
        }
    }
}

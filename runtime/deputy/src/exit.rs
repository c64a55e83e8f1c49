//! The codes with which the program ends. Scripts compare them: a code never changes its meaning.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Misconfigured = 2,
    Denied = 3,
    Unavailable = 4,
    Refused = 5,
    OverLimit = 6,
    Broken = 7,
    Internal = 70,
}

impl Exit {
    /// All of them, in the order of their codes.
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
        self as u8
    }

    /// One word, for programs.
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
        }
    }

    /// One line, for people.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "it worked",
            Self::Failed => "`check` found a fault, or a file could not be written",
            Self::Misconfigured => "wrong usage, configuration or settings",
            Self::Denied => "the service understood, and refused",
            Self::Unavailable => "the service, coordinator or worker gave no answer, or asked to wait: try again",
            Self::Refused => "the sandbox refused something that the component tried",
            Self::OverLimit => "the component went over one of its limits",
            Self::Broken => "the component broke off, or its answer was not valid",
            Self::Internal => "a bug of deputy's own: please report it",
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
    fn codes_and_words_differ_and_codes_never_change() {
        let shown: Vec<_> = Exit::ALL.iter().map(|exit| format!("{} {}", exit.code(), exit.word())).collect();
        assert_eq!(
            shown,
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
}

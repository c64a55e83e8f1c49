//! How many tests passed and failed, read from what `cargo test` prints.

use std::fmt;

use crate::failure::Result;
use crate::process::Run;

/// The sum over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    runs: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    /// Runs tests, shows what they print, and counts.
    pub(super) fn run(&mut self, tests: Run) -> Result<()> {
        tests.lines(|line| {
            println!("{line}");
            self.line(line);
        })
    }

    /// How many test programs ended.
    pub(super) fn runs(&self) -> usize {
        self.runs
    }

    /// How many tests passed.
    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    /// Takes `test result: ok. 12 passed; 0 failed; 1 ignored; …` into account.
    fn line(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        self.runs += 1;
        for part in counts.split("; ") {
            let Some((number, word)) = part.split_once(' ') else { continue };
            let number = number.parse::<usize>().unwrap_or(0);
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn results_are_added_up_and_other_lines_are_not() {
        let mut count = Count::default();
        count.line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s");
        count.line("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        count.line("test schedule::renews ... ok");
        assert_eq!(count, Count { runs: 2, passed: 13, failed: 2, skipped: 1 });
        assert_eq!(count.to_string(), "13 passed, 2 failed, 1 skipped");
    }
}

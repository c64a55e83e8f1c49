//! Apache Flink beside it, if it is there: a program of the operator's own, since Flink is not part of this tree.

use std::env;
use std::process::Command;

use crate::Result;

/// Names a program that takes a number of task managers and prints, in its last line, what it measured.
const VARIABLE: &str = "DEPUTY_FLINK_BENCH";

const SIZES: [usize; 3] = [1, 10, 100];

/// What the program says; nothing if there is none.
pub(crate) fn lines() -> Result<Vec<String>> {
    let Some(program) = env::var_os(VARIABLE) else {
        return Ok(vec![format!("left out: {VARIABLE} names no program that measures it")]);
    };
    let said = SIZES.map(|size| {
        let output = Command::new(&program).arg(size.to_string()).output()?;
        if !output.status.success() {
            return Err(format!("{VARIABLE} ended with {}", output.status).into());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().last().unwrap_or_default().to_owned())
    });
    said.into_iter().collect()
}

//! The program `deputy`.

use std::process::ExitCode;

/// For now only the compile child; the command line is being built.
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some("compile-component"), Some(memory), Some(seconds)) =
        (arguments.next().as_deref(), arguments.next(), arguments.next())
    else {
        return ExitCode::from(2);
    };
    match (memory.parse(), seconds.parse()) {
        (Ok(memory), Ok(seconds)) => deputy_sandbox::compile_child(memory, seconds),
        _ => ExitCode::from(2),
    }
}

//! Stands in for the host's outputs, so that a receiver can be tried with the wasmtime CLI alone. For tests only: it
//! writes each file at once into the first folder that wasmtime gives it (`--dir out`), also where the call fails later.
//! What the receiver logs goes to standard error.

use bindings::exports::delegation::tokens::logging::{self, Level};
use bindings::exports::delegation::tokens::outputs::{self, OutputError};
use wasip2::cli::stderr::get_stderr;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

mod bindings {
    #![allow(missing_docs, unsafe_code, reason = "generated from the contract, documented there")]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package deputy:outputs-plug;
            world outputs-plug {
                export delegation:tokens/logging@0.2.0;
                export delegation:tokens/outputs@0.2.0;
            }
        ",
        world: "deputy:outputs-plug/outputs-plug",
        generate_all,
    });

    export!(Plug with_types_in self);
    use super::Plug;
}

struct Plug;

impl logging::Guest for Plug {
    fn log(_: Level, message: String) {
        // There is no way to report where this fails.
        drop(get_stderr().blocking_write_and_flush(format!("{message}\n").as_bytes()));
    }
}

impl outputs::Guest for Plug {
    fn put(path: String, contents: Vec<u8>) -> Result<(), OutputError> {
        if path.split('/').any(|name| name.is_empty() || name.starts_with('.')) {
            return Err(OutputError::InvalidPath(path));
        }
        let folders = get_directories();
        let (folder, _) = folders.first().ok_or_else(|| OutputError::Denied("run wasmtime with --dir".to_owned()))?;
        write(folder, &path, &contents).map_err(|code| OutputError::InvalidPath(format!("{path}: {}", code.name())))
    }
}

fn write(folder: &Descriptor, path: &str, contents: &[u8]) -> Result<(), ErrorCode> {
    for (end, _) in path.match_indices('/') {
        match folder.create_directory_at(path.get(..end).unwrap_or_default()) {
            Ok(()) | Err(ErrorCode::Exist) => {}
            Err(code) => return Err(code),
        }
    }
    let new = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let file = folder.open_at(PathFlags::empty(), path, new, DescriptorFlags::WRITE)?;
    let mut written = 0;
    while let Some(rest) = contents.get(written..).filter(|rest| !rest.is_empty()) {
        written += file.write(rest, written as u64)? as usize;
    }
    Ok(())
}

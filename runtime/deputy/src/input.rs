//! What a command reads: a file that the operator names, or standard input. Each read has a bound.

use std::fs::File;
use std::io::{self, BufRead as _, Read};
use std::path::Path;

use deputy_core::ByteSize;
use zeroize::Zeroizing;

use crate::print::Printer;

/// The longest answer on a terminal.
const MAX_ANSWER: u64 = 4096;

/// Buffers up to this size do not grow, and so leave no copy of a secret behind.
const PREALLOCATED: u64 = 64 << 10;

/// Reads a file, or standard input if its path is `-`.
pub(crate) fn read_input(path: &Path, max: ByteSize) -> io::Result<Zeroizing<Vec<u8>>> {
    if path == Path::new("-") { read_at_most(io::stdin().lock(), max) } else { read_file(path, max) }
}

pub(crate) fn read_file(path: &Path, max: ByteSize) -> io::Result<Zeroizing<Vec<u8>>> {
    #[expect(clippy::disallowed_methods, reason = "an edge: the operator's file")]
    read_at_most(File::open(path)?, max)
}

fn read_at_most(input: impl Read, max: ByteSize) -> io::Result<Zeroizing<Vec<u8>>> {
    let over = max.as_u64().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(over.min(PREALLOCATED) as usize));
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    input.take(over).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max.as_u64() {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max}")));
    }
    Ok(bytes)
}

/// The line that is typed after a question, without its end.
pub(crate) fn ask(printer: Printer, question: &str) -> io::Result<String> {
    printer.stderr(question);
    let mut line = String::new();
    io::stdin().lock().take(MAX_ANSWER).read_line(&mut line)?;
    if !line.ends_with('\n') {
        // What is printed next must not follow the question.
        printer.stderr("\n");
    }
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_up_to_its_bound() {
        let max = ByteSize::bytes(4);
        assert_eq!(*read_at_most(&b"1234"[..], max).unwrap(), b"1234");
        let error = read_at_most(&b"12345"[..], max).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::FileTooLarge, "larger than 4B"));
        assert_eq!(read_at_most(io::repeat(0), max).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}

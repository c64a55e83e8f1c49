//! Everything that the program prints: data on stdout, all else on stderr, in colour where that is wanted.
//!
//! Texts may come from components and servers, so they are stripped of control characters. Only payloads are printed as they are,
//! and only if stdout is no terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Effects, Style};
use deputy_core::misleads;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    colour: ColorChoice,
}

pub(crate) const ERROR: Style = AnsiColor::BrightRed.on_default().effects(Effects::BOLD);
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
pub(crate) const HINT: Style = AnsiColor::BrightCyan.on_default().effects(Effects::BOLD);
pub(crate) const HEADING: Style = Style::new().effects(Effects::BOLD);
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const FAINT: Style = Style::new().effects(Effects::DIMMED);

/// Clears a short line, and goes to its beginning. No control sequence: it works without colours.
const CLEAR_LINE: &str = "\r                                        \r";

impl Printer {
    pub(crate) fn new(colour: ColorChoice) -> Self {
        Self { colour }
    }

    pub(crate) fn stdout(self, text: &str) -> io::Result<()> {
        let mut stream = AutoStream::new(io::stdout().lock(), self.colour);
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush())
    }

    /// A text from the terminal's first row on, in place of what is there. What moves the cursor is no colour, and is
    /// written without colours, too.
    pub(crate) fn frame(self, text: &str) -> io::Result<()> {
        let colour = match self.colour {
            ColorChoice::Auto => AutoStream::choice(&io::stdout()),
            choice => choice,
        };
        let plain = (colour == ColorChoice::Never).then(|| strip_str(text).to_string());
        let lines = plain.as_deref().unwrap_or(text).lines();
        // To the first row; each line without the rest of an earlier one; nothing below.
        let frame = format!("\u{1b}[H{}\u{1b}[J", lines.map(|line| format!("{line}\u{1b}[K\n")).collect::<String>());
        let mut stream = io::stdout().lock();
        stream.write_all(frame.as_bytes()).and_then(|()| stream.flush())
    }

    /// A payload as it is, or stripped of control characters for a terminal.
    pub(crate) fn payload(self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = io::stdout().lock();
        if stream.is_terminal() {
            for chunk in String::from_utf8_lossy(bytes).split_inclusive('\n') {
                let line = chunk.strip_suffix('\n');
                stream.write_all(sanitize(line.unwrap_or(chunk)).as_bytes())?;
                stream.write_all(b"\n")?;
            }
        } else {
            stream.write_all(bytes)?;
        }
        stream.flush()
    }

    /// If stderr is closed, there is nothing else to report it to.
    pub(crate) fn stderr(self, text: &str) {
        let mut stream = AutoStream::new(io::stderr().lock(), self.colour);
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).ok();
    }

    /// A line on stderr that begins with a label such as `error`.
    pub(crate) fn labelled(self, style: Style, label: &str, text: &str) {
        self.stderr(&format!("{}: {}\n", styled(style, label), sanitize(text)));
    }

    pub(crate) fn colours_stderr(self) -> bool {
        let choice = match self.colour {
            ColorChoice::Auto => AutoStream::choice(&io::stderr()),
            choice => choice,
        };
        choice != ColorChoice::Never
    }
}

/// A line on a terminal that counts hosts while they are tried, and is gone afterwards. Elsewhere it prints nothing.
pub(crate) struct Progress {
    printer: Printer,
    is_shown: bool,
    done: usize,
    all: usize,
}

impl Progress {
    pub(crate) fn new(printer: Printer, all: usize) -> Self {
        let progress = Self { printer, is_shown: all > 0 && io::stderr().is_terminal(), done: 0, all };
        progress.show();
        progress
    }

    pub(crate) fn step(&mut self) {
        self.done += 1;
        self.show();
    }

    fn show(&self) {
        if self.is_shown {
            self.printer.stderr(&format!("{CLEAR_LINE}trying hosts: {} of {}", self.done, self.all));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            self.printer.stderr(CLEAR_LINE);
        }
    }
}

/// A number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A text in a style, which the stream removes if it shows no colours.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Replaces control characters, and those that are not seen but change what is.
pub(crate) fn sanitize(text: &str) -> String {
    text.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// JSON whose texts do nothing to a terminal: such characters are in strings alone, and may be written as escapes.
pub(crate) fn terminal_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if misleads(c) {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

/// Sanitized lines, each after an indent.
pub(crate) fn indented(text: &str, indent: &str) -> String {
    text.lines().map(|line| format!("{indent}{}\n", sanitize(line))).collect()
}

/// A size such as `412 KiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            if tenths < 100 {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", tenths / 10)
            }
        }
        None => format!("{bytes} B"),
    }
}

/// The size of a payload, and where it is.
pub(crate) fn payload_text(bytes: usize, file: Option<&Path>) -> String {
    match file {
        Some(path) => format!("{bytes} bytes, in {}", path.display()),
        None => format!("{bytes} bytes, not shown: --reveal prints them, --out FILE writes them to a file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn print_replaces_what_acts_on_a_terminal() {
        assert_eq!(
            sanitize("a\u{1b}[31m\r\n\u{9b}b\u{202e}c\u{7f}ß"),
            "a\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}ß"
        );
        assert_eq!(indented("a\nb\u{7}\n", "  "), "  a\n  b\u{fffd}\n");
    }

    #[test]
    fn print_escapes_in_json_what_acts_on_a_terminal() {
        let json = serde_json::to_string("a\u{1b}[2J\u{9b}2J\u{202e}\u{e0001}\u{7f}ß").unwrap();
        let text = terminal_json(&json);
        assert_eq!(text, r#""a\u001b[2J\u009b2J\u202e\udb40\udc01\u007fß""#);
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "a\u{1b}[2J\u{9b}2J\u{202e}\u{e0001}\u{7f}ß");
    }

    #[test]
    fn print_shows_short_sizes() {
        for (size, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (421_888, "412 KiB"),
            (20 << 20, "20 MiB"),
            (u64::MAX, "17179869183 GiB"),
        ] {
            assert_eq!(bytes(size), shown);
        }
    }
}

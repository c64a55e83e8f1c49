use super::line::MAX_LINE;
use super::*;
use deputy_audit::{Audit, AuditSubject};
use deputy_core::{ByteSize, Limits, SecretBytes};
use deputy_test_support::CapturedLog;
use wasmtime_wasi::cli::{IsTerminal as _, StdoutStream as _};

const VALUE: &str = "hunter2hunter2";

fn log_with(limits: Limits, values: &[&str]) -> GuestLog {
    let budget =
        CallBudget::new(AuditSubject::Instance("s3".parse().unwrap()), CallId(7), limits, Arc::new(Audit::memory()));
    let value = |value: &&str| ("key".parse().unwrap(), Arc::new(SecretBytes::new((*value).into())));
    GuestLog::new(Arc::new(budget), CallId(7), Arc::new(Redactor::new(values.iter().map(value).collect())))
}

fn log() -> GuestLog {
    log_with(Limits::default(), &[VALUE])
}

/// What a subscriber sees of what a test writes, and the log.
fn seen(log: GuestLog, write: impl FnOnce(&GuestLog)) -> (Vec<String>, GuestLog) {
    let (capture, _guard) = CapturedLog::start();
    write(&log);
    assert_eq!(capture.lines(), [""; 0], "it holds everything");
    log.finish();
    (capture.lines(), log)
}

fn messages(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once("message=").unwrap().1).collect()
}

#[test]
fn log_line_is_an_event_of_its_instance_and_call() {
    let (lines, _) = seen(log(), |log| {
        log.write(LogSource::Stdout, b"one\ntwo\r\n");
        log.write(LogSource::Stderr, b"three\n");
        log.log(Level::Debug, "four");
        log.log(Level::Info, "five\nsix");
        log.log(Level::Warn, "seven");
    });
    let event = |level: &str, stream: &str, text: &str| {
        format!("{level} deputy::guest message={text} instance=s3 call=7 stream=\"{stream}\"")
    };
    let without_time = |line: &String| line.split_once(" after_ms=").unwrap().0.to_owned();
    assert_eq!(
        lines.iter().map(without_time).collect::<Vec<_>>(),
        [
            event("INFO", "stdout", "one"),
            event("INFO", "stdout", "two"),
            event("INFO", "stderr", "three"),
            event("DEBUG", "log", "four"),
            event("INFO", "log", "five"),
            event("INFO", "log", "six"),
            event("WARN", "log", "seven"),
        ]
    );
}

#[test]
fn log_lines_are_shown_at_the_end_in_their_order() {
    let (capture, _guard) = CapturedLog::start();
    let log = log();
    for piece in ["a", "b", "", "c\nd", "e\n\n", "f"] {
        log.write(LogSource::Stdout, piece.as_bytes());
    }
    log.write(LogSource::Stderr, b"g");
    let texts = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .map(|line| line.split("message=").nth(1).unwrap().split(" instance").next().unwrap().into())
            .collect()
    };
    assert_eq!(texts(&capture.lines()), [""; 0]);
    log.finish();
    log.finish();
    log.write(LogSource::Stdout, b"late\n");
    drop(log);
    assert_eq!(texts(&capture.lines()), ["abc", "de", "", "f", "g"]);
}

#[test]
fn log_is_finished_when_dropped() {
    let (capture, _guard) = CapturedLog::start();
    let log = log();
    log.stdout().async_stream();
    log.write(LogSource::Stdout, b"rest");
    drop(log);
    assert!(capture.lines()[0].contains("message=rest"));
}

#[test]
fn log_line_cannot_forge_another() {
    let (lines, _) = seen(log(), |log| {
        log.write(LogSource::Stdout, b"a\x1b[2K\rERROR forged\x00\xff\n");
        log.log(Level::Info, "b\u{202e}\u{2028}c\rd");
    });
    let messages = messages(&lines);
    assert!(messages[0].starts_with(r"a\u{1b}[2K\rERROR forged\u{0}� instance"), "{messages:?}");
    assert!(messages[1].starts_with(r"b\u{202e}\u{2028}c\rd instance"), "{messages:?}");
    assert_eq!(messages.len(), 2);
}

#[test]
fn log_blanks_a_secret_in_any_stream() {
    let pem = "first-line-of-it\nsecond-line-of-it\nend";
    let two_lines = "ab\ncd";
    for write in [
        |log: &GuestLog, text: &str| log.write(LogSource::Stdout, format!("<{text}>\n").as_bytes()),
        |log: &GuestLog, text: &str| format!("<{text}>\n").bytes().for_each(|b| log.write(LogSource::Stderr, &[b])),
        |log: &GuestLog, text: &str| log.log(Level::Info, &format!("<{text}>")),
        |log: &GuestLog, text: &str| log.write(LogSource::Stderr, format!("<{text}>").as_bytes()),
    ] {
        for value in [VALUE, pem] {
            let (lines, log) = seen(log_with(Limits::default(), &[value]), |log| write(log, value));
            let text = lines.join("\n") + &log.tail();
            assert!(text.contains("[secret key]"), "{text}");
            assert!(!text.contains("hunter") && !text.contains("line-of"), "{text}");
        }
    }
    let (lines, _) = seen(log_with(Limits::default(), &[two_lines]), |log| {
        log.write(LogSource::Stdout, b"<ab\ncd>\n");
    });
    assert!(lines[0].contains("<[secret key]>"), "{lines:?}");
}

#[test]
fn log_cuts_a_long_line_without_a_piece_of_a_secret() {
    for before in MAX_LINE - 20..=MAX_LINE + 5 {
        for source in [LogSource::Stdout, LogSource::Stderr] {
            let (lines, log) = seen(log(), |log| {
                log.write(source, "x".repeat(before).as_bytes());
                log.write(source, VALUE.as_bytes());
                log.write(source, "y".repeat(MAX_LINE).as_bytes());
                log.write(source, b"end\nnext\n");
            });
            let text = lines.join("\n") + &log.tail();
            assert!(!text.contains("hun"), "{before} {text}");
            assert_eq!(lines.len(), 2, "{before}");
            assert!(lines[0].len() < MAX_LINE + 200 && lines[1].contains("message=next"));
        }
    }
}

#[test]
fn log_cuts_a_long_line_of_secrets_without_a_piece() {
    for source in [LogSource::Stdout, LogSource::Stderr] {
        for before in 0..20 {
            let (lines, log) = seen(log(), |log| {
                log.write(source, "x".repeat(before).as_bytes());
                for _ in 0..1000 {
                    log.write(source, VALUE.as_bytes());
                }
                log.write(source, b"\n");
            });
            let text = lines.join("\n") + &log.tail();
            assert!(!text.contains("hun"), "{text}");
        }
    }
}

#[test]
fn log_over_log_lines_reports_the_dropped_number() {
    let limits = Limits { log_lines: 3, ..Limits::default() };
    let (lines, log) = seen(log_with(limits, &[]), |log| {
        log.write(LogSource::Stdout, b"1\n2\n");
        log.log(Level::Info, "3\n4");
        for _ in 0..10_000 {
            log.write(LogSource::Stderr, b"more\n");
        }
        log.write(LogSource::Stdout, b"unfinished");
    });
    assert_eq!(lines.len(), 4);
    assert!(lines[3].starts_with("WARN deputy::guest message=dropped 10002 lines over the limit `log-lines`"));
    assert!(lines[3].contains("instance=s3 call=7") && lines[3].contains("dropped=10002"), "{}", lines[3]);
    assert_eq!(log.0.budget.findings.denials(), [PolicyDenial::Limit(Limit::LogLines)]);
}

#[test]
fn log_over_log_bytes_drops_the_rest() {
    let limits = Limits { log_bytes: ByteSize::bytes(10), ..Limits::default() };
    let (lines, log) = seen(log_with(limits, &[]), |log| {
        for text in ["12345", "67890", "x", "y"] {
            log.log(Level::Info, text);
        }
    });
    assert_eq!(lines.len(), 3);
    assert!(lines[2].contains("dropped 2 lines over the limit `log-bytes` (\"10B\")"), "{}", lines[2]);
    assert_eq!(log.0.budget.findings.denials(), [PolicyDenial::Limit(Limit::LogBytes)]);
}

#[test]
fn log_within_the_limits_denies_nothing() {
    let limits = Limits { log_lines: 2, log_bytes: ByteSize::bytes(2), ..Limits::default() };
    let (lines, log) = seen(log_with(limits, &[]), |log| log.write(LogSource::Stdout, b"1\n2\n"));
    assert_eq!((lines.len(), log.0.budget.findings.denials()), (2, Vec::new()));
}

#[test]
fn log_counts_escapes_as_written() {
    let limits = Limits { log_bytes: ByteSize::bytes(10), ..Limits::default() };
    let (lines, _) = seen(log_with(limits, &[]), |log| log.write(LogSource::Stdout, b"\x01\x01\x01\n"));
    assert!(lines[0].contains("dropped 1 lines"), "{lines:?}");
}

#[test]
fn log_tail_has_the_end_of_stderr_whatever_was_dropped() {
    let limits = Limits { log_lines: 0, ..Limits::default() };
    let (lines, log) = seen(log_with(limits, &[VALUE]), |log| {
        for number in 0..100_000 {
            log.write(LogSource::Stderr, format!("line {number}\n").as_bytes());
        }
        log.write(LogSource::Stdout, b"not this\n");
        log.write(LogSource::Stderr, b"panicked at \x1b[31mhunter2hunter2:\n  no newline");
    });
    let tail = log.tail();
    assert!(tail.ends_with("line 99999\npanicked at \\u{1b}[31m[secret key]:\n  no newline"), "{tail}");
    assert!(tail.len() <= 4096 && tail.len() > 3900 && !tail.contains("not this"));
    assert_eq!(lines.len(), 1);
}

#[test]
fn log_tail_is_readable_before_the_end() {
    let log = log();
    assert_eq!(log.tail(), "");
    log.write(LogSource::Stderr, b"one\ntwo hunter2hunter2");
    assert_eq!(log.tail(), "one\ntwo [secret key]");
    log.write(LogSource::Stderr, b"\n");
    assert_eq!(log.tail(), "one\ntwo [secret key]");
}

#[test]
fn log_tail_of_a_huge_block_is_bounded() {
    let log = log_with(Limits { log_lines: 1, ..Limits::default() }, &[VALUE]);
    log.write(LogSource::Stderr, format!("{}\n", "line\n".repeat(1 << 20)).as_bytes());
    log.write(LogSource::Stderr, format!("{}\n", "x".repeat(4 << 20)).as_bytes());
    assert!(log.tail().len() <= 4096);
    assert!(log.0.state.lock().unwrap().stderr.raw().is_empty());
}

#[tokio::test]
async fn log_streams_are_ready_and_no_terminal() {
    let log = log();
    assert!(!log.stdout().is_terminal());
    let (capture, _guard) = CapturedLog::start();
    let mut stream = log.stdout().p2_stream();
    stream.ready().await;
    assert!(stream.check_write().unwrap() > 0);
    stream.write("one\n".into()).unwrap();
    stream.flush().unwrap();
    let mut stream = Box::into_pin(log.stderr().async_stream());
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"two\n").await.unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
    log.finish();
    let lines = capture.lines();
    assert!(lines[0].contains("message=one") && lines[0].contains("stdout"));
    assert!(lines[1].contains("message=two") && lines[1].contains("stderr"));
}

#[test]
fn log_over_its_limit_reads_little_of_dropped_text() {
    let (lines, _) = seen(log_with(Limits { log_lines: 1, ..Limits::default() }, &[]), |log| {
        log.log(Level::Info, "first");
        log.log(Level::Info, "second");
        log.log(Level::Info, &"\n".repeat(4 << 20));
    });
    let dropped = format!("dropped at least {} lines", LOOKED_AT + 2);
    assert!(lines.last().is_some_and(|line| line.contains(&dropped)), "{lines:?}");
}

#[test]
fn log_reads_no_more_of_a_message_than_fits() {
    let limits = Limits { log_lines: 1_000_000, ..Limits::default() };
    let (lines, _) = seen(log_with(limits, &[]), |log| log.log(Level::Info, &"x\n".repeat(2 << 20)));
    assert_eq!(lines.len(), LOOKED_AT + 1, "as many bytes as the log may have");
    let dropped = format!("dropped at least {} lines", LOOKED_AT / 2 + 1);
    assert!(lines.last().is_some_and(|line| line.contains(&dropped)), "{:?}", lines.last());
}

#[test]
fn log_blanks_what_is_known_at_the_end_only() {
    let (capture, _guard) = CapturedLog::start();
    let log = log_with(Limits::default(), &[]);
    let hex: String = VALUE.bytes().map(|byte| format!("{byte:02x}")).collect();
    for text in [VALUE, "HUNTER2HUNTER2", &hex] {
        log.log(Level::Debug, &format!("it is {text}!"));
        log.write(LogSource::Stdout, format!("it is {text}!\n").as_bytes());
        log.write(LogSource::Stderr, format!("it is {text}!\n").as_bytes());
    }
    log.0.redactor.learn(&"handle", &Arc::new(SecretBytes::new(VALUE.into())));
    log.finish();
    let text = capture.lines().join("\n") + "\n" + &log.tail();
    assert_eq!(text.matches("it is [secret handle]!").count(), 12, "{text}");
}

#[test]
fn log_cut_before_a_secret_was_known_shows_no_piece_of_it() {
    for before in MAX_LINE - 20..=MAX_LINE + 5 {
        for written in [
            |log: &GuestLog, text: &str| log.log(Level::Info, text),
            |log: &GuestLog, text: &str| log.write(LogSource::Stderr, format!("{text}\nnext\n").as_bytes()),
            |log: &GuestLog, text: &str| log.write(LogSource::Stderr, text.as_bytes()),
        ] {
            let (capture, _guard) = CapturedLog::start();
            let log = log_with(Limits::default(), &[]);
            written(&log, &format!("{}{VALUE}{}", "x".repeat(before), "y".repeat(MAX_LINE)));
            log.0.redactor.learn(&"handle", &Arc::new(SecretBytes::new(VALUE.into())));
            let tail = log.tail();
            log.finish();
            let text = capture.lines().join("\n") + &tail + &log.tail();
            assert!(text.contains("xxx") && text.contains('…') && !text.contains("hu"), "{before} {text}");
        }
    }
}

#[test]
fn log_holds_no_more_than_its_limits() {
    let limits = Limits { log_lines: 100, log_bytes: ByteSize::kib(8), ..Limits::default() };
    let log = log_with(limits, &[]);
    for _ in 0..100 {
        log.write(LogSource::Stdout, b"z\n");
        log.log(Level::Info, &"x".repeat(100_000));
        log.write(LogSource::Stderr, &[b'y'; 10_000]);
    }
    let state = log.0.state.lock().unwrap();
    assert_eq!((state.held.len(), state.counts.bytes), (3, MAX_LINE as u64 + 2));
    assert!(state.stderr.raw().len() <= MAX_LINE);
}

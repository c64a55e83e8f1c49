//! What one call may use. Each limit has a default that serves providers in all five languages.

#![deny(missing_docs)]

use std::fmt;

use crate::{ByteSize, Span};

/// The limits of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of all instances inside the component.
    pub memory: ByteSize,
    /// Elements of each table.
    pub table_elements: u32,
    /// Core instances inside the component, and as many memories and tables, of each at most eight.
    pub instances: u32,
    /// Processor time that the component computes, and the host for it.
    pub cpu: Span,
    /// Time from the start of the call to its end, whatever it does.
    pub wall: Span,
    /// Handles that are open at once.
    pub handles: u32,
    /// Bytes of one argument that the component passes to the host.
    pub argument: ByteSize,
    /// HTTP requests, TCP connections and name look-ups, refused ones as well.
    pub requests: u32,
    /// Bytes of a request's URL.
    pub url: ByteSize,
    /// Bytes of a request's headers, and of an answer's.
    pub headers: ByteSize,
    /// Bytes that leave, over all requests and connections.
    pub sent: ByteSize,
    /// Bytes that come in, over all requests and connections.
    pub received: ByteSize,
    /// Bytes of one answer's body.
    pub response: ByteSize,
    /// Time to connect, name resolution included.
    pub connect: Span,
    /// Time for the TLS handshake.
    pub tls: Span,
    /// Time from the request's end to the answer's head.
    pub first_byte: Span,
    /// Time between two pieces of an answer's body.
    pub between_bytes: Span,
    /// Time of one request, from its start to the end of the answer.
    pub exchange: Span,
    /// Operations on secrets.
    pub secret_operations: u32,
    /// Bytes of the payload that is brought back.
    pub payload: ByteSize,
    /// Files that a receiver leaves in one call.
    pub output_files: u32,
    /// Bytes of all of these files together.
    pub output_bytes: ByteSize,
    /// Lines of the component's log.
    pub log_lines: u32,
    /// Bytes of the component's log.
    pub log_bytes: ByteSize,
}

/// How much a limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitValue {
    /// So many.
    Count(u32),
    /// So many bytes.
    Size(ByteSize),
    /// So long.
    Time(Span),
}

/// Where a limit is kept.
pub(crate) enum LimitField<'l> {
    Count(&'l mut u32),
    Size(&'l mut ByteSize),
    Time(&'l mut Span),
}

/// The name of a limit, as in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// [`Limits::argument`]
    Argument,
    /// [`Limits::between_bytes`]
    BetweenBytes,
    /// [`Limits::connect`]
    Connect,
    /// [`Limits::cpu`]
    Cpu,
    /// [`Limits::exchange`]
    Exchange,
    /// [`Limits::first_byte`]
    FirstByte,
    /// [`Limits::handles`]
    Handles,
    /// [`Limits::headers`]
    Headers,
    /// [`Limits::instances`]
    Instances,
    /// [`Limits::log_bytes`]
    LogBytes,
    /// [`Limits::log_lines`]
    LogLines,
    /// [`Limits::memory`]
    Memory,
    /// [`Limits::output_bytes`]
    OutputBytes,
    /// [`Limits::output_files`]
    OutputFiles,
    /// [`Limits::payload`]
    Payload,
    /// [`Limits::received`]
    Received,
    /// [`Limits::requests`]
    Requests,
    /// [`Limits::response`]
    Response,
    /// [`Limits::secret_operations`]
    SecretOperations,
    /// [`Limits::sent`]
    Sent,
    /// [`Limits::table_elements`]
    TableElements,
    /// [`Limits::tls`]
    Tls,
    /// [`Limits::url`]
    Url,
    /// [`Limits::wall`]
    Wall,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(64),
            table_elements: 100_000,
            instances: 64,
            cpu: Span::secs(10),
            wall: Span::secs(60),
            handles: 256,
            argument: ByteSize::mib(4),
            requests: 16,
            url: ByteSize::kib(8),
            headers: ByteSize::kib(32),
            sent: ByteSize::mib(4),
            received: ByteSize::mib(16),
            response: ByteSize::mib(4),
            connect: Span::secs(5),
            tls: Span::secs(5),
            first_byte: Span::secs(15),
            between_bytes: Span::secs(10),
            exchange: Span::secs(30),
            secret_operations: 64,
            payload: ByteSize::mib(1),
            output_files: 64,
            output_bytes: ByteSize::mib(4),
            log_lines: 200,
            log_bytes: ByteSize::kib(64),
        }
    }
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Argument,
        Self::BetweenBytes,
        Self::Connect,
        Self::Cpu,
        Self::Exchange,
        Self::FirstByte,
        Self::Handles,
        Self::Headers,
        Self::Instances,
        Self::LogBytes,
        Self::LogLines,
        Self::Memory,
        Self::OutputBytes,
        Self::OutputFiles,
        Self::Payload,
        Self::Received,
        Self::Requests,
        Self::Response,
        Self::SecretOperations,
        Self::Sent,
        Self::TableElements,
        Self::Tls,
        Self::Url,
        Self::Wall,
    ];

    /// The key under `[instances.NAME.limits]`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::BetweenBytes => "between-bytes",
            Self::Connect => "connect",
            Self::Cpu => "cpu",
            Self::Exchange => "exchange",
            Self::FirstByte => "first-byte",
            Self::Handles => "handles",
            Self::Headers => "headers",
            Self::Instances => "instances",
            Self::LogBytes => "log-bytes",
            Self::LogLines => "log-lines",
            Self::Memory => "memory",
            Self::OutputBytes => "output-bytes",
            Self::OutputFiles => "output-files",
            Self::Payload => "payload",
            Self::Received => "received",
            Self::Requests => "requests",
            Self::Response => "response",
            Self::SecretOperations => "secret-operations",
            Self::Sent => "sent",
            Self::TableElements => "table-elements",
            Self::Tls => "tls",
            Self::Url => "url",
            Self::Wall => "wall",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl Limits {
    /// The greatest `instances`: this one and the two below are what the engine has room for, whatever is written.
    pub const MOST_INSTANCES: u32 = 64;
    /// The greatest `memory`.
    pub const MOST_MEMORY: ByteSize = ByteSize::mib(1024);
    /// The greatest `payload`: what a store can keep as one value.
    pub const MOST_PAYLOAD: ByteSize = ByteSize::mib(2);
    /// The greatest `table-elements`.
    pub const MOST_TABLE_ELEMENTS: u32 = 100_000;

    /// The value of one limit. Where each is kept is said once, in `slot`, so this asks a copy.
    pub fn amount(&self, limit: Limit) -> LimitValue {
        match self.clone().slot(limit) {
            LimitField::Count(count) => LimitValue::Count(*count),
            LimitField::Size(size) => LimitValue::Size(*size),
            LimitField::Time(time) => LimitValue::Time(*time),
        }
    }

    /// The value of one limit, as the configuration writes it.
    pub fn shown(&self, limit: Limit) -> String {
        match self.amount(limit) {
            LimitValue::Count(count) => count.to_string(),
            LimitValue::Size(size) => quoted(size),
            LimitValue::Time(time) => quoted(time),
        }
    }

    /// Where a limit is kept.
    pub(crate) fn slot(&mut self, limit: Limit) -> LimitField<'_> {
        match limit {
            Limit::Argument => LimitField::Size(&mut self.argument),
            Limit::BetweenBytes => LimitField::Time(&mut self.between_bytes),
            Limit::Connect => LimitField::Time(&mut self.connect),
            Limit::Cpu => LimitField::Time(&mut self.cpu),
            Limit::Exchange => LimitField::Time(&mut self.exchange),
            Limit::FirstByte => LimitField::Time(&mut self.first_byte),
            Limit::Handles => LimitField::Count(&mut self.handles),
            Limit::Headers => LimitField::Size(&mut self.headers),
            Limit::Instances => LimitField::Count(&mut self.instances),
            Limit::LogBytes => LimitField::Size(&mut self.log_bytes),
            Limit::LogLines => LimitField::Count(&mut self.log_lines),
            Limit::Memory => LimitField::Size(&mut self.memory),
            Limit::OutputBytes => LimitField::Size(&mut self.output_bytes),
            Limit::OutputFiles => LimitField::Count(&mut self.output_files),
            Limit::Payload => LimitField::Size(&mut self.payload),
            Limit::Received => LimitField::Size(&mut self.received),
            Limit::Requests => LimitField::Count(&mut self.requests),
            Limit::Response => LimitField::Size(&mut self.response),
            Limit::SecretOperations => LimitField::Count(&mut self.secret_operations),
            Limit::Sent => LimitField::Size(&mut self.sent),
            Limit::TableElements => LimitField::Count(&mut self.table_elements),
            Limit::Tls => LimitField::Time(&mut self.tls),
            Limit::Url => LimitField::Size(&mut self.url),
            Limit::Wall => LimitField::Time(&mut self.wall),
        }
    }
}

impl LimitValue {
    /// As a number: a count as it is, a size in bytes, a time in milliseconds.
    pub fn number(self) -> u64 {
        match self {
            Self::Count(count) => count.into(),
            Self::Size(size) => size.as_u64(),
            Self::Time(time) => time.as_millis(),
        }
    }
}

fn quoted(value: impl fmt::Display) -> String {
    format!("\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_shown_as_the_line_that_sets_it() {
        let lines = Limit::ALL.map(|limit| format!("{limit} = {}", Limits::default().shown(limit)));
        let expected = [
            "argument = \"4MiB\"",
            "between-bytes = \"10s\"",
            "connect = \"5s\"",
            "cpu = \"10s\"",
            "exchange = \"30s\"",
            "first-byte = \"15s\"",
            "handles = 256",
            "headers = \"32KiB\"",
            "instances = 64",
            "log-bytes = \"64KiB\"",
            "log-lines = 200",
            "memory = \"64MiB\"",
            "output-bytes = \"4MiB\"",
            "output-files = 64",
            "payload = \"1MiB\"",
            "received = \"16MiB\"",
            "requests = 16",
            "response = \"4MiB\"",
            "secret-operations = 64",
            "sent = \"4MiB\"",
            "table-elements = 100000",
            "tls = \"5s\"",
            "url = \"8KiB\"",
            "wall = \"1m\"",
        ];
        assert_eq!(lines, expected);
        assert!(Limit::ALL.iter().all(|limit| limit.key() == limit.to_string()));
    }

    #[test]
    fn no_default_is_beyond_what_the_engine_has_room_for() {
        let default = Limits::default();
        assert!(default.instances <= Limits::MOST_INSTANCES);
        assert!(default.memory <= Limits::MOST_MEMORY);
        assert!(default.table_elements <= Limits::MOST_TABLE_ELEMENTS);
    }
}

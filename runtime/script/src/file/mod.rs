//! The file of a test.

mod call;
mod exchange;
mod expect;
mod find;
mod json_match;
mod parsed;
mod pattern;
mod text_match;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use deputy_config::{TestSubject, read_text};
use deputy_core::{ComponentRef, Timestamp};
use serde::Deserialize;

pub(crate) use call::{CallEntry, DeliveryEntry, ScriptedFunction, TokensEntry, decoded};
pub(crate) use exchange::{EarlyEnd, HttpExchange, Reply, RequestMatch, ScriptedRequest, TcpExchange, TcpStep};
pub(crate) use expect::{Expect, FailureMatch, UsageBounds};
pub use find::find_scripts;
pub(crate) use json_match::{MAX_JSON_DEPTH, match_json};
pub(crate) use parsed::Parsed;
pub(crate) use text_match::{TextMatch, shown};

use crate::script_error::ScriptError;

/// A test as it is written, but for its component, which the runner reads.
#[derive(Debug)]
pub struct ScriptFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) entries: Entries,
}

/// What is in the file beside `[instance]` and `[receiver]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Entries {
    #[expect(dead_code, reason = "deputy-config reads it")]
    instance: Option<toml::Table>,
    #[expect(dead_code, reason = "deputy-config reads it")]
    receiver: Option<toml::Table>,
    #[expect(dead_code, reason = "deputy-config reads it")]
    logins: Option<toml::Table>,
    /// The wall clock of the first call.
    pub(crate) now: Option<Parsed<ScriptTime>>,
    #[serde(default)]
    pub(crate) seed: u64,
    /// The instance's state before the first call.
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) hosts: BTreeMap<String, HostEntry>,
    #[serde(default)]
    pub(crate) call: Vec<CallEntry>,
}

/// How a host of the script differs from one that is simply there.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct HostEntry {
    /// What its name resolves to; by default a public address of its own.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) resolve: NameAnswer,
    pub(crate) connect: ConnectAnswer,
    pub(crate) tls: Certificate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NameAnswer {
    #[default]
    Works,
    Fails,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConnectAnswer {
    #[default]
    Works,
    Refused,
}

/// The certificate of a host that is reached by TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Certificate {
    #[default]
    Trusted,
    /// Of an authority that the component's grant does not trust.
    Untrusted,
    /// It is no longer valid.
    Expired,
    /// For another name.
    WrongName,
}

/// A time, in RFC 3339 and UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScriptTime(pub(crate) Timestamp);

/// The wall clock of a test that sets none: 2026-01-01T00:00:00Z.
const DEFAULT_NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Calls of one file.
const MAX_CALLS: usize = 200;
/// Regular expressions of one file, as many as a machine compiles in a few seconds.
const MAX_PATTERNS: usize = 1000;
/// Addresses of one host.
const MAX_ADDRESSES: usize = 16;

impl ScriptFile {
    /// Reads a test.
    ///
    /// # Errors
    /// If the file cannot be read or is not valid. The component is not looked at.
    pub fn load(path: &Path) -> Result<Self, ScriptError> {
        check_regular(path)?;
        let text = read_text(path).map_err(ScriptError::Unreadable)?;
        Self::parse(text, path)
    }

    /// Parses the text of a test.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: String, path: &Path) -> Result<Self, ScriptError> {
        // Before the entries: these compile each expression.
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| ScriptError::invalid(path, located(path, &text, &error)))?;
        if table.iter().map(|(name, value)| patterns(name, value)).sum::<usize>() > MAX_PATTERNS {
            return Err(too_many(path, MAX_PATTERNS, "regular expressions"));
        }
        let entries: Entries =
            toml::from_str(&text).map_err(|error| ScriptError::invalid(path, located(path, &text, &error)))?;
        if entries.call.len() > MAX_CALLS {
            return Err(too_many(path, MAX_CALLS, "calls"));
        }
        if entries.hosts.values().any(|host| host.addresses.len() > MAX_ADDRESSES) {
            return Err(too_many(path, MAX_ADDRESSES, "addresses of one host"));
        }
        for (at, call) in entries.call.iter().enumerate() {
            call.check().map_err(|error| {
                ScriptError::invalid(path, format!("{}: call {}: {error}", path.display(), at.saturating_add(1)))
            })?;
        }
        Ok(Self { path: path.to_owned(), text, entries })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files whose change changes its result: itself and its component.
    ///
    /// # Errors
    /// If its component is not valid.
    pub fn files(&self) -> Result<Vec<PathBuf>, ScriptError> {
        let component = match TestSubject::parse(&self.text, &self.path, Path::new(""))? {
            TestSubject::Provider(tested) => tested.entry.component.map(|instance| instance.component),
            TestSubject::Receiver(plan) => Some(plan.component),
        };
        let component = component.and_then(|component| match component {
            ComponentRef::File(path) => Some(path),
            ComponentRef::Installed { .. } => None,
        });
        Ok(std::iter::once(self.path.clone()).chain(component).collect())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.entries.now.as_ref().map_or(DEFAULT_NOW, |now| now.0.0)
    }
}

/// A folder of tests may come from a stranger: opening a fifo waits for its writer, and a device has no end.
#[expect(clippy::disallowed_methods, reason = "an edge: the author's file")]
fn check_regular(path: &Path) -> Result<(), ScriptError> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(ScriptError::Irregular(path.to_owned())),
        // That it cannot be read shows when it is.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// How many regular expressions an entry of the file has. The reader of TOML has bounded how deep this goes.
fn patterns(name: &str, value: &toml::Value) -> usize {
    let own = usize::from(matches!(name, "regex" | "$regex"));
    let inner: usize = match value {
        toml::Value::Array(values) => values.iter().map(|value| patterns("", value)).sum(),
        toml::Value::Table(entries) => entries.iter().map(|(name, value)| patterns(name, value)).sum(),
        _ => 0,
    };
    own.saturating_add(inner)
}

/// A file may come from a stranger, and takes bounded time and memory.
fn too_many(path: &Path, max: usize, what: &str) -> ScriptError {
    ScriptError::invalid(path, format!("{}: more than {max} {what}: write several files", path.display()))
}

/// An error of the parser with its place, in one line.
fn located(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..text.floor_char_boundary(at)).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    format!("{}:{line}:{column}: {}", path.display(), error.message())
}

impl std::str::FromStr for ScriptTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "not a time: write it in UTC, as 2026-01-01T00:00:00Z";
        let datetime: toml::value::Datetime = text.parse().map_err(|_| EXPECTED)?;
        let (Some(date), Some(time), Some(toml::value::Offset::Z)) = (datetime.date, datetime.time, datetime.offset)
        else {
            return Err(EXPECTED);
        };
        let midnight =
            deputy_core::time::CivilDate { year: date.year.into(), month: date.month.into(), day: date.day.into() }
                .midnight()
                .ok_or(EXPECTED)?;
        let seconds = u64::from(time.hour) * 3600 + u64::from(time.minute) * 60 + u64::from(time.second.unwrap_or(0));
        let millis = u64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
        Ok(Self(midnight.plus(deputy_core::Span::millis(seconds * 1000 + millis))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a test of one call that expects these lines.
    fn error(lines: &str) -> Option<String> {
        let text = format!("[instance]\ncomponent = \"a.wasm\"\n[[call]]\n{lines}\n");
        ScriptFile::parse(text, Path::new("a.test.toml")).err().map(|error| error.to_string())
    }

    #[test]
    fn script_bounds_patterns_however_their_key_is_written() {
        for key in ["regex", "\"\\u0072egex\"", "'regex'"] {
            let patterns = format!("{{ {key} = \"a\" }}, ").repeat(MAX_PATTERNS + 1);
            let error = error(&format!("[call.expect]\nvalue = [{patterns}]")).unwrap_or_default();
            assert!(error.contains("more than 1000 regular expressions"), "{key}: {error}");
        }
    }

    #[test]
    fn script_takes_texts_that_have_the_word_regex() {
        let body = "regex ".repeat(MAX_PATTERNS + 1);
        let lines = format!(
            "[[call.http]]\n[call.http.request]\nmethod = \"GET\"\nurl = \"https://a.example/\"\n[call.http.reply]\nbody = \"{body}\""
        );
        assert_eq!(error(&lines), None);
    }
}

//! What came of a script.

use deputy_core::misleads;
use schemars::JsonSchema;
use serde::Serialize;

use crate::mismatch::Mismatch;

/// What came of one file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScriptReport {
    pub file: String,
    pub ok: bool,
    pub calls: Vec<CallReport>,
}

/// What came of one call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CallReport {
    pub name: String,
    pub function: &'static str,
    pub ok: bool,
    pub mismatches: Vec<Mismatch>,
    /// What it used, one line each.
    pub uses: Vec<String>,
    /// What was refused, with the lines that would permit it.
    pub refusals: Vec<RefusedUse>,
    /// The audit events, oldest first.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub events: Vec<deputy_audit::AuditEvent>,
    pub stderr: String,
    pub millis: u64,
}

/// Something that was refused.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RefusedUse {
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The reports as JUnit's XML, which CI servers read.
pub fn junit(reports: &[ScriptReport]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        let failures = report.calls.iter().filter(|call| !call.ok).count();
        xml.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\">\n",
            escaped(&report.file),
            report.calls.len()
        ));
        for call in &report.calls {
            let seconds = format!("{}.{:03}", call.millis / 1000, call.millis % 1000);
            xml.push_str(&format!(
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds}\"",
                escaped(&report.file),
                escaped(&call.name)
            ));
            if call.ok {
                xml.push_str("/>\n");
                continue;
            }
            let text: String = call.mismatches.iter().map(ToString::to_string).collect();
            let places: Vec<_> = call.mismatches.iter().map(|mismatch| mismatch.place.as_str()).collect();
            xml.push_str(&format!(
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                escaped(&places.join("; ")),
                escaped(&text)
            ));
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// A text as XML has it. Characters that XML cannot have are replaced, as are those that are not seen but change what is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if misleads(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

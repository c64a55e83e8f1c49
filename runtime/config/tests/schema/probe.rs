//! Asking a reader of the configuration what it takes at a place: each kind of value is put there, and what the reader says
//! about it is read.

use std::collections::BTreeMap;
use std::path::Path;

use deputy_config::{ConfigErrors, CoordinatorFile, Finding, WorkerConfig};
use serde_json::{Map, Value, json};

/// A key that no table has, and a text that no key takes.
const ODD: &str = "zzz";

/// The name where the operator chooses names.
const NAME: &str = "n";

/// A value of each kind, by the word of the JSON Schema.
const KINDS: [(&str, &str); 6] = [
    ("array", "[]"),
    ("boolean", "true"),
    ("integer", "1"),
    ("number", "0.5"),
    ("object", "{}"),
    ("string", "\"zzz\""),
];

/// Where the reference describes limits; other tables have the same.
pub(crate) const LIMITS: &str = "instances.*.limits.";

type Reader = fn(&str) -> Vec<Finding>;

/// A place in a file, and the reader of the file.
#[derive(Clone)]
pub(crate) struct Probe {
    reader: Reader,
    place: Vec<Step>,
}

#[derive(Clone, PartialEq)]
enum Step {
    Key(String),
    Element,
}

pub(crate) fn coordinator() -> Probe {
    Probe { reader: |text| findings(CoordinatorFile::parse(text, Path::new("deputy.toml")).err()), place: Vec::new() }
}

pub(crate) fn worker() -> Probe {
    Probe { reader: |text| findings(WorkerConfig::parse(text, Path::new("worker.toml")).err()), place: Vec::new() }
}

fn findings(errors: Option<ConfigErrors>) -> Vec<Finding> {
    errors.map(|errors| errors.findings()).unwrap_or_default()
}

impl Probe {
    fn at(&self, step: Step) -> Self {
        let place = self.place.iter().cloned().chain([step]).collect();
        Self { reader: self.reader, place }
    }

    fn key(&self, key: &str) -> Self {
        self.at(Step::Key(key.to_owned()))
    }

    /// What the reader says about a value at this place.
    fn ask(&self, value: &str) -> Vec<Finding> {
        let mut text = value.to_owned();
        for (depth, step) in self.place.iter().enumerate().rev() {
            text = match step {
                Step::Element => format!("[{text}]"),
                Step::Key(key) if depth == 0 => format!("{key} = {text}"),
                Step::Key(key) => format!("{{ {key} = {text} }}"),
            };
        }
        (self.reader)(&text)
    }

    fn kinds(&self) -> Vec<&'static str> {
        let is_taken = |value: &str| {
            let wrong =
                |finding: &Finding| finding.message.starts_with("expected ") && finding.message.contains(", found ");
            !self.ask(value).iter().any(wrong)
        };
        let mut kinds: Vec<_> = KINDS.iter().filter(|(_, value)| is_taken(value)).map(|(kind, _)| *kind).collect();
        if kinds.contains(&"number") {
            kinds.retain(|kind| *kind != "integer");
        }
        kinds
    }

    /// The keys of the table here, or `None` where the operator chooses them.
    fn keys(&self) -> Option<Vec<String>> {
        let asked = if self.place.is_empty() { format!("{ODD} = 1") } else { format!("{{ {ODD} = 1 }}") };
        let unknown = self.ask(&asked).into_iter().find(|finding| finding.message == format!("unknown key `{ODD}`"))?;
        Some(quoted(&unknown.hint.unwrap()))
    }

    /// The words that a text here is one of.
    fn words(&self) -> Option<Vec<String>> {
        let prefix = format!("`{ODD}` is not one of ");
        let found = self.ask(&format!("\"{ODD}\""));
        found.iter().find_map(|finding| finding.message.strip_prefix(&prefix)).map(quoted)
    }

    /// The schema of a table here.
    pub(crate) fn table(&self, descriptions: &BTreeMap<String, String>) -> Value {
        let Some(keys) = self.keys() else {
            return json!({ "additionalProperties": self.key(NAME).value(descriptions), "type": "object" });
        };
        let properties = keys.iter().map(|key| (key.clone(), self.key(key).value(descriptions)));
        let properties: Map<String, Value> = properties.collect();
        json!({ "additionalProperties": false, "properties": properties, "type": "object" })
    }

    /// The schema of a value here.
    fn value(&self, descriptions: &BTreeMap<String, String>) -> Value {
        let kinds = self.kinds();
        let mut schema = match kinds.as_slice() {
            // Nothing is said about any of them.
            kinds if kinds.len() == KINDS.len() - 1 => json!({}),
            [kind] => self.of_kind(kind, descriptions),
            kinds => json!({ "anyOf": kinds.iter().map(|kind| self.of_kind(kind, descriptions)).collect::<Vec<_>>() }),
        };
        let path = self.path();
        let of_limit = path.rsplit_once(".limits.").map(|(_, limit)| format!("{LIMITS}{limit}"));
        let description = descriptions.get(&path).or_else(|| descriptions.get(&of_limit?));
        let description = description.filter(|_| self.place.last() != Some(&Step::Element));
        if let (Some(description), Value::Object(members)) = (description, &mut schema) {
            members.insert("description".to_owned(), Value::from(description.as_str()));
        }
        schema
    }

    fn of_kind(&self, kind: &str, descriptions: &BTreeMap<String, String>) -> Value {
        match kind {
            "array" => json!({ "items": self.at(Step::Element).value(descriptions), "type": "array" }),
            "object" => self.table(descriptions),
            "string" => match self.words() {
                Some(words) => json!({ "enum": words, "type": "string" }),
                None => json!({ "type": "string" }),
            },
            kind => json!({ "type": kind }),
        }
    }

    /// As the reference has it: `instances.*.http.allow`.
    fn path(&self) -> String {
        let keys = self.place.iter().filter_map(|step| match step {
            Step::Key(key) if key == NAME => Some("*"),
            Step::Key(key) => Some(key.as_str()),
            Step::Element => None,
        });
        keys.collect::<Vec<_>>().join(".")
    }
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

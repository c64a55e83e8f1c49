//! What `deputy check` prints about one instance.

use super::instance::{AnswerJson, CheckedGrantJson, CheckedInstanceJson, LoadedJson};
use crate::print::{ERROR, FAINT, GOOD, HEADING, WARNING, bytes, indented, sanitize, styled};
use crate::table::Table;

impl CheckedInstanceJson {
    pub(super) fn text(&self) -> String {
        let (style, state) = match (self.enabled, self.ok) {
            (false, _) => (FAINT, "not enabled"),
            (true, true) => (GOOD, "ok"),
            (true, false) => (ERROR, "not ok"),
        };
        let mut text = format!("{}: {}\n", styled(HEADING, &self.name), styled(style, state));
        text.push_str(&self.facts().render(2));
        if let Some(error) = &self.error {
            text.push_str(&format!("  {}\n", styled(ERROR, sanitize(&error.message))));
            error.causes.iter().for_each(|cause| text.push_str(&format!("    because {}\n", sanitize(cause))));
        }
        if let Some(loaded) = &self.loaded {
            text.push_str(&loaded.errors());
            text.push_str(&loaded.comparison());
        }
        text.push('\n');
        text
    }

    fn facts(&self) -> Table {
        let mut table = Table::default();
        if let Some(component) = &self.component {
            table.row(["component", component]);
        }
        if let Some(loaded) = &self.loaded {
            if self.component.as_ref() != Some(&loaded.component.path) {
                table.row(["", &loaded.component.path]);
            }
            loaded.add_facts(&mut table);
        }
        if let Some(file) = &self.file {
            let service = self.service.as_ref().map(|service| format!("of {service}, ")).unwrap_or_default();
            table.row(["file", &file.path]);
            table.row(["", &format!("{service}valid for {} after it was written", file.lifetime)]);
            if let Some(error) = &file.error {
                table.row(["", &format!("cannot be read: {error}")]);
            }
        }
        if !self.deliver_to.is_empty() {
            table.row(["deliver to", &self.deliver_to.join(", ")]);
        }
        table
    }
}

impl LoadedJson {
    fn add_facts(&self, table: &mut Table) {
        let component = &self.component;
        let mut facts = match &self.service {
            AnswerJson::Ok(service) => format!("{} of {service}", component.kind),
            AnswerJson::Failed { .. } => component.kind.clone(),
        };
        if component.exports.renewal {
            facts.push_str(", renews");
        }
        if component.exports.revocation {
            facts.push_str(", revokes");
        }
        table.row(["", &format!("{facts}, {}", bytes(component.size))]);
        if let AnswerJson::Ok(kinds) = &self.kinds {
            table.row(["obtains", &kinds.iter().map(String::as_str).collect::<Vec<_>>().join(", ")]);
        }
        table.row(["sha256", &component.sha256]);
        if let AnswerJson::Ok(false) = self.tokens_required {
            table.row(["tokens", "not required with these settings"]);
        }
        for (index, secret) in self.secrets.iter().enumerate() {
            let read = if secret.unread { "not read: only the service has its credentials" } else { "readable" };
            let state = secret.error.as_deref().unwrap_or(read);
            let label = if index == 0 { "secrets" } else { "" };
            table.row([label, &format!("{} ({}): {state}", secret.name, secret.source)]);
        }
    }

    fn errors(&self) -> String {
        let answers = [
            ("service-name", self.service.error()),
            ("kinds", self.kinds.error()),
            ("tokens-required", self.tokens_required.error()),
        ];
        // What is wrong with the settings is the same for all functions.
        let mut by_error: Vec<(&str, String)> = Vec::new();
        for (function, error) in answers {
            let Some(error) = error else { continue };
            match by_error.iter_mut().find(|(other, _)| *other == error) {
                Some((_, functions)) => functions.push_str(&format!(", {function}")),
                None => by_error.push((error, function.to_owned())),
            }
        }
        by_error
            .into_iter()
            .map(|(error, functions)| format!("  {} {}\n", styled(ERROR, functions), sanitize(error)))
            .collect()
    }

    fn comparison(&self) -> String {
        let mut text = section("imported and granted", grant_rows(&self.granted));
        let not_granted = self.not_granted.iter().map(|words| [(*words).to_owned(), String::new()]).collect();
        let unknown = self.unknown_imports.iter().map(|import| [import.clone(), String::new()]).collect();
        text.push_str(&section(&styled(WARNING, "imported and not granted"), not_granted));
        text.push_str(&section(&styled(WARNING, "granted and not imported"), grant_rows(&self.unused)));
        text.push_str(&section(&styled(WARNING, "imported and unknown"), unknown));
        let open = self.left_open.iter().map(|open| [open.secret.clone(), open.what.clone()]).collect();
        text.push_str(&section(&styled(WARNING, "left open by the grant"), open));
        if let Some(why) = self.state.as_ref().and_then(|state| state.unknown.as_ref()) {
            let unknown = format!("it is not known whose state is kept: {}", sanitize(why));
            text.push_str(&format!("  {}\n", styled(WARNING, unknown)));
        }
        if let Some(fix) = self.state.as_ref().and_then(|state| state.fix.as_ref()) {
            text.push_str(&format!("  {}\n", styled(WARNING, "state is kept for another; to inherit it, write")));
            text.push_str(&indented(fix, "    "));
        }
        text
    }
}

fn grant_rows(grants: &[CheckedGrantJson]) -> Vec<[String; 2]> {
    grants.iter().map(|grant| [grant.words.to_owned(), grant.grants.join(", ")]).collect()
}

fn section(title: &str, rows: Vec<[String; 2]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    rows.into_iter().for_each(|row| table.row(row));
    format!("  {title}\n{}", table.render(4))
}

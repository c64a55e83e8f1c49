//! What `deputy add` says.

use std::path::Path;

use deputy_core::GrantRequest;
use deputy_core::grant::Grant;
use deputy_files::shell_quoted;
use deputy_sandbox::ComponentKind;
use schemars::JsonSchema;
use serde::Serialize;

use super::secret_files::SecretFiles;
use super::{AddArgs, DescribedProvider};
use crate::capability::{Capability, Decision};
use crate::commands::init::systemd;
use crate::context::Context;
use crate::print::{HEADING, WARNING, sanitize, styled};
use crate::table::Table;

/// For components whose server expects something that they do not ask for.
const NO_CREDENTIAL: &str = "
It wants no secret and no login: its requests carry no credential, unless you add `headers` or `form` to its rule.
";

#[derive(Serialize, JsonSchema)]
pub(super) struct WantedJson {
    capability: &'static str,
    #[serde(skip)]
    words: &'static str,
    grants: Vec<String>,
}

/// What is granted, by capability.
pub(super) fn grants(kind: ComponentKind, grant: &Grant) -> Vec<WantedJson> {
    // Host names are looked up for the rules of connections, which are listed themselves.
    let all = Capability::ALL.into_iter().filter(|c| *c != Capability::Names && c.decision(kind) == Decision::ByGrant);
    let all = all.map(|c| WantedJson { capability: c.key(), words: c.words(), grants: c.granted_with_limits(grant) });
    all.filter(|granted| !granted.grants.is_empty()).collect()
}

/// What the component is and wants, in plain words.
pub(super) fn summary(
    arguments: &AddArgs,
    described: &DescribedProvider,
    request: &GrantRequest,
    grant: &Grant,
) -> String {
    let description = &described.description;
    let title = description.about("title").unwrap_or("no title");
    let version = description.about("version").map(|version| format!(", version {version}")).unwrap_or_default();
    let mut text =
        format!("{} {}\n", styled(HEADING, format!("{}:", arguments.name)), sanitize(&format!("{title}{version}")));
    let granted = grants(described.info.kind, grant);
    if granted.is_empty() {
        text.push_str("\nIt wants nothing.\n");
    } else {
        let mut table = Table::default();
        for WantedJson { words, grants, .. } in granted {
            for (index, grant) in grants.into_iter().enumerate() {
                table.row([if index == 0 { words } else { "" }, &grant]);
            }
        }
        text.push_str(&format!("\nIt wants to\n{}", table.render(2)));
    }
    if !grant.http.is_empty() && grant.secrets.is_empty() && !request.wants_login {
        text.push_str(NO_CREDENTIAL);
    }
    text.push_str(&lines("Because, in its own words, it", &request.reasons));
    let unknown = styled(WARNING, "Not written, because this version of deputy does not know it:");
    text.push_str(&lines(&unknown, &request.unknown));
    text.push('\n');
    text
}

fn lines(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("  {}\n", sanitize(line))).collect();
    format!("\n{title}\n{lines}")
}

/// What is left to do after it is written; `is_of_unit` if the configuration is that of the systemd unit, which runs as another
/// user.
pub(super) fn steps(
    context: &Context,
    arguments: &AddArgs,
    files: &SecretFiles,
    request: &GrantRequest,
    is_of_unit: bool,
) -> Vec<String> {
    let puts = files.missing.iter().map(|(name, path)| {
        let format = request.secrets.get(name).and_then(|secret| secret.format.as_deref());
        // Not on the line of the command: it is the component's text, and some shells take no comments.
        let format = match format {
            Some(format) => format!("what goes in, in the component's words: {}; end with Ctrl-D", sanitize(format)),
            None => "what goes in: the value alone; end with Ctrl-D".to_owned(),
        };
        let put = if is_of_unit { systemd::put(path) } else { format!("(umask 077; cat > {})", shell_quoted(path)) };
        format!("{put}\n     {format}")
    });
    let obtain = context.command(&format!("obtain {}", arguments.name));
    let rest = if is_of_unit {
        [
            format!("sudo -u {} {obtain}      # tries it once", systemd::USER),
            "sudo systemctl reload-or-restart deputy      # applies it".to_owned(),
        ]
    } else {
        let (reload, run) = (context.command("reload"), context.command("run"));
        [
            format!("{obtain}      # tries it once"),
            format!("{reload}      # applies it to a running coordinator; or: {run}"),
        ]
    };
    puts.chain(rest).collect()
}

pub(super) fn numbered(config: &Path, steps: &[String]) -> String {
    let mut text = format!("{} is written. Next:\n", config.display());
    for (number, step) in (1..).zip(steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    text
}

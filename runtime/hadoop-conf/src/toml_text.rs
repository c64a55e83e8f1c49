//! A proposal as the text of a `deputy.toml`.

use std::fmt::Write as _;
use std::path::Path;

use deputy_core::toml_string;
use deputy_support::single_line;

use crate::proposal::{HttpGrant, Proposal, ProposalOptions, ProposedInstance, TcpGrant};

/// The login of all instances.
const LOGIN: &str = "hadoop";

pub(crate) fn toml(proposal: &Proposal) -> String {
    let mut text = format!(
        "# Proposed by `deputy hadoop-conf` from {}.\n\
         # Read it before it is used: what stands here is permitted, and nothing else. `deputy check` tries it.\n",
        proposal.files.join(", ")
    );
    if !proposal.notes.is_empty() {
        text.push_str("#\n# Not known, or left out:\n");
        proposal.notes.iter().for_each(|note| push(&mut text, format_args!("# - {}", single_line(note))));
    }
    push_login(&mut text, proposal);
    proposal.instances.iter().for_each(|instance| push_instance(&mut text, proposal, instance));
    push_group(&mut text, proposal);
    text
}

fn push_login(text: &mut String, proposal: &Proposal) {
    let options = &proposal.options;
    push(text, format_args!("\n[logins.{LOGIN}]"));
    match (&options.principal, &proposal.realm) {
        (Some(principal), _) => push(text, format_args!("principal = {}", toml_string(principal.as_str()))),
        (None, realm) => {
            let principal = format!("deputy@{}", realm.as_deref().unwrap_or("EXAMPLE.COM"));
            push(
                text,
                format_args!("principal = {}    # not known: the principal of the keytab", toml_string(&principal)),
            );
        }
    }
    match &options.keytab {
        Some(keytab) => push(text, format_args!("keytab = {}", quoted_path(keytab))),
        None => push(
            text,
            format_args!("keytab = \"deputy.keytab\"    # not known: a file that Deputy's user alone can read"),
        ),
    }
    match &options.krb5_conf {
        Some(file) => push(text, format_args!("krb5-conf = {}", quoted_path(file))),
        None => push(text, format_args!("# The KDCs are those of /etc/krb5.conf; or: kdcs = [\"kdc.example.com\"]")),
    }
}

fn push_instance(text: &mut String, proposal: &Proposal, instance: &ProposedInstance) {
    let ProposedInstance { name, about, provider, .. } = instance;
    let options = &proposal.options;
    let component = component(options, provider);
    push(text, format_args!("\n# {}\n[instances.{name}]\ncomponent = {component}", single_line(about)));
    if !instance.enabled {
        push(text, format_args!("enabled = false    # true if a client uses it"));
    }
    match &options.group {
        Some(group) if instance.enabled => push(text, format_args!("deliver-to = [\"{group}\"]")),
        Some(_) | None => {}
    }
    push(text, format_args!("\n[instances.{name}.settings]"));
    for (setting, value) in &instance.settings {
        push(text, format_args!("{setting} = {}", toml_string(value)));
    }
    push(text, format_args!("\n[instances.{name}.kerberos]\nlogin = \"{LOGIN}\""));
    if !instance.targets.is_empty() {
        let targets: Vec<String> = instance.targets.iter().map(|target| toml_string(target)).collect();
        push(text, format_args!("targets = [{}]", targets.join(", ")));
    }
    for TcpGrant { allow, networks } in &instance.tcp {
        push(
            text,
            format_args!("\n[[instances.{name}.tcp]]\nallow = {}\nnetworks = [\"{networks}\"]", toml_string(allow)),
        );
    }
    for HttpGrant { allow, path, networks, negotiate } in &instance.http {
        push(text, format_args!("\n[[instances.{name}.http]]\nallow = {}", toml_string(allow)));
        push(text, format_args!("methods = [\"GET\", \"PUT\"]\npaths = [{}]", toml_string(path)));
        push(text, format_args!("networks = [\"{networks}\"]\nnegotiate = {}", toml_string(negotiate)));
        if allow.starts_with("https://") {
            push(text, format_args!("# roots = \"ca.pem\"    # if its certificate is not of a public authority"));
        }
    }
}

/// What the workers of the group do with the tokens.
fn push_group(text: &mut String, proposal: &Proposal) {
    let Some(group) = &proposal.options.group else { return };
    let enabled = proposal.instances.iter().filter(|instance| instance.enabled);
    let names: Vec<String> = enabled.map(|instance| toml_string(&instance.name)).collect();
    if names.is_empty() {
        return;
    }
    let component = component(&proposal.options, "hadoop-credentials");
    push(text, format_args!("\n# One token file for HADOOP_TOKEN_FILE_LOCATION on each worker of the group."));
    push(text, format_args!("[groups.{group}.receivers.hadoop]\ncomponent = {component}"));
    push(text, format_args!("instances = [{}]", names.join(", ")));
}

/// The name of an installed component, or its file in the folder that was given.
fn component(options: &ProposalOptions, name: &str) -> String {
    match &options.components {
        Some(folder) => quoted_path(&folder.join(format!("{name}.wasm"))),
        None => toml_string(name),
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    writeln!(text, "{line}").ok();
}

fn quoted_path(path: &Path) -> String {
    toml_string(&path.to_string_lossy())
}

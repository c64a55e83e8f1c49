//! `deputy hadoop-conf`

use std::path::PathBuf;

use clap::{Args, ValueHint};
use deputy_core::{GroupName, KerberosPrincipal};
use deputy_hadoop_conf::{HadoopProperties, Proposal, ProposalOptions};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::WARNING;
use crate::private_file::create_private_file;

/// Propose a configuration from the configuration of a Hadoop cluster
///
/// Reads core-site.xml, hdfs-site.xml, yarn-site.xml, hbase-site.xml and hive-site.xml of a client, those that exist, and
/// writes a deputy.toml: a login, and an instance with its grant for each nameservice, each NameNode and each set of routers
/// of HDFS, for WebHDFS, KMS, YARN and the Hive metastore. Comments at its beginning list what the files do not say. Read it
/// before you use it, since it permits connections. The command contacts no server and resolves no name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy hadoop-conf /etc/hadoop/conf
  deputy hadoop-conf /etc/hadoop/conf --principal etl@EXAMPLE.COM --keytab etl.keytab
  deputy hadoop-conf /etc/hadoop/conf --group analytics --output deputy.toml")]
pub(crate) struct HadoopConfArgs {
    /// The folder of the cluster's client configuration
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Write it to this file, which must not exist yet
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// The principal that Deputy logs in as
    #[arg(long, value_name = "NAME@REALM")]
    principal: Option<KerberosPrincipal>,
    /// The keytab of that principal, as the configuration is to name it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    keytab: Option<PathBuf>,
    /// A krb5.conf [default: /etc/krb5.conf]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    krb5_conf: Option<PathBuf>,
    /// The folder of hdfs.wasm and the other components [default: the installed ones, by name]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    components: Option<PathBuf>,
    /// The group of workers that get a token file
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ProposalJson<'a> {
    schema: u32,
    #[serde(flatten)]
    proposal: &'a Proposal,
    toml: String,
}

pub(crate) fn run(context: &Context, arguments: &HadoopConfArgs) -> Result<Exit, CommandError> {
    let properties =
        HadoopProperties::read(&arguments.dir).map_err(|error| CommandError::new(Exit::Misconfigured, error))?;
    let options = ProposalOptions {
        principal: arguments.principal.clone(),
        keytab: arguments.keytab.clone(),
        krb5_conf: arguments.krb5_conf.clone(),
        components: arguments.components.clone(),
        group: arguments.group.clone(),
    };
    let proposal = Proposal::of(&properties, options);
    let toml = proposal.to_toml();
    if arguments.json {
        context.json(&ProposalJson { schema: SCHEMA, proposal: &proposal, toml })?;
        return Ok(Exit::Done);
    }
    for note in &proposal.notes {
        context.printer.labelled(WARNING, "note", note);
    }
    match &arguments.output {
        None => context.stdout(&toml)?,
        // A configuration that is in use is not replaced by a proposal.
        Some(path) => create_private_file(path, toml.as_bytes())?,
    }
    Ok(Exit::Done)
}
